#!/bin/sh
# Installs the named Debian packages that are missing, where this is Debian and we may; says so and goes on where not.
set -u

missing=""
for package in "$@"; do
    dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "not Debian: install$missing yourself; what needs it is skipped until then" >&2
    exit 0
fi
if [ "$(id -u)" = 0 ]; then sudo=""; else sudo="sudo -n"; fi
# shellcheck disable=SC2086
$sudo apt-get update -qq && $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null ||
    echo "could not install$missing; what needs it is skipped" >&2
exit 0
