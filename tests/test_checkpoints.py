import argparse
import io
import os
import pickle
import pickletools
import subprocess
import sys
import tarfile
import types
import zipfile
from collections import OrderedDict
from fractions import Fraction
from pathlib import Path, PurePosixPath

import pytest
import torch
from torch import nn

from sepnb.errors import SepnbError
from sepnb.files import checksum
from sepnb.ports.checkpoints import load_into, read_package, read_state

FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])


class Net(nn.Module):
    """Stands for the original's network where a file is written, and for ours where it is read."""

    def __init__(self, width: int = 3, share: Fraction = Fraction(1, 2)) -> None:
        super().__init__()
        self.layer = nn.Linear(width, 2)


NET = f"{__name__}.Net"


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return Net().state_dict()


def save(value: object, path: Path, zipped: bool = True) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    return path


class Calls:
    """An object whose pickle calls a function when it is read."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


def package(state: dict, **more: object) -> dict:
    return {"klass": Net, "args": (), "kwargs": {"width": 3}, "state": state, **more}


def raw_pickle(path: Path, program: bytes) -> Path:
    """A file in torch's zip format whose pickle is this program."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", program)
        archive.writestr("archive/version", "3\n")
    return path


@FORMATS
def test_a_plain_state_dict_comes_back_as_it_was_saved(tmp_path, state, zipped):
    read = read_state(save(OrderedDict(state), tmp_path / "state.th", zipped))
    assert list(read) == list(state)
    assert all(torch.equal(read[name], state[name]) for name in state)


@FORMATS
def test_a_package_comes_back_with_our_class_and_its_arguments(tmp_path, state, zipped):
    class Ours(nn.Module):
        pass

    path = save(package(state, training_args=argparse.Namespace(musdb=PurePosixPath("/m"))), tmp_path / "p.th", zipped)
    names = {NET: Ours, "argparse.Namespace": argparse.Namespace, "pathlib.PurePosixPath": PurePosixPath}
    read = read_package(path, names)
    assert set(read) == {"klass", "args", "kwargs", "state"}
    assert read["klass"] is Ours
    assert read["args"] == ()
    assert read["kwargs"] == {"width": 3}
    assert all(torch.equal(read["state"][name], state[name]) for name in state)


@FORMATS
def test_values_of_an_allowed_class_are_made(tmp_path, state, zipped):
    made = package(state)
    made["kwargs"] = {"share": Fraction(39, 5)}
    read = read_package(save(made, tmp_path / "p.th", zipped), {NET: Net, "fractions.Fraction": Fraction})
    assert read["kwargs"] == {"share": Fraction(39, 5)}


@FORMATS
@pytest.mark.parametrize("place", ["state", "training_args"])
@pytest.mark.parametrize("way", ["os.system", "subprocess", "eval", "open"])
def test_a_file_that_would_run_a_command_is_refused_and_runs_nothing(tmp_path, state, way, place, zipped):
    marker = tmp_path / "marker"
    call = {
        "os.system": Calls(os.system, f"touch {marker}"),
        "subprocess": Calls(subprocess.check_call, ["touch", str(marker)]),
        "eval": Calls(eval, f"open({str(marker)!r}, 'w')"),
        "open": Calls(open, str(marker), "w"),
    }[way]
    bad = {**state, "more": call} if place == "state" else state
    path = save(package(bad, training_args=call), tmp_path / "package.th", zipped)
    with pytest.raises(SepnbError, match="package.th.*not allowed"):
        read_package(path, {NET: Net})
    with pytest.raises(SepnbError, match=r"state\.th"):
        read_state(save({**state, "more": call}, tmp_path / "state.th", zipped))
    assert not marker.exists()
    # The files would indeed have done it.
    torch.load(path, weights_only=False)
    assert marker.exists()


@FORMATS
def test_an_unknown_class_is_refused_by_its_name(tmp_path, state, zipped):
    path = save(package(state), tmp_path / "package.th", zipped)
    with pytest.raises(SepnbError, match=rf"package\.th.*{NET}, which is not allowed"):
        read_package(path, {"demucs.model.Demucs": Net})
    with pytest.raises(SepnbError, match=r"package\.th"):
        read_state(path)


def test_a_file_cannot_reach_into_an_allowed_class(tmp_path):
    # GLOBAL of the attribute of a class, as newer pickles write it.
    program = pickle.PROTO + b"\x04" + b"cargparse\nNamespace.__init__\n."
    with pytest.raises(SepnbError, match="not allowed"):
        read_package(raw_pickle(tmp_path / "p.th", program), {"argparse.Namespace": argparse.Namespace})


@pytest.mark.parametrize(
    "name", ["argparse Namespace", "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter"]
)
def test_a_file_cannot_change_what_it_is_given(tmp_path, name):
    # Take a global, and set an attribute of it, as a pickle's BUILD with a pair (None, attributes) does.
    module, _, attribute = name.partition(" ")
    names = f"c{module}\n{attribute}\n".encode()
    program = b"\x80\x02" + names + b"N}X\x08\x00\x00\x00__call__N" + b"s\x86b."
    pickletools.dis(program, out=io.StringIO())  # it is a pickle
    before = vars(argparse.Namespace).copy()
    with pytest.raises(SepnbError, match="change Namespace|read-only"):
        read_package(raw_pickle(tmp_path / "p.th", program), {"argparse.Namespace": argparse.Namespace})
    assert vars(argparse.Namespace) == before


