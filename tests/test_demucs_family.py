"""Demucs v3 and v4 separate as their own package does, and their files are data: checked, and never run."""

import hashlib
import json
import os
import random
import re
import subprocess
import sys
import threading
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file
from songs import noise

from sepnb import audio
from sepnb.errors import SepnbError
from sepnb.separators import demucs_hub
from sepnb.separators.demucs_family import classes, load_demucs, load_demucs_folder, policy_for
from sepnb.separators.engine import NetworkSeparator

RATE = 8000
SOURCES = ["drums", "vocals"]
LADDER = ("0b6894ef", "9af80a6a", "af9a0947", "b5523bd4")


def small(kind: str, seed: int = 0, **settings) -> torch.nn.Module:
    """A network of the family with random weights, small enough for a test."""
    torch.manual_seed(seed)
    every = {"sources": SOURCES, "samplerate": RATE, "channels": 8}
    of_kind = {
        "HTDemucs": {"depth": 4, "t_layers": 1, "segment": Fraction(3, 2), "nfft": 1024, "bottom_channels": 16},
        "HDemucs": {"depth": 6, "nfft": 4096, "segment": 2, "hybrid_old": False},
        "Demucs": {"depth": 3, "segment": 1, "lstm_layers": 1},
    }
    klass = {name.rpartition(".")[2]: klass for name, klass in classes().items()}[kind]
    return klass(**every, **{**of_kind[kind], **settings}).eval()


def theirs(model: torch.nn.Module, mixture: np.ndarray, **settings) -> np.ndarray:
    """What demucs' own API makes of a mixture: its normalisation around its apply_model."""
    from demucs.apply import apply_model

    mixture = torch.from_numpy(mixture)
    mono = mixture.mean(0)
    mean, scale = mono.mean(), mono.std() + 1e-8
    settings = {"shifts": 0, **settings}
    with torch.no_grad():
        return (apply_model(model, ((mixture - mean) / scale)[None], **settings)[0] * scale + mean).numpy()


def ours(networks, mixture: np.ndarray, weights=None, bag_segment=None, **options) -> np.ndarray:
    networks = networks if isinstance(networks, list) else [networks]
    policies = [policy_for(network, bag_segment) for network in networks]
    separator = NetworkSeparator("ours", SOURCES, RATE, 2, networks, policies, weights=weights)
    return np.stack(list(separator.with_options(**options)(mixture, RATE).values()))


# ---------------------------------------------------------------------------------------------------- same as demucs


@pytest.mark.parametrize("kind", ["HTDemucs", "HDemucs", "Demucs"])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_random_network_separates_as_by_its_own_package(kind, batch):
    model, mixture = small(kind), 0.05 + noise(0, 5.3)
    np.testing.assert_allclose(ours(model, mixture, batch=batch), theirs(model, mixture), atol=1e-5)


@pytest.mark.parametrize("kind", ["HTDemucs", "Demucs"])
def test_other_segments_overlaps_and_shifts_too(kind, monkeypatch):
    model, mixture = small(kind), noise(1, 3.1)
    options = {"segment": 0.9, "overlap": 0.6}
    np.testing.assert_allclose(ours(model, mixture, **options), theirs(model, mixture, **options), atol=1e-5)
    monkeypatch.setattr("demucs.apply.random", random.Random(11))  # what the shifts are drawn from
    expected = theirs(model, mixture, shifts=2)
    np.testing.assert_allclose(ours(model, mixture, shifts=2, seed=11), expected, atol=1e-5)


@pytest.mark.parametrize("shifts", [0, 1])
def test_a_bag_with_weights_and_a_segment_of_its_own(shifts, monkeypatch):
    from demucs.apply import BagOfModels

    mixture, weights = noise(2, 2.7), [[1.0, 0.0], [1.0, 3.0]]
    monkeypatch.setattr("demucs.apply.random", random.Random(5))
    bag = BagOfModels([small("Demucs", 1), small("HDemucs", 2)], weights, segment=1.3)
    expected = theirs(bag, mixture, shifts=shifts)
    made = ours([small("Demucs", 1), small("HDemucs", 2)], mixture, weights, bag_segment=1.3, shifts=shifts, seed=5)
    np.testing.assert_allclose(made, expected, atol=1e-5)


