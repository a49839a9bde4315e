"""A store whose making is killed (-9) at any moment is never taken for whole, and the next run goes on."""

import shutil
import subprocess
import sys
import time

import pytest
from songs import quietly, song

from sepnb.errors import StoreError
from sepnb.files import checksum
from sepnb.store import Store
from sepnb.store.manifest import load_manifest

# Runs `prepare` in a child again and again, and has it killed (-9) at its first, second, … step, until one survives.
# Each child has a folder of its own: a new one, or a copy of an earlier store.
KILLED_AT_EVERY_STEP = """
import os, signal, sys
from itertools import count
from pathlib import Path
import shutil
from sepnb.store import prepare, song

root, out, *earlier = sys.argv[1:]
left = 0

def step(work):
    def counted(*args, **options):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return work(*args, **options)
    return counted

for owner, name in ((os, "fsync"), (Path, "mkdir"), (Path, "rename"), (Path, "replace"), (Path, "unlink"),
                    (song, "_quantised"), (shutil, "rmtree")):
    setattr(owner, name, step(getattr(owner, name)))
for number in count(1):
    for folder in earlier:
        shutil.copytree(folder, f"{out}/{number:03}")
    child = os.fork()
    if child == 0:
        left = number
        prepare(root, f"{out}/{number:03}", progress=False)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
"""


def test_killed_at_any_step_it_goes_on_and_nothing_half_written_counts(root, tmp_path):
    shutil.rmtree(root / "test")
    whole = quietly(root, tmp_path / "whole").store
    hashes = {entry.name: entry.files[0].sha256 for entry in whole.entries}
    cuts = tmp_path / "cuts"
    subprocess.run([sys.executable, "-c", KILLED_AT_EVERY_STEP, str(root), str(cuts)], check=True)
    folders = sorted(cuts.iterdir())
    assert len(folders) > 15, "too few steps were counted: does the script still know where prepare writes?"
    seen = set()
    for folder in folders[:-1]:
        # What is listed before the restart is whole; the rest is not taken for a store.
        listed = load_manifest(folder).entries if (folder / "manifest.json").exists() else []
        for entry in listed:
            assert checksum(folder / entry.files[0].name) == hashes[entry.name]
        seen.add(len(listed))
        if len(listed) < 2:
            with pytest.raises(StoreError):
                Store(folder)
        prepared = quietly(root, folder)
        assert set(prepared.kept) == {entry.name for entry in listed}
        assert prepared.store.fingerprint == whole.fingerprint
        assert not list(folder.glob(".*"))
    assert seen == {0, 1, 2}


def test_killed_while_a_changed_song_is_made_anew_it_never_lists_one_version_and_holds_the_other(root, tmp_path):
    quietly(root, tmp_path / "earlier")
    song(root / "train" / "A - One", 77)
    whole = quietly(root, tmp_path / "whole").store
    cuts = tmp_path / "cuts"
    script = [sys.executable, "-c", KILLED_AT_EVERY_STEP, str(root), str(cuts), str(tmp_path / "earlier")]
    subprocess.run(script, check=True)
    folders = sorted(cuts.iterdir())
    assert len(folders) > 8
    for folder in folders[:-1]:
        for entry in load_manifest(folder).entries:
            assert checksum(folder / entry.files[0].name) == entry.files[0].sha256
        assert quietly(root, folder).store.fingerprint == whole.fingerprint


# A script without `if __name__ == "__main__":`, as in a notebook.
IN_PROCESSES = """
import sys
from sepnb.store import prepare, preparing

preparing.WORTH_PROCESSES = 0
print(len(prepare(sys.argv[1], sys.argv[2], workers=2, progress=False).made))
"""


def test_killed_with_its_workers_at_work_it_leaves_none_behind_and_goes_on(tmp_path):
    for number in range(6):
        song(tmp_path / "tracks" / f"S{number}", number, seconds=20.0, rate=44100)
    script, out = tmp_path / "script.py", tmp_path / "out"
    script.write_text(IN_PROCESSES)
    command = [sys.executable, str(script), str(tmp_path / "tracks"), str(out)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(out.glob(".partial*")):
        assert running.poll() is None and time.monotonic() < deadline, "no worker ever began to write"
        time.sleep(0.002)
    running.kill()
    # The workers have this pipe too, so it ends only when they have.
    assert running.communicate(timeout=30)[0] == ""
    kept = len(load_manifest(out).entries) if (out / "manifest.json").exists() else 0
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert again.stdout == f"{6 - kept}\n"
    assert Store(out).fingerprint == quietly(tmp_path / "tracks", tmp_path / "serial").store.fingerprint
    assert not list(out.glob(".*"))
