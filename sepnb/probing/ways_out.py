"""What would make a training step fit: each way by itself, with what it costs in memory and time."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sepnb.errors import SepnbError
from sepnb.probing.predicting import Predictor
from sepnb.probing.prediction import Prediction
from sepnb.probing.searching import largest_batch, longest_segment
from sepnb.probing.setting import Setting

# Shares of the channels, and of the layers, that are tried, from the gentlest on.
WIDTHS = (0.75, 0.5, 0.25)
TRAINED = (0.5, 0.25, 0.1)


@dataclass(frozen=True)
class WayOut:
    """A change to a training step, what it gives, and what it takes from the training."""

    change: str
    prediction: Prediction
    price: str

    def as_dict(self) -> dict:
        """Plain values."""
        return {"change": self.change, "price": self.price, **self.prediction.as_dict()}


def ways_out(predictor: Predictor, setting: Setting) -> list[WayOut]:
    """What can be done where a training step does not surely fit.

    Each is found by search: of its kind the gentlest change that surely fits; where none does, the strongest with its
    verdict (no segment, where even half a second is too long). Raises SepnbError for a forward pass.
    """
    if not setting.training:
        raise SepnbError("ways out are about training: for a forward pass, take shorter segments")
    kinds = (_smaller_batch, _shorter_segment, _sixteen_bits, _checkpointing, _fewer_channels, _last_layers, _together)
    return [way for find in kinds for way in find(predictor, setting)]


def _smaller_batch(predictor: Predictor, setting: Setting) -> Iterator[WayOut]:
    if setting.batch == 1:
        return
    adding = replace(setting, accumulate=max(2, setting.accumulate))
    found = largest_batch(predictor, adding, most=setting.batch - 1) or predictor.at(replace(adding, batch=1))
    times = -(-setting.batch // found.setting.batch)
    # As many parts as it takes, of equal size: together they are the batch that was asked for.
    batch = -(-setting.batch // times)
    found = predictor.at(replace(adding, batch=batch))
    times *= setting.accumulate
    found = predictor.from_trace(replace(found.trace, setting=replace(found.setting, accumulate=times)))
    yield WayOut(
        f"batch {batch}, gradients of {times} added up",
        found,
        "nothing, unless the network normalises over the batch",
    )


def _shorter_segment(predictor: Predictor, setting: Setting) -> Iterator[WayOut]:
    found = longest_segment(predictor, setting, most=setting.segment)
    if found is not None and found.setting.segment < setting.segment:
        yield WayOut(
            f"segments of {found.setting.segment:.1f} s", found, "the network sees less context, an epoch less music"
        )


def _sixteen_bits(predictor: Predictor, setting: Setting) -> Iterator[WayOut]:
    if setting.precision == "fp32":
        found = predictor.at(replace(setting, precision=_half(predictor)))
        yield WayOut(f"{found.setting.precision} autocast", found, "a loss scale to look after, seldom quality")


def _checkpointing(predictor: Predictor, setting: Setting) -> Iterator[WayOut]:
    if not setting.checkpoint and predictor.checkpoint_levels(setting):
        yield WayOut("gradient checkpointing", _best_checkpoints(predictor, setting), "a second forward pass")


def _fewer_channels(predictor: Predictor, setting: Setting) -> Iterator[WayOut]:
    if predictor.workload.narrows and setting.width == 1:
        # Weights go with the square of the channels, all else with the channels: what is too wide need not be tried.
        now = predictor.at(setting)
        rest = now.memory - now.lasting
        room = now.card.memory
        likely = [width for width in WIDTHS if width**2 * now.lasting + width * rest <= room] or WIDTHS[-1:]
        found = _first_that_fits(predictor, (replace(setting, width=width) for width in likely))
        yield WayOut(f"{found.setting.width:.0%} of the channels", found, "quality; pretrained weights do not fit")


def _last_layers(predictor: Predictor, setting: Setting) -> Iterator[WayOut]:
    if setting.trainable == 1:
        found = _first_that_fits(predictor, (replace(setting, trainable=trained) for trained in TRAINED))
        yield WayOut(f"train the last {found.setting.trainable:.0%} of layers", found, "only for pretrained weights")


def _together(predictor: Predictor, setting: Setting) -> Iterator[WayOut]:
    """16 bits, and the blocks that checkpointing alone would take: what leaves the network as it is."""
    if setting.precision != "fp32" or setting.checkpoint or not predictor.checkpoint_levels(setting):
        return
    level = _best_checkpoints(predictor, setting).setting.checkpoint
    found = predictor.at(replace(setting, precision=_half(predictor), checkpoint=level))
    yield WayOut(f"{found.setting.precision} and checkpointing", found, "a second forward pass, a loss scale")


def _half(predictor: Predictor) -> str:
    return "bf16" if "bf16" in predictor.card.arithmetic else "fp16"


def _first_that_fits(predictor: Predictor, settings: Iterator[Setting]) -> Prediction:
    found = None
    for setting in settings:
        found = predictor.at(setting)
        if found.fits:
            break
    return found


def _best_checkpoints(predictor: Predictor, setting: Setting) -> Prediction:
    """With the innermost blocks whose recomputing fits: they repeat least. If none does, with those that need least."""
    found = []
    for level in reversed(predictor.checkpoint_levels(setting)):
        found.append(predictor.at(replace(setting, checkpoint=level)))
        if found[-1].fits:
            return found[-1]
    return min(found, key=lambda one: one.memory)