def test_a_transformer_refuses_segments_that_it_was_not_trained_for():
    with pytest.raises(SepnbError, match=r"at most 1\.5 s"):
        ours(small("HTDemucs"), noise(0, 1.0), segment=1.6)


@pytest.mark.parametrize("signature", LADDER)
def test_a_trained_model_separates_a_real_song_as_by_demucs(real, signature):
    from demucs.repo import LocalRepo

    folder = real / "weights" / "tiny_demucs"
    mixture, rate = audio.read(real / "songs" / "test.mp3", start=5, duration=4)
    separator = load_demucs_folder(folder / signature)
    stems = separator.with_options(segment=3.0)(mixture, rate)
    model = LocalRepo(folder).get_model(signature).eval()
    expected = theirs(model, mixture, segment=3.0)
    assert tuple(stems) == tuple(model.sources) == ("drums", "bass", "other", "vocals", "guitars")
    np.testing.assert_allclose(np.stack(list(stems.values())), expected, atol=1e-5)


# ----------------------------------------------------------------------------------------------------------- folders


def exported(folder, signature: str, network: torch.nn.Module, klass: object = None) -> None:
    """A package as Demucs exports it, its checksum in the file's name."""
    args, kwargs = network._init_args_kwargs
    package = {"klass": klass or type(network), "args": args, "kwargs": kwargs, "state": network.state_dict()}
    torch.save(package, folder / "new.th")
    checksum = hashlib.sha256((folder / "new.th").read_bytes()).hexdigest()[:8]
    (folder / "new.th").rename(folder / f"{signature}-{checksum}.th")


def test_a_folder_of_models_and_a_bag_of_them(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    for seed, signature in enumerate(("aa11", "bb22")):
        exported(folder, signature, small("HTDemucs" if seed else "Demucs", seed))
    mixture = noise(3, 1.7)
    with pytest.raises(SepnbError, match="holds 2 Demucs models: name one of .*mine/aa11, .*mine/bb22"):
        load_demucs_folder(folder)
    one = load_demucs_folder(folder / "bb22")
    assert (one.name, one.sources, one.rate) == ("mine-bb22", tuple(SOURCES), RATE)
    np.testing.assert_array_equal(np.stack(list(one(mixture, RATE).values())), ours(small("HTDemucs", 1), mixture))

    (folder / "both.yaml").write_text("models: ['aa11', 'bb22']\nweights: [[1., 0.], [0., 1.]]\n")
    bag = load_demucs_folder(folder, name="mine")
    assert bag.name == "mine"
    assert [len(digits) for digits in bag.settings["weights"].split("+")] == [16, 16]
    np.testing.assert_array_equal(bag(mixture, RATE)["vocals"], one(mixture, RATE)["vocals"])

    (folder / "both.yaml").write_text("models: ['aa11', 'cc33']\n")
    with pytest.raises(SepnbError, match=r"both\.yaml wants the models cc33"):
        load_demucs_folder(folder)
    for wrong in (
        "models: ['../../aa11']\n",
        "- 1\n",
        "models: []\n",
        "models: ['aa11']\nweights: [[1., 0.], [1., 0.]]",
    ):
        (folder / "both.yaml").write_text(wrong)
        with pytest.raises(SepnbError, match="no bag of Demucs models"):
            load_demucs_folder(folder)


def test_a_package_that_was_changed_or_names_other_classes_is_refused(tmp_path):
    exported(tmp_path, "aa11", small("Demucs"))
    (file,) = tmp_path.glob("*.th")
    content = bytearray(file.read_bytes())
    content[-200] ^= 1
    file.write_bytes(content)
    with pytest.raises(SepnbError, match="not the file that its name promises"):
        load_demucs_folder(tmp_path)
    file.unlink()
    exported(tmp_path, "aa11", small("Demucs"), klass=subprocess.Popen)
    with pytest.raises(SepnbError, match=r"it names \w+\.Popen, which is not allowed"):
        load_demucs_folder(tmp_path)


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(SepnbError, match="there is no such folder"):
        load_demucs_folder(tmp_path / "nowhere" / "aa11")
    with pytest.raises(SepnbError, match="holds no Demucs model 'aa11': it holds none"):
        load_demucs_folder(tmp_path / "aa11")


# ------------------------------------------------------------------------------------------------------------ the hub


def hub_file(path, network: torch.nn.Module, **metadata: str) -> None:
    """A network as the hub has it: weights, with class and arguments as JSON beside them."""
    args, kwargs = network._init_args_kwargs
    for name, value in kwargs.items():
        if isinstance(value, Fraction):
            kwargs[name] = {"_type": "fraction", "numerator": value.numerator, "denominator": value.denominator}
    klass = f"{type(network).__module__}.{type(network).__name__}"
    said = {"klass": klass, "args": json.dumps(args), "kwargs": json.dumps(kwargs), **metadata}
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, path, said)


