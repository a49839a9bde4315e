"""Make the golden files of Spleeter: checkpoints in TensorFlow's format, and what the original makes of them.

    python tests/golden/make_spleeter_golden.py            writes the files that the tests compare with
    python tests/golden/make_spleeter_golden.py run DIR    runs the original on DIR/request.json (for the benchmark)

Needs Spleeter 2.4.2 in an environment of its own (Python 3.11):

    python3.11 -m venv spleeter-env
    spleeter-env/bin/pip install tensorflow==2.12.1 "numpy<2" norbert "pandas<2" ffmpeg-python typer "httpx[http2]"
    spleeter-env/bin/pip install --no-deps spleeter==2.4.2

The weights are random, from a seed; released ones are neither needed nor used. The networks are the original's, with
few filters a layer, so that the files stay small.
"""

import copy
import json
import os
import sys
import tarfile
import time
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parent
FEW_FILTERS = [1, 2, 2, 2, 3, 3]
STRIDE = 61  # of the samples that a golden file keeps
RATE = 44100

# The original's settings with everything that may vary changed: rate, block, STFT, how masks are extended.
OTHER_SETTINGS = {
    "instrument_list": ["speech", "music", "noise"],
    "sample_rate": 16000,
    "frame_length": 512,
    "frame_step": 128,
    "T": 64,
    "F": 192,
    "mask_extension": "average",
    "separation_exponent": 1,
    "model": {"type": "unet.unet", "params": {"conv_activation": "ReLU", "deconv_activation": "LeakyReLU"}},
}


