"""The command line: every command has help, does its work, and says in one line what a user can mend."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from loopback import Resource, loopback
from songs import quietly, song
from typer.testing import CliRunner

from sepnb import audio
from sepnb.cli import app
from sepnb.errors import SepnbError
from sepnb.models import UNet, UNetConfig, save
from sepnb.store import Store
from sepnb.tracks import find_tracks
from sepnb.training import ladder as ladder_module
from sepnb.training import read_history, read_recipe
from sepnb.training.ladder import Rung

# Processes that train together on one machine: a thread each, and talk to each other without a network.
TOGETHER = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
COMMANDS = ["course", "band", "download", "prepare", "train", "probe", "separate", "evaluate", "models", "demo"]
runner = CliRunner()


def sepnb(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "sepnb.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    """Three short songs of the band, made by the command itself."""
    folder = tmp_path_factory.mktemp("cli") / "songs"
    result = runner.invoke(app, ["band", str(folder), "--songs", "3", "--seconds", "4", "--seed", "5"])
    assert result.exit_code == 0, result.output
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command):
    result = runner.invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 4


def test_commands_are_those_that_work():
    listed = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert listed == set(COMMANDS)


def test_band_writes_songs_that_are_found(songs):
    tracks = find_tracks(songs)
    assert len(tracks) == 3
    assert len(tracks.subset("test")) >= 1


def test_prepare_makes_a_store_and_reports_as_json(songs, tmp_path):
    result = runner.invoke(app, ["prepare", str(songs), "--out", str(tmp_path / "store"), "--excerpt", "2", "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.output[result.output.index("{") :])
    assert len(report["made"]) == 3
    store = Store(tmp_path / "store")
    assert all(entry.samples == 2 * store.rate for entry in store.entries)


@pytest.fixture(scope="module")
def mono_store(tmp_path_factory) -> Path:
    """A small store of two stems, mono at 8 kHz: two songs to train on, one to validate."""
    folder = tmp_path_factory.mktemp("mono")
    for number, name in enumerate(("train/A", "train/B", "valid/C")):
        song(folder / "songs" / name, number, ("vocals", "accompaniment"), seconds=4.0, channels=1)
    return quietly(folder / "songs", folder / "store").store.path


def test_train_takes_songs_and_epochs_and_reports_as_json(mono_store, tmp_path):
    run = tmp_path / "run"
    command = ["train", str(mono_store), "--out", str(run), "--songs", "1", "--epochs", "2", "--device", "cpu"]
    result = runner.invoke(app, command)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == str(run)
    recipe = read_recipe(run)
    assert (recipe.name, recipe.songs, recipe.epochs) == ("toy-minute", 1, 2)
    again = runner.invoke(app, [*command, "--json"])  # it is finished: nothing is trained
    assert [row["epoch"] for row in json.loads(again.stdout)] == [1, 2]


def test_train_stops_in_time_and_goes_on_when_asked(mono_store, tmp_path):
    run, mirror = tmp_path / "run", tmp_path / "drive" / "run"
    mirror.parent.mkdir()
    command = ["train", str(mono_store), "--out", str(run), "--epochs", "1", "--mirror", str(mirror)]
    stopped = runner.invoke(app, [*command, "--stop-after", "0s", "--json"])
    assert stopped.exit_code == 0, stopped.output
    assert json.loads(stopped.stdout) == []  # no epoch is done yet
    assert "the same command with --resume goes on" in stopped.stderr
    refused = runner.invoke(app, command)
    assert "--resume" in str(refused.exception)
    done = runner.invoke(app, [*command, "--resume", "--stop-after", "1h30"])
    assert done.exit_code == 0, done.output
    assert "goes on" not in done.stderr
    assert len(read_history(run)) == len(read_history(mirror)) == 1


def test_train_climbs_a_ladder(mono_store, tmp_path, monkeypatch):
    monkeypatch.setitem(ladder_module.LADDERS, "report", (Rung(1, 1), Rung(2, 2)))
    command = ["train", str(mono_store), "--out", str(tmp_path), "--ladder", "report"]
    result = runner.invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "valid_sdr_vocals" in result.stdout
    rows = json.loads(runner.invoke(app, [*command, "--json"]).stdout)
    assert [(row["songs"], row["epochs"]) for row in rows] == [(1, 1), (2, 2)]
    refused = runner.invoke(app, [*command, "--epochs", "3"])
    assert "leave out --songs, --epochs and --minutes" in str(refused.exception)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--minutes", 1, "--epochs", 2], "leave out one"),
        (["--recipe", "toy-5s"], "no recipe 'toy-5s'; there are toy-minute"),
        (["--songs", 9], "has 2 songs in the subset 'train', not 9"),
        (["--stop-after", "a while"], "'a while' is no duration: write it as in 11h30"),
        (["--ladder", "rope"], "no ladder 'rope'; there are report"),
    ],
)
def test_what_train_cannot_do_is_said_in_a_sentence(mono_store, tmp_path, options, said):
    result = runner.invoke(app, ["train", str(mono_store), "--out", str(tmp_path / "run"), *map(str, options)])
    assert isinstance(result.exception, SepnbError)
    assert said in str(result.exception)


def test_train_under_accelerate_speaks_once(mono_store, tmp_path):
    # The launcher's option for several processes on CPUs is --multi_gpu, too.
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    launch += ["-m", "sepnb.cli", "train", str(mono_store)]
    command = [*launch, "--out", str(tmp_path / "run"), "--epochs", "1", "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **TOGETHER})
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(str(tmp_path / "run")) == 1
    assert json.loads((tmp_path / "run" / "history.json").read_text())["processes"] == 2


def test_evaluate_writes_a_folder_of_scores_and_goes_on_from_it(songs, tmp_path):
    scores = tmp_path / "scores"
    command = ["evaluate", str(songs), "--model", "silence", "--model", "mixture/n", "--out", str(scores)]
    result = runner.invoke(app, [*command, "--seconds", "2"])
    assert result.exit_code == 0, result.output
    written = (scores / "scores.csv").read_text()
    assert set(pd.read_csv(scores / "scores.csv").system) == {"silence", "mixture ÷ N"}
    assert len(list((scores / "museval").rglob("*.json"))) == 2 * len(find_tracks(songs).subset("test"))
    again = runner.invoke(app, [*command, "--seconds", "2", "--json"])
    medians = json.loads(again.stdout)
    assert medians["silence"] == {"drums": 0.0, "bass": 0.0, "other": 0.0, "vocals": 0.0}
    assert (scores / "scores.csv").read_text() == written


def test_evaluate_takes_estimates_made_elsewhere(songs, tmp_path):
    for track in find_tracks(songs).subset("test"):
        for source in track.sources:
            audio.write(tmp_path / "net" / track.name / f"{source}.wav", track.stem(source) / 2, track.rate)
    done = sepnb("evaluate", songs, "--estimates", tmp_path / "net", "--out", tmp_path / "scores", "--seconds", "1")
    assert done.returncode == 0, done.stderr
    scores = pd.read_csv(tmp_path / "scores" / "scores.csv")
    assert (scores.SDR.dropna() - 6.02).abs().max() < 0.1  # half of each stem is missing


def test_what_evaluate_leaves_out_is_said_after_all_else_is_written(songs, tmp_path):
    out = tmp_path / "scores"
    done = sepnb(
        "evaluate", songs, "--model", tmp_path / "no run", "--model", "silence", "--out", out, "--seconds", "1"
    )
    assert done.returncode == 2
    first, last = [line for line in done.stderr.splitlines() if line.startswith("sepnb: ")]
    assert "no run is left out: no separator" in first
    assert "1 left out" in last
    assert "left_out.json" in last
    assert set(pd.read_csv(out / "scores.csv").system) == {"silence"}
    assert json.loads((out / "left_out.json").read_text())["left_out"][0]["track"] is None


def test_a_slip_in_a_models_name_is_said_before_anything_is_scored(songs, tmp_path):
    done = sepnb("evaluate", songs, "--model", "silence", "--model", "mdxextra", "--out", tmp_path / "scores")
    assert done.returncode == 2
    assert "no separator 'mdxextra' (did you mean mdx_extra?)" in done.stderr
    assert not (tmp_path / "scores").exists()


def test_evaluate_wants_something_to_score(songs, tmp_path):
    done = sepnb("evaluate", songs, "--out", tmp_path / "scores")
    assert done.returncode == 2
    assert "--model NAME or --estimates DIR" in done.stderr


def test_what_a_user_can_mend_is_one_line_and_status_2(tmp_path):
    done = sepnb("prepare", tmp_path / "nowhere", "--out", tmp_path / "store")
    assert done.returncode == 2
    assert done.stderr.startswith("sepnb: ")
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_long_message_is_one_line_too(tmp_path):
    (tmp_path / "empty").mkdir()
    done = sepnb("prepare", tmp_path / "empty", "--out", tmp_path / "store")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "MUSDB18-HQ" in done.stderr  # the layouts that are understood are named


def test_names_are_given_in_pairs(songs, tmp_path):
    done = sepnb("prepare", songs, "--out", tmp_path / "store", "--name", "vox")
    assert done.returncode == 2
    assert "--name takes FILE=SOURCE" in done.stderr


def test_separate_writes_stems_of_a_song(songs, tmp_path):
    track = find_tracks(songs)[0]
    network = UNet(UNetConfig(sources=track.sources, channels=track.channels, rate=track.rate, width=4))
    save(network, tmp_path / "small")
    mixture = next(path for path in track.files if path.stem == "mixture")
    result = runner.invoke(
        app, ["separate", str(mixture), "--model", str(tmp_path / "small"), "--out", str(tmp_path), "--format", "flac"]
    )
    assert result.exit_code == 0, result.output
    for source in track.sources:
        stem = audio.info(tmp_path / "small" / track.name / f"{source}.flac")
        assert (stem.rate, stem.channels, stem.samples) == (track.rate, track.channels, track.samples)


def test_an_oracle_cannot_separate_a_file(tmp_path):
    done = sepnb("separate", tmp_path / "song.wav", "--model", "irm2", "--out", tmp_path)
    assert done.returncode == 2
    assert "is a baseline or oracle" in done.stderr
    assert "name a network" in done.stderr


def test_models_lists_what_there_is_with_its_facts():
    listed = json.loads(runner.invoke(app, ["models", "--json"]).output)
    assert (listed["irm2"]["kind"], listed["irm2"]["cached"]) == ("oracle", True)
    assert listed["umxl"]["licence"] == "CC BY-NC-SA 4.0"
    assert listed["mdx_extra"]["test_leak"] is True
    assert {"sources", "rate", "trained_on", "parameters", "download", "where", "about"} <= set(listed["demucs"])
    table = runner.invoke(app, ["models"]).output
    assert all(f" {name} " in table for name in listed)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no such model"], "no model 'no such model' to probe; there are htdemucs"),
        (["toy", "--gpu", "t1000"], "no card 't1000'; there are t4"),
        (["toy", "--precision", "bf16"], "NVIDIA T4 has no bf16: take fp16"),
        (["toy", "--segment", "-1"], "nothing to probe"),
        (["toy", "--measure", "--gpu", "t4"], "--gpu is about what is not"),
        (["toy", "--width", "2"], "width 2.0 are shares"),
    ],
)
def test_what_cannot_be_probed_is_said_in_a_sentence(arguments, said):
    result = runner.invoke(app, ["probe", *arguments])
    assert isinstance(result.exception, SepnbError)
    assert said in str(result.exception)


def test_a_model_that_does_not_exist_is_no_probe():
    done = sepnb("probe", "no such model")
    assert done.returncode == 2
    assert done.stderr.startswith("sepnb: no model 'no such model' to probe")
    assert "Traceback" not in done.stderr


def test_probe_prints_a_report_or_json():
    # In this process: one network is examined without another.
    command = ["probe", "toy", "--gpu", "t4", "--batch", "2", "--segment", "0.5", "--precision", "fp16"]
    said = runner.invoke(app, command)
    assert said.exit_code == 0, said.output
    assert "toy U-Net (ours) on NVIDIA T4: batch 2 of 0.5 s, fp16" in said.stdout
    (found,) = json.loads(runner.invoke(app, [*command, "--json"]).stdout)
    assert found["name"] == "toy"
    assert (found["setting"]["batch"], found["setting"]["precision"]) == (2, "fp16")
    assert found["memory"] == sum(found["parts"].values())
    assert found["fits"] is True
    (forward,) = json.loads(runner.invoke(app, [*command, "--inference", "--json"]).stdout)
    assert forward["setting"]["training"] is False
    assert forward["parts"]["gradients"] == 0
    assert forward["memory"] < found["memory"]


def test_download_fetches_some_songs_and_says_what_it_cannot(tmp_path, capsys):
    with loopback() as server:
        server.files["musdb18hq.zip"] = Resource(b"no zip at all", ranges=False)
        done = sepnb("download", "hq", tmp_path / "hq", "--songs", "2", "--base", server.base)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    done = sepnb("download", "7s", tmp_path / "7s", "--songs", "2")
    assert "--songs goes with hq" in done.stderr


def test_a_bad_file_does_not_stop_the_good_ones(songs, tmp_path):
    track = find_tracks(songs)[0]
    save(UNet(UNetConfig(sources=track.sources, channels=track.channels, rate=track.rate, width=4)), tmp_path / "small")
    (tmp_path / "lyrics.mp3").write_text("These are words.")
    good = next(path for path in track.files if path.stem == "mixture")
    done = sepnb("separate", tmp_path / "lyrics.mp3", good, "--model", tmp_path / "small", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "lyrics.mp3" in done.stderr
    assert "1 of 2 files could not be separated" in done.stderr
    assert len(list((tmp_path / "out" / "small" / track.name).iterdir())) == len(track.sources)


def test_separate_takes_options_and_writes_them_into_the_tags(songs, tmp_path):
    track = find_tracks(songs)[0]
    save(UNet(UNetConfig(sources=track.sources, channels=track.channels, rate=track.rate, width=4)), tmp_path / "small")
    mixture = next(path for path in track.files if path.stem == "mixture")
    options = ["--segment", 2, "--overlap", 0.5, "--shifts", 1, "--seed", 3, "--batch", 2, "--device", "cpu"]
    done = sepnb("separate", mixture, "--model", tmp_path / "small", "--out", tmp_path / "out", *options)
    assert done.returncode == 0, done.stderr
    written = [Path(line) for line in done.stdout.splitlines()]
    assert written == [tmp_path / "out" / "small" / track.name / f"{source}.wav" for source in track.sources]
    settings = json.loads(audio.tags(written[0])["comment"])["separated by"]
    assert [settings[name] for name in ("segment", "overlap", "shifts", "seed")] == [2, 0.5, 1, 3]
    assert "small: " in done.stderr  # the progress bar
    done = sepnb("separate", mixture, "--model", tmp_path / "small", "--out", tmp_path / "out", "--overlap", 2)
    assert done.returncode == 2
    assert "an overlap is from 0 to below 1" in done.stderr


def test_separate_warns_in_one_line_without_code(tmp_path):
    save(UNet(UNetConfig(sources=("a", "b"), rate=8000, width=4)), tmp_path / "loud")
    audio.write(tmp_path / "song.wav", 40 * np.ones((2, 8000), np.float32), 8000, "32f")
    done = sepnb("separate", tmp_path / "song.wav", "--model", tmp_path / "loud", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "beyond ±1" in line]
    assert len(said) == 2
    assert all(re.search(r"sepnb: .*\.wav: \d+ of 16000 samples", line) for line in said)
    assert "warnings.warn" not in done.stderr


def test_a_subset_without_tracks_is_said(songs, tmp_path):
    done = sepnb("evaluate", songs, "--model", "silence", "--out", tmp_path / "x", "--subset", "valid")
    assert done.returncode == 2
    assert "no tracks in the subset 'valid'" in done.stderr
