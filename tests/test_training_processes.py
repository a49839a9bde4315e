"""Two processes that share a batch learn as one does, under `accelerate launch` as on the command line."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from training_runs import TINY, losses, tones

from sepnb.errors import SepnbError
from sepnb.files import read_json
from sepnb.training import processes, train

SCRIPT = """
import json, sys
from sepnb.training import Recipe, train

store, out, recipe, settings = sys.argv[1:]
train(store, out, Recipe.from_dict(json.loads(recipe)), progress=False, **json.loads(settings))
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tones(tmp_path_factory.mktemp("tones"))


def launched(tmp_path, store, out, recipe=TINY, processes=2, **settings):
    """Train under `accelerate launch`. (Its option for several processes on CPUs is --multi_gpu, too.)"""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    values = [str(store.path), str(out), json.dumps(recipe.as_dict()), json.dumps(settings)]
    fixed = ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", str(processes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.run([*launch, *fixed, script, *values], capture_output=True, text=True, env=environment)


def test_two_processes_learn_as_one_and_go_on_as_two(store, tmp_path):
    one = train(store, tmp_path / "one", replace(TINY, accumulate=2), progress=False)
    first = launched(tmp_path, store, tmp_path / "two", stop_after=0.0)
    assert first.returncode == 0, first.stderr
    assert "stopped for time after step 1 of 18" in first.stdout
    with pytest.raises(SepnbError, match="unfinished run with another number of processes"):
        train(store, tmp_path / "two", TINY, resume=True, progress=False)
    second = launched(tmp_path, store, tmp_path / "two", resume=True)
    assert second.returncode == 0, second.stderr
    history = read_json(tmp_path / "two" / "history.json")
    assert (history["processes"], history["finished"], len(history["epochs"])) == (2, True, 3)
    for alone, shared in zip(losses(one), losses(tmp_path / "two"), strict=True):
        assert alone == pytest.approx(shared, rel=1e-3)


def test_an_error_of_the_main_process_ends_all(store, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "history.json").write_text(json.dumps({"recipe": {}, "finished": False}))
    result = launched(tmp_path, store, tmp_path / "out", resume=True)
    assert result.returncode != 0
    assert "recipe None: name, epochs, steps_per_epoch is not said" in result.stderr


def test_whatever_ends_the_main_process_ends_all():
    """Of each process, what it raised: the main one its own error, the others that it failed."""

    class Shared:
        num_processes, is_main_process = 2, True

    told = []

    def pass_on(values):
        told.append(values)
        return values

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "broadcast_object_list", pass_on)
        with pytest.raises(KeyError, match="checksums"):
            processes.on_main(Shared(), lambda: {}["checksums"])
        Shared.is_main_process = False
        patch.setattr(processes, "broadcast_object_list", lambda _: told[0])
        with pytest.raises(SepnbError, match="the main process failed .KeyError: 'checksums'"):
            processes.on_main(Shared(), lambda: None)
