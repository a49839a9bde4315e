#!/bin/sh
# Makes .venv with the pinned packages and sepnb itself, from nothing but a Python of 3.11 or later.
set -eu

if [ -z "${PYTHON:-}" ]; then
    for candidate in python3 python3.12 python3.13 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            PYTHON=$candidate
            break
        fi
    done
fi
if [ -z "${PYTHON:-}" ]; then
    echo "sepnb needs Python 3.11 or later, and found none. Install one, or name it: make PYTHON=/path/to/python3" >&2
    exit 2
fi

echo "Installing sepnb and its packages into .venv: a few minutes, a few GB" >&2
"$PYTHON" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[course,cluster,probe,demo,dev]"
.venv/bin/python tools/torchaudio_on_cpu.py
touch .venv/.ready