def test_a_file_of_the_hub_that_names_another_class_runs_nothing(tmp_path):
    marker, path = tmp_path / "marker", tmp_path / "evil.safetensors"
    command = json.dumps([["touch", str(marker)]])
    hub_file(path, small("Demucs"), klass="subprocess.Popen", args=command, kwargs="{}")
    with pytest.raises(SepnbError, match=r"names subprocess\.Popen.*It was not loaded"):
        demucs_hub.read_model(path, classes())
    structure = json.dumps({"_class": "subprocess.Popen"})
    hub_file(path, small("Demucs"), structure=structure)
    with pytest.raises(SepnbError, match="quantised weights"):
        demucs_hub.read_model(path, classes())
    assert not marker.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[: len(content) // 2], "damaged"),
        (lambda content: b"", "damaged"),
        (
            lambda content: content.replace(b"demucs.demucs.Demucs", b"demucs.demucs.Demuxx"),
            "names demucs.demucs.Demuxx",
        ),
        (lambda content: content.replace(b"numerator", b"numerat0r"), "damaged"),
    ],
)
def test_a_damaged_file_of_the_hub_is_said(tmp_path, change, message):
    path = tmp_path / "model.safetensors"
    hub_file(path, small("Demucs", segment=Fraction(1, 2)))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(SepnbError, match=message):
        demucs_hub.read_model(path, classes())


@pytest.mark.parametrize("algorithm", ["sha256", "git"])
def test_a_cached_file_that_is_not_what_the_hub_recorded_is_refused(tmp_path, monkeypatch, algorithm):
    content = b"models: ['aa11']\n"
    digest = {"sha256": hashlib.sha256(content), "git": hashlib.sha1(b"blob %d\0" % len(content) + content)}[algorithm]
    blob, link = tmp_path / digest.hexdigest(), tmp_path / "htdemucs.yaml"
    link.symlink_to(blob)
    monkeypatch.setattr(demucs_hub, "cached", lambda name, file: link)
    blob.write_bytes(content)
    assert demucs_hub.fetch("htdemucs", "htdemucs.yaml") == link
    blob.write_bytes(content.replace(b"aa", b"bb"))
    with pytest.raises(SepnbError, match=rf"tampered with.*Remove {re.escape(str(blob))}"):
        demucs_hub.fetch("htdemucs", "htdemucs.yaml")


def test_an_unknown_name_is_answered_with_those_there_are():
    with pytest.raises(SepnbError, match="no Demucs model 'htdemucz': there are htdemucs, htdemucs_ft"):
        load_demucs("htdemucz")


