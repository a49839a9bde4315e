"""How long a traced step takes: each operator by its arithmetic, the bytes that it moves, and what it costs to start.

After the roofline model (Williams, Waterman and Patterson 2009), with a sum in place of its maximum: few operators
overlap computing and moving perfectly, and a sum of costs can be fitted to measurements by linear least squares. How
dear a FLOP or a byte is depends on the sort of operator: `work` sorts them, `Rates` has a cost for each sort.
"""

from dataclasses import asdict, dataclass

import pandas as pd

from sepnb.errors import SepnbError
from sepnb.probing.cards import Card
from sepnb.probing.rates import BATCHES, PRODUCTS, WIDTHS, Rates
from sepnb.probing.trace import PHASES, Trace

# Weights that a recurrent layer reads at each step and that no cache holds, in bytes.
UNCACHED = 16 * 2**20
# Below so many bytes, what an operator reads may still be in a cache.
SMALL = 4 * 2**20
# Number by number, but with a function that takes more than an addition does.
_DEAR = (
    *("gelu", "sigmoid", "tanh", "silu", "glu", "exp", "log", "log1p", "pow", "sqrt", "rsqrt", "abs", "sgn", "angle"),
    *("_softmax", "_softmax_backward_data", "erf", "_prelu_kernel_backward", "div", "atan2"),
)
# Random numbers, which a CPU draws one after the other.
_RANDOM = ("bernoulli_", "rand", "randn", "normal_", "uniform_", "native_dropout")
# Copies that go through memory out of order, or add where several numbers meet.
_SCATTERED = (
    "unfold_backward",
    "index",
    "index_put",
    "index_put_",
    "index_add",
    "index_add_",
    "gather",
    "roll",
    "flip",
)


@dataclass(frozen=True)
class StepTime:
    """How long a step takes, in seconds, and between which ends that is likely to lie."""

    seconds: float
    low: float
    high: float
    by_kind: dict[str, float]
    by_phase: dict[str, float]
    # Whether the rates were measured on the device, or are assumed.
    calibrated: bool
    # Whether the host, not the GPU, sets the pace: then `by_kind`, of the GPU's own time, adds up to less.
    host_bound: bool = False

    def as_dict(self) -> dict:
        """All of it as plain numbers and text, for a JSON file."""
        return asdict(self)


def step_time(trace: Trace, rates: Rates, card: Card | None = None) -> StepTime:
    """Seconds of a whole step, all micro-batches that it accumulates included.

    Raises SepnbError where the rates are of another card than `card`.
    """
    if card is not None and card.name != rates.card:
        raise SepnbError(f"these rates are of {rates.title}, not of {card.title}")
    done = work(trace.ops)
    times = trace.setting.accumulate
    costs = {sort: rates.cost(sort) for sort in done["sort"].unique()}
    seconds = done["amount"] * done["sort"].map(costs).astype(float)
    # A trace holds one micro-batch; the optimizer waits for all of them.
    seconds *= done["phase"].map({phase: 1 if phase == "optimizer" else times for phase in PHASES}).astype(float)
    by_kind = seconds.groupby(done["kind"]).sum().sort_values(ascending=False).to_dict()
    by_phase = {phase: float(seconds[done["phase"] == phase].sum()) for phase in PHASES}
    ends = [sum(each * rates.spread.get(kind, (1.0, 1.0))[end] for kind, each in by_kind.items()) for end in (0, 1)]
    started = trace.ops[trace.ops["bytes"] > 0]["phase"].value_counts()
    waiting = {
        phase: rates.host * int(started.get(phase, 0)) * (1 if phase == "optimizer" else times) for phase in PHASES
    }
    host_bound = sum(waiting.values()) > sum(by_phase.values())
    by_phase = {phase: max(by_phase[phase], waiting[phase]) for phase in PHASES}
    total, least = sum(by_phase.values()), sum(waiting.values())
    low, high = max(ends[0], 0.5 * least), max(ends[1], 2 * least)
    return StepTime(total, min(total, low), max(total, high), by_kind, by_phase, rates.calibrated, host_bound)


def work(ops: pd.DataFrame) -> pd.DataFrame:
    """What operators have to do, as amounts of sorts of work. `ops` is that of a `Trace`.

    A row for each operator and unit that it has any of: sort, amount, kind, phase. A sort is a unit ("flop", "byte",
    "operator", "step"), a kind, and what else decides how dear that is: precision, direction, width.
    """
    # Taking memory and doing nothing with it costs nothing that could be told from noise; what makes the data is not
    # part of a step.
    ops = ops[(ops["bytes"] > 0) & ops["phase"].isin(PHASES)]
    names = ops["operator"].str.extract(r"^(?:aten::?\.?)?(\w+)", expand=False)
    # By name, not by phase: checkpointing computes forward passes in the backward phase.
    backward = ops["operator"].str.contains("backward")
    direction = backward.map({True: "backward", False: "forward"})
    detail = _detail(ops, names)
    size = (ops["bytes"] < SMALL).map({True: "small", False: "large"})
    arithmetic = ops["kind"].isin((*PRODUCTS, "recurrent", "fft")) & (ops["flops"] > 0)
    parts = (
        ("flop " + ops["kind"] + " " + ops["dtype"] + " " + direction + " " + detail, ops["flops"], arithmetic),
        ("byte " + ops["kind"] + " " + size + " " + direction + " " + _speed(names), ops["bytes"], ops["bytes"] > 0),
        ("operator " + ops["phase"], 1 + 0 * ops["bytes"], ops["bytes"] > 0),
        ("step recurrent " + _loop(ops) + " " + direction, ops["steps"], ops["steps"] > 0),
    )
    rows = [
        pd.DataFrame({"sort": sort, "amount": amount, "kind": ops["kind"], "phase": ops["phase"]})[there]
        for sort, amount, there in parts
    ]
    return pd.concat(rows)


def _detail(ops: pd.DataFrame, names: pd.Series) -> pd.Series:
    """Class of width of a product; of a recurrent layer also whether it is a loop, and whether a cache holds it."""
    recurrent = ops["kind"] == "recurrent"
    width = [
        max(bound for bound in (BATCHES if loop else WIDTHS) if bound <= max(1, narrow))
        for narrow, loop in zip(ops["narrow"], recurrent, strict=True)
    ]
    detail = pd.Series(width, ops.index).astype(str)
    # oneDNN's way back is one kernel of twice the FLOPs; cuDNN's is two.
    passes = (names.str.contains("backward") & ~names.str.contains("cudnn")).map({True: 2, False: 1})
    # Two FLOPs and four bytes a weight, example and step.
    weights = 2 * ops["flops"] / passes / (ops["narrow"].clip(lower=1) * ops["steps"].clip(lower=1))
    held = (weights > UNCACHED).map({True: "uncached", False: "cached"})
    return detail.where(~recurrent, _loop(ops) + " " + held + " " + detail)


def _loop(ops: pd.DataFrame) -> pd.Series:
    # PyTorch has no kernel for a GRU on a CPU: it runs a hundred operators and more at each step.
    return ops["operator"].str.contains("aten.gru.", regex=False).map({True: "loop", False: "kernel"})


def _speed(names: pd.Series) -> pd.Series:
    stems = names.str.replace("_backward$", "", regex=True)
    speed = pd.Series("plain", names.index)
    speed[stems.isin(_DEAR) | names.isin(_DEAR)] = "dear"
    speed[names.isin(_SCATTERED)] = "scattered"
    speed[names.isin(_RANDOM)] = "random"
    return speed