def song(seconds: float, rate: int) -> np.ndarray:
    """Stereo test signal (samples, 2): decaying tones over noise, with a silent stretch; the tests make the same."""
    rng = np.random.default_rng(0)
    samples = round(seconds * rate)
    moments = np.arange(samples) / rate
    left, right = (
        sum(np.sin(2 * np.pi * rng.uniform(60, 5000) * moments) * np.exp(-6 * np.mod(moments, 0.3)) for _ in range(6))
        for _ in range(2)
    )
    audio = 0.1 * np.stack([left, right], axis=1) + 0.02 * rng.standard_normal((samples, 2))
    audio[samples // 2 : samples // 2 + samples // 8] = 0
    return audio.astype(np.float32)


def settings(name: str, filters: list[int] | None = None, **changed: object) -> dict:
    """The original's own settings of one of its models, with some changed."""
    from spleeter.utils.configuration import load_configuration

    chosen = {**copy.deepcopy(load_configuration(name)), **copy.deepcopy(changed)}
    if filters:
        chosen["model"]["params"]["conv_n_filters"] = filters
    return chosen


def write_checkpoint(params: dict, folder: Path, seed: int, training: bool = False) -> None:
    """Random weights for the original's network, saved as released ones are; with `training`, Adam's state as well."""
    import tensorflow as tf
    from spleeter.model import EstimatorSpecBuilder

    v1 = tf.compat.v1
    rng = np.random.default_rng(seed)
    with tf.Graph().as_default(), v1.Session() as session:
        v1.train.get_or_create_global_step()
        spectrogram = v1.placeholder(tf.float32, (None, params["T"], params["F"], params["n_channels"]))
        builder = EstimatorSpecBuilder({f"{params['mix_name']}_spectrogram": spectrogram}, params)
        if training:
            builder.build_train_model({f"{name}_spectrogram": spectrogram for name in params["instrument_list"]})
        else:
            _ = builder.model_outputs
        session.run(v1.global_variables_initializer())
        for variable in v1.global_variables():
            variable.load(_random(variable, rng), session)
        folder.mkdir(parents=True)
        v1.train.Saver().save(session, str(folder / "model"))
    (folder / ".probe").write_text("OK")  # what the original leaves when it has fetched a model


def _random(variable: object, rng: np.random.Generator) -> np.ndarray:
    """Values with which masks are far from equal shares: normalisations that really shift and scale."""
    shape, name = variable.shape.as_list(), variable.op.name
    kind = name.rpartition("/")[2]
    if kind == "kernel":
        # Each output of a transposed convolution gets a quarter of the kernel's products.
        fan_in = np.prod(shape[:2]) * (shape[3] / 4 if "transpose" in name else shape[2])
        values = rng.standard_normal(shape) * np.sqrt(2 / fan_in)
    elif kind in ("gamma", "moving_variance"):
        values = rng.uniform(0.5, 2, shape)
    elif kind in ("bias", "beta", "moving_mean"):
        values = rng.normal(0, 0.3, shape)
    else:  # steps and Adam's slots
        values = rng.uniform(0, 1, shape) * 1000
    return np.asarray(values).astype(variable.dtype.as_numpy_dtype)


def separate(params: dict, folder: Path, waveforms: list[np.ndarray]) -> tuple[list[np.ndarray], list[float]]:
    """What the original's Separator makes of songs (samples, channels): stems (sources, samples, channels), seconds.

    A call in front pays for what is loaded once; every call reads the weights anew, as the original has it.
    """
    from spleeter.separator import Separator

    params = {**params, "model_dir": str(folder.resolve())}
    path = folder / "settings.json"
    path.write_text(json.dumps(params))
    separator = Separator(str(path), multiprocess=False)
    separator.separate(waveforms[0][: params["sample_rate"]])
    results, seconds = [], []
    for waveform in waveforms:
        begin = time.perf_counter()
        stems = separator.separate(waveform)
        seconds.append(time.perf_counter() - begin)
        results.append(np.stack([stems[name] for name in params["instrument_list"]]))
    return results, seconds


def write_archive(folder: Path, path: Path) -> None:
    """The checkpoint as released archives hold it, less the graph, which nothing reads."""

    def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.mtime = member.uid = member.gid = 0
        member.uname = member.gname = ""
        return member

    with tarfile.open(path, "w:gz") as archive:
        for name in ("checkpoint", "model.data-00000-of-00001", "model.index"):
            archive.add(folder / name, f"./{name}", filter=anonymous)


def write_variables(folder: Path) -> None:
    """A bundle of many variables, so that its index has several blocks, of many types and shapes; and their values."""
    import tensorflow as tf

    v1 = tf.compat.v1
    rng = np.random.default_rng(5)
    values: dict[str, np.ndarray] = {
        "global_step": np.int64(1_234_567_890_123),
        "kinds/float64": rng.standard_normal((2, 3)),
        "kinds/float16": rng.standard_normal(7).astype(np.float16),
        "kinds/int32": np.arange(-3, 3, dtype=np.int32).reshape(3, 2),
        "kinds/int8": np.arange(-3, 3, dtype=np.int8),
        "kinds/uint8": np.arange(250, 256, dtype=np.uint8),
        "kinds/bool": np.array([True, False, True]),
        "kinds/complex64": (rng.standard_normal(3) + 1j * rng.standard_normal(3)).astype(np.complex64),
        "kinds/empty": np.zeros((0, 4), np.float32),
        "kinds/text": np.array([b"not", b"numbers"]),
        "big": rng.standard_normal((25, 200)).astype(np.float32),
    }
    layers = rng.standard_normal((180, 3)).astype(np.float32)
    for number, layer in enumerate(layers):  # a block of the index ends after 256 kB: long names that begin differently
        values[f"layer_{number:03}/{'long_' * 300}kernel"] = layer
    with tf.Graph().as_default(), v1.Session() as session:
        variables = {name: v1.Variable(value, name=f"v{at}") for at, (name, value) in enumerate(values.items())}
        session.run(v1.global_variables_initializer())
        v1.train.Saver(variables).save(session, str(folder / "variables"), write_meta_graph=False)
    plain = {name: value for name, value in values.items() if name != "kinds/text" and not name.startswith("layer_")}
    np.savez_compressed(GOLDEN / "tensorflow_variables.npz", layers=layers, **plain)
    with tarfile.open(GOLDEN / "tensorflow_variables.tar.xz", "w:xz") as archive:
        for name in ("variables.data-00000-of-00001", "variables.index"):
            archive.add(folder / name, name)


def write_golden(work: Path) -> None:
    """All golden files, into the folder of this script."""
    expected: dict[str, np.ndarray] = {}
    cases = {
        "2stems": (settings("spleeter:2stems", FEW_FILTERS), 1.3),
        "4stems": (settings("spleeter:4stems", FEW_FILTERS), 1.3),
        "5stems": (settings("spleeter:5stems", FEW_FILTERS), 1.3),
        "other": (settings("spleeter:2stems", FEW_FILTERS, **OTHER_SETTINGS), 1.9),
    }
    for seed, (name, (params, seconds)) in enumerate(cases.items()):
        folder = work / name
        write_checkpoint(params, folder, seed, training=name == "2stems")
        (stems,), _ = separate(params, folder, [song(seconds, params["sample_rate"])])
        expected[name] = stems[:, ::STRIDE].transpose(0, 2, 1)
        expected[f"{name}_last"] = stems[:, -1]
        write_archive(folder, GOLDEN / f"spleeter_{name}.tar.gz")
        print(name, stems.shape, "peak of each stem:", np.abs(stems).max(axis=(1, 2)).round(3))
    np.savez_compressed(GOLDEN / "spleeter_expected.npz", stride=STRIDE, **expected)
    write_variables(work)


def run(folder: Path) -> None:
    """What the benchmark asks for: a network of random weights, what the original makes of songs, and in how long."""
    request = json.loads((folder / "request.json").read_text())
    params = settings(request["settings"], request["filters"])
    checkpoint = folder / "checkpoint"
    write_checkpoint(params, checkpoint, request["seed"])
    write_archive(checkpoint, folder / "archive.tar.gz")
    stems, seconds = separate(params, checkpoint, [np.load(folder / name) for name in request["songs"]])
    for name, result in zip(request["songs"], stems, strict=True):
        np.save(folder / f"stems_{name}", result)
    (folder / "answer.json").write_text(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if sys.argv[1:2] == ["run"]:
        run(Path(sys.argv[2]))
    else:
        import tempfile

        with tempfile.TemporaryDirectory() as work:
            write_golden(Path(work))