class Hub:
    """As much of the hub as fetching files takes: HEAD says commit and digest, GET gives bytes, or a part of them."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.drops: list[int] = []  # bytes after which the next answers of more than 1,000 bytes break off
        self.ranges: list[str | None] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self.answer(body=False)

            def do_GET(self) -> None:
                self.answer(body=True)

            def answer(self, body: bool) -> None:
                content = hub.files.get(self.path.partition("?")[0].lstrip("/"))
                if content is None:
                    self.send_response(404)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                wanted = self.headers.get("Range") if body else None
                begin = int(re.match(r"bytes=(\d+)-", wanted)[1]) if wanted else 0
                self.send_response(206 if wanted else 200)
                self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
                self.send_header("X-Repo-Commit", "a" * 40)
                self.send_header("Content-Length", str(len(content) - begin))
                self.send_header("Accept-Ranges", "bytes")
                if wanted:
                    self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
                self.end_headers()
                if body:
                    if len(content) > 1000:
                        hub.ranges.append(wanted)
                        if hub.drops:
                            self.close_connection = True
                            content = content[: begin + hub.drops.pop(0)]
                    self.wfile.write(content[begin:])

            def log_message(self, *args: object) -> None:
                """The test's output stays clean."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


USER = """
import json, sys
import numpy as np
from huggingface_hub import constants
from sepnb.errors import DownloadError
from sepnb.separators.demucs_family import is_cached, load_demucs
constants.DOWNLOAD_CHUNK_SIZE = 10_000  # what a broken connection loses at most; 10 MB without this
before = is_cached("hdemucs_mmi")
separator = load_demucs("hdemucs_mmi")
mixture = np.random.default_rng(0).normal(0, 0.1, (2, 12000)).astype(np.float32)
np.save(sys.argv[1], np.stack(list(separator(mixture, separator.rate).values())))
try:
    message = str(load_demucs("htdemucs_ft"))
except DownloadError as error:
    message = str(error)
print(json.dumps({"before": before, "after": is_cached("hdemucs_mmi"), "message": message}))
"""


def test_a_model_is_fetched_from_the_hub_resumed_cached_and_used_offline(tmp_path):
    network = small("HDemucs", 4)
    weights = tmp_path / "9f9f9f9f.safetensors"
    hub_file(weights, network)
    hub = Hub()
    hub.files["adefossez/Demucs-hdemucs_mmi/resolve/main/hdemucs_mmi.yaml"] = yaml.dump(
        {"models": ["9f9f9f9f"], "segment": 1}
    ).encode()
    hub.files["adefossez/Demucs-hdemucs_mmi/resolve/main/9f9f9f9f.safetensors"] = weights.read_bytes()
    hub.drops.append(100_000)
    environment = {**os.environ, "HF_ENDPOINT": hub.base, "HF_HOME": str(tmp_path / "hub"), "OMP_NUM_THREADS": "1"}
    mixture = np.random.default_rng(0).normal(0, 0.1, (2, 12000)).astype(np.float32)
    expected = ours(network, mixture, bag_segment=1.0)
    for round_, before in (("online", False), ("offline", True)):
        command = [sys.executable, "-c", USER, str(tmp_path / "stems.npy")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout.splitlines()[-1])
        assert (said["before"], said["after"]) == (before, True), round_
        assert "htdemucs_ft.yaml of adefossez/HTDemucs-ft is not in the cache" in said["message"]
        assert "hf download adefossez/HTDemucs-ft" in said["message"]
        np.testing.assert_allclose(np.load(tmp_path / "stems.npy"), expected, atol=1e-5)
        if round_ == "online":
            assert len(hub.ranges) == 2, "the second request goes on where the first broke off"
            assert hub.ranges[1].startswith("bytes=") and hub.ranges[1] != "bytes=0-"
            hub.close()
    assert "cannot be reached" in said["message"]
