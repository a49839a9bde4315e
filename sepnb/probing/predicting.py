"""Predicting steps: of a network that is given by name or by itself, in one setting or in many."""

from collections.abc import Callable
from dataclasses import replace

from torch import nn

from sepnb.errors import SepnbError
from sepnb.probing.allocator import simulate
from sepnb.probing.allowances import allowances
from sepnb.probing.cards import Card, cpu_card, find_card
from sepnb.probing.checkpointing import checkpoint_levels
from sepnb.probing.kept_rates import rates_for
from sepnb.probing.prediction import Prediction
from sepnb.probing.rates import Rates
from sepnb.probing.scaling import Scaling, scaling
from sepnb.probing.setting import Setting
from sepnb.probing.story import find_workload
from sepnb.probing.timing import step_time
from sepnb.probing.trace import Trace
from sepnb.probing.tracing import CHANGES, Tracer
from sepnb.probing.workloads import Loss, Training, Workload, own_workload


class Predictor:
    """Predicts steps of one network on one card; what is dear to make, networks on fake tensors, it makes once."""

    def __init__(self, workload: Workload, card: Card, rates: Rates | None = None) -> None:
        self.workload, self.card = workload, card
        self.rates = rates_for(card) if rates is None else rates
        self._tracers: dict[Setting, Tracer] = {}
        self._scalings: dict[Setting, Scaling] = {}
        self._known: dict[Setting, Prediction] = {}

    def at(self, setting: Setting) -> Prediction:
        """The prediction for a setting, from a trace of its own."""
        if setting not in self._known:
            self._known[setting] = self.from_trace(self._tracer(setting).trace(**_changes(setting)))
        return self._known[setting]

    def at_batch(self, setting: Setting) -> Prediction:
        """The same, from what two small batches say of all: quick for many batches. Not for a batch of one."""
        one = replace(setting, batch=1)
        if one not in self._scalings:
            self._scalings[one] = scaling(self._tracer(setting), **_changes(setting))
        return self.from_trace(self._scalings[one].at(setting.batch))

    def from_trace(self, traced: Trace) -> Prediction:
        """The prediction for a step whose trace is known."""
        return Prediction(
            model=self.workload.title,
            card=self.card,
            trace=traced,
            extra=allowances(traced, self.card),
            reserved=simulate(traced) if traced.setting.device == "cuda" else None,
            step=step_time(traced, self.rates, self.card),
            training=self.workload.training if traced.setting.training else None,
        )

    def checkpoint_levels(self, setting: Setting) -> list[int]:
        """How deep in lists of layers there is something to checkpoint; see `checkpoint_blocks`."""
        return checkpoint_levels(self._tracer(setting).network)

    def _tracer(self, setting: Setting) -> Tracer:
        kind = replace(setting, batch=1, segment=1.0, precision="fp32", accumulate=1)
        if kind not in self._tracers:
            self._tracers[kind] = Tracer(self.workload, replace(kind, segment=setting.segment))
        return self._tracers[kind]


def _changes(setting: Setting) -> dict[str, object]:
    return {name: getattr(setting, name) for name in CHANGES}


def probe(
    model: str | nn.Module | Callable[[], nn.Module] | Workload,
    gpu: str = "t4",
    *,
    batch: int | None = None,
    segment: float | None = None,
    precision: str = "fp32",
    training: bool = True,
    accumulate: int = 1,
    checkpoint: int = 0,
    trainable: float = 1.0,
    width: float = 1.0,
    shape: tuple[int, ...] | Callable[[float], tuple[int, ...]] | None = None,
    rate: int = 44100,
    loss: Loss | None = None,
    rates: Rates | None = None,
) -> Prediction:
    """Predict memory and time of one training step (or forward pass) on a card, without a GPU and without allocating.

    `model` is a name of the story (`sepnb probe --help` lists them), a network of your own, or what makes one (its
    class, say: then not even its weights are allocated). Your own network needs the `shape` of one example, such as
    `(channels, samples)`; the mean absolute error is its loss, unless `loss(network, inputs, references)` is given.
    `gpu` is a name of `sepnb.probing.CARDS` or "cpu". `batch` (by default a GPU's share of the published one, or 1) is
    what is on the card at once, `segment` is in seconds (by default what the network was trained on). See `Setting` for
    the rest. Raises SepnbError for what is not known, and where the network needs values that fakes do not have.
    """
    workload = as_workload(model, shape, rate, loss)
    if segment is None and isinstance(shape, tuple):
        segment = shape[-1] / rate
    options = {"accumulate": accumulate, "checkpoint": checkpoint, "trainable": trainable, "width": width}
    card, setting = setting_for(workload, gpu, batch, segment, precision, training=training, **options)
    return Predictor(workload, card, rates).at(setting)


def setting_for(
    workload: Workload,
    gpu: str = "t4",
    batch: int | None = None,
    segment: float | None = None,
    precision: str = "fp32",
    **options: object,
) -> tuple[Card, Setting]:
    """The card of a name, and a setting on it: what is not said is as published."""
    card = cpu_card() if gpu.lower() == "cpu" else find_card(gpu)
    published = workload.training
    if segment is None and published is None:
        raise SepnbError("say how many seconds an example has (segment=…)")
    if precision == "bf16" and card.arithmetic and "bf16" not in card.arithmetic:
        raise SepnbError(f"{card.title} has no bf16: take fp16")
    if options.get("width", 1.0) < 1 and not workload.narrows:
        raise SepnbError("how a network of your own is made narrower is yours to say: give a narrower one")
    setting = Setting(
        (share(published) if published else 1) if batch is None else batch,
        published.segment if segment is None else segment,
        precision,
        device="cpu" if card.name == "cpu" else "cuda",
        **options,
    )
    return card, setting


def share(training: Training) -> int:
    """What one GPU had of the published batch."""
    return max(1, training.batch // training.gpus)


def as_workload(
    model: str | nn.Module | Callable[[], nn.Module] | Workload,
    shape: tuple[int, ...] | Callable[[float], tuple[int, ...]] | None = None,
    rate: int = 44100,
    loss: Loss | None = None,
) -> Workload:
    """The workload that is meant by a name or a network."""
    if isinstance(model, Workload):
        return model
    if isinstance(model, str):
        return find_workload(model)
    if shape is None:
        raise SepnbError("a network of your own needs the shape of one example: shape=(channels, samples), say")
    return own_workload(model, shape, rate, loss)