@FORMATS
def test_a_file_cannot_build_a_network_by_itself(tmp_path, state, zipped):
    path = save(package(state, more=Calls(Net, 100)), tmp_path / "p.th", zipped)
    with pytest.raises(SepnbError, match="build"):
        read_package(path, {NET: Net})


@FORMATS
def test_a_truncated_file_is_refused(tmp_path, state, zipped):
    path = save(package(state), tmp_path / "cut.th", zipped)
    content = path.read_bytes()
    for share in (0.2, 0.6, 0.98):
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(SepnbError, match=r"cut\.th"):
            read_package(path, {NET: Net})
        with pytest.raises(SepnbError, match=r"cut\.th"):
            read_state(path)


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"PK\x03\x04", b"\x80\x02}."])
def test_what_is_no_file_of_weights_is_refused(tmp_path, content):
    path = tmp_path / "page.th"
    path.write_bytes(content)
    with pytest.raises(SepnbError, match=r"page\.th"):
        read_state(path)
    with pytest.raises(SepnbError, match=r"page\.th"):
        read_package(path, {NET: Net})


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SepnbError, match=r"nowhere\.th"):
        read_state(tmp_path / "nowhere.th")


@pytest.mark.parametrize("value", [[1, 2], {}, {"a": 1}, {1: torch.zeros(1)}, torch.zeros(2)])
def test_data_that_is_no_state_dict_is_refused(tmp_path, value):
    with pytest.raises(SepnbError, match="other.th holds no plain weights"):
        read_state(save(value, tmp_path / "other.th"))


def test_a_package_without_a_part_is_refused(tmp_path, state):
    whole = package(state)
    for part in whole:
        path = save({key: value for key, value in whole.items() if key != part}, tmp_path / "part.th")
        with pytest.raises(SepnbError, match=r"part\.th is no package"):
            read_package(path, {NET: Net})
    for part, wrong in (("klass", "Net"), ("klass", None), ("args", 3), ("kwargs", []), ("state", {"a": 1})):
        with pytest.raises(SepnbError, match=r"wrong\.th"):
            read_package(save({**whole, part: wrong}, tmp_path / "wrong.th"), {NET: Net})


def test_programs_and_tars_are_not_opened(tmp_path):
    # torch.load runs the first kind and unpacks the second before 2.6, even where only weights are wanted.
    program = tmp_path / "program.th"
    with zipfile.ZipFile(program, "w") as archive:
        archive.writestr("archive/constants.pkl", b"")
        archive.writestr("archive/data.pkl", b"")
    tar = tmp_path / "tar.th"
    with tarfile.open(tar, "w") as archive:
        archive.add(program, "storages")
    for path in (program, tar):
        for read in (read_state, lambda path: read_package(path, {NET: Net})):
            with pytest.raises(SepnbError, match="not a file of weights but a"):
                read(path)


def test_a_file_that_is_not_what_its_name_promises_is_refused_unopened(tmp_path, state):
    path = save(state, tmp_path / "plain.th")
    right = path.rename(tmp_path / f"net-{checksum(path)[:8]}.th")
    assert read_state(right)
    wrong = right.rename(tmp_path / "net-0123abcd.th")
    with pytest.raises(SepnbError, match=r"net-0123abcd\.th is not the file that its name promises"):
        read_state(wrong)
    with pytest.raises(SepnbError, match="its name promises"):
        read_package(wrong, {NET: Net})


def test_weights_of_another_network_are_refused_in_a_sentence(tmp_path, state):
    with pytest.raises(SepnbError, match=r"a\.th holds weights of another network: of another shape is layer.weight"):
        load_into(Net(4), state, "a.th")
    with pytest.raises(SepnbError, match="it lacks layer.bias"):
        load_into(Net(), {"layer.weight": state["layer.weight"]}, "a.th")
    with pytest.raises(SepnbError, match="the network has no more"):
        load_into(Net(), {**state, "more": torch.zeros(1)}, "a.th")


def test_a_network_without_memory_takes_weights_over_in_its_own_precision(state):
    with torch.device("meta"):
        network = Net()
    load_into(network, {name: tensor.half() for name, tensor in state.items()}, "a.th")
    assert not network.training
    assert network.layer.weight.dtype == torch.float32
    torch.testing.assert_close(network.layer.weight.detach(), state["layer.weight"], atol=1e-3, rtol=0)


def test_the_real_package_of_a_trained_demucs_is_read(real, monkeypatch):
    class Demucs(nn.Module):
        pass

    monkeypatch.setitem(sys.modules, "demucs.demucs", types.ModuleType("demucs.demucs"))  # the file cannot need it
    for path in sorted((real / "weights" / "tiny_demucs").glob("*.th")):
        read = read_package(path, {"demucs.demucs.Demucs": Demucs})
        assert read["klass"] is Demucs
        assert read["kwargs"]["sources"] == ["drums", "bass", "other", "vocals", "guitars"]
        assert sum(tensor.numel() for tensor in read["state"].values()) > 50_000
        with pytest.raises(SepnbError, match=r"demucs\.demucs\.Demucs"):
            read_package(path, {})
