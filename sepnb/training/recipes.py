"""Named settings of a training run, chosen once and written into its history."""

import math
from dataclasses import asdict, dataclass, field, fields

from sepnb.augment import Augment
from sepnb.errors import SepnbError


@dataclass(frozen=True)
class Recipe:
    """What a run is trained with. Lengths are in seconds, the learning rate is Adam's.

    Variations are made with `dataclasses.replace`. Raises SepnbError for values that cannot be.
    """

    name: str
    epochs: int
    # None: as many as hold as much music as the songs it trains on, so that an epoch hears each of them about once.
    steps_per_epoch: int | None
    # Longer than the widest thing a four-level U-Net can see (about 1.8 s), short enough for a batch to hold variety.
    seconds: float = 3.0
    # Chunks that one step learns from, over all GPUs and accumulated parts together.
    batch_size: int = 8
    # Parts that a batch is computed in, one after the other, where all of it does not fit into memory.
    accumulate: int = 1
    learning_rate: float = 1e-3
    # Steps in which the learning rate rises from nothing, at most a tenth of the run; then it falls along a cosine.
    warmup_steps: int = 0
    weight_decay: float = 0.0
    # Largest norm of the gradient: one odd batch shall not throw the weights far off.
    clip: float = 5.0
    # Decay a step of the averaged weights that are validated and saved; 0 takes the weights as they are.
    ema: float = 0.0
    # A network of sepnb.models, and what differs from its config as it comes.
    model: str = "toy"
    settings: dict[str, int | float | str] = field(default_factory=dict, hash=False)
    # A name of training.losses.LOSSES.
    loss: str = "energy"
    # auto: what the device is fastest at without harm; or fp32, fp16, bf16.
    precision: str = "auto"
    augment: Augment = field(default_factory=Augment)
    # Only the first so many training songs; None: all.
    songs: int | None = None
    # Chunks of unseen songs that the validation loss is taken on, the same ones after every epoch.
    valid_chunks: int = 16
    # Their length; None: as long as the training chunks. Runs that train on other lengths than each other are only to
    # be compared where this is the same.
    valid_seconds: float | None = None
    # Epochs without a better validation SDR before the run stops; None: never.
    patience: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate", "valid_chunks", "steps_per_epoch", "songs", "patience"):
            value = getattr(self, name)
            optional = name in ("steps_per_epoch", "songs", "patience") and value is None
            if not optional and (not isinstance(value, int) or value < 1):
                raise SepnbError(f"recipe {self.name}: {name} is a number from 1 up, not {value}")
        for name in ("seconds", "learning_rate", "clip", "valid_seconds"):
            value = getattr(self, name)
            if not (name == "valid_seconds" and value is None) and not 0 < value < math.inf:
                raise SepnbError(f"recipe {self.name}: {name} is above 0, not {value}")
        for name in ("warmup_steps", "weight_decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise SepnbError(f"recipe {self.name}: {name} is 0 or more, not {getattr(self, name)}")
        if not 0 <= self.ema < 1:
            raise SepnbError(f"recipe {self.name}: ema is from 0 to below 1, not {self.ema}")
        if self.batch_size % self.accumulate:
            raise SepnbError(
                f"recipe {self.name}: a batch of {self.batch_size} cannot be computed in {self.accumulate} equal parts"
            )

    @property
    def seconds_heard(self) -> float:
        """Seconds of music in all training chunks of the run; of a recipe that fixes its steps an epoch."""
        if self.steps_per_epoch is None:
            raise SepnbError(f"recipe {self.name}: how much it hears depends on the songs, it fixes no steps an epoch")
        return self.epochs * self.steps_per_epoch * self.batch_size * self.seconds

    def as_dict(self) -> dict[str, object]:
        """Plain JSON values."""
        return {**asdict(self), "augment": self.augment.as_dict()}

    @classmethod
    def from_dict(cls, values: dict) -> "Recipe":
        """What `as_dict` gave; raises SepnbError for a setting that there is not, or one that is missing."""
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise SepnbError(f"recipe {values.get('name')}: no setting {', '.join(unknown)} in this version of sepnb")
        missing = [name for name in ("name", "epochs", "steps_per_epoch") if name not in values]
        if missing:
            raise SepnbError(f"recipe {values.get('name')}: {', '.join(missing)} is not said, it is damaged")
        return cls(**{**values, "augment": Augment.from_dict(values.get("augment", {}))})


# Half the chunks are songs as they are, which is what a network is asked to separate: gentler than for a long run.
MINUTE = {
    "batch_size": 4,
    "augment": Augment(remix=0.5, gain_db=(-6.0, 2.0)),
    "valid_chunks": 8,
}

TWO_CORES = {
    "steps_per_epoch": 60,
    "batch_size": 4,
    "warmup_steps": 20,
    "ema": 0.99,
    "augment": Augment(remix=0.6, gain_db=(-8.0, 2.0)),
}

RECIPES = {
    recipe.name: recipe
    for recipe in (
        # Half a minute each on two cores: enough to see a loss fall and a mask form.
        Recipe("toy-minute", epochs=6, steps_per_epoch=16, learning_rate=3e-3, settings={"width": 16}, **MINUTE),
        Recipe(
            "compact-minute",
            epochs=3,
            steps_per_epoch=10,
            learning_rate=2e-3,
            warmup_steps=10,
            model="compact",
            **MINUTE,
        ),
        # The student report's question, chunks of 3 seconds or of 30: both hear a minute of music a step and take as
        # many steps, so they differ in nothing but how that minute is cut, into 20 chunks or into 2. Both validate on
        # the same 80 chunks. With batches of equal numbers instead, one would hear ten times the music of the other.
        Recipe("toy-3s", epochs=50, steps_per_epoch=100, seconds=3.0, batch_size=20, valid_chunks=80),
        Recipe(
            "toy-30s", epochs=50, steps_per_epoch=100, seconds=30.0, batch_size=2, valid_chunks=80, valid_seconds=3.0
        ),
        # For excerpts of seven seconds there is no more than twice as long to be had.
        Recipe(
            "toy-6s", epochs=50, steps_per_epoch=100, seconds=6.0, batch_size=10, valid_chunks=80, valid_seconds=3.0
        ),
        # The report's question in ten seconds on two cores: half the music a step, and few steps.
        Recipe(
            "toy-3s-short", epochs=3, steps_per_epoch=2, seconds=3.0, batch_size=10, learning_rate=3e-3, valid_chunks=8
        ),
        Recipe(
            "toy-30s-short",
            epochs=3,
            steps_per_epoch=2,
            seconds=30.0,
            batch_size=1,
            learning_rate=3e-3,
            valid_chunks=8,
            valid_seconds=3.0,
        ),
        # The best that we know how to train from scratch on one GPU.
        Recipe(
            "compact",
            epochs=100,
            steps_per_epoch=100,
            seconds=6.0,
            batch_size=16,
            learning_rate=1e-3,
            warmup_steps=200,
            weight_decay=1e-2,
            ema=0.999,
            model="compact",
            valid_chunks=32,
            patience=30,
        ),
        # The same two networks for two cores and some twenty minutes: batches that a step takes half a second for, and
        # the higher learning rate that so few steps call for. Toy and compact hear the very same batches, which is what
        # makes them comparable; give each the epochs that fit into the minutes there are (`--minutes`).
        Recipe("toy-cpu", epochs=30, learning_rate=3e-3, **TWO_CORES),
        Recipe("compact-cpu", epochs=30, learning_rate=2e-3, model="compact", **TWO_CORES),
    )
}


def find_recipe(name: Recipe | str) -> Recipe:
    """The recipe of that name, or the recipe itself; raises SepnbError with the names there are."""
    if isinstance(name, Recipe):
        return name
    if name not in RECIPES:
        raise SepnbError(f"no recipe {name!r}; there are {', '.join(RECIPES)}")
    return RECIPES[name]
