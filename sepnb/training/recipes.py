"""Named settings of a training run, chosen once and written into its history."""

from dataclasses import dataclass, field

from sepnb.batches import Augment
from sepnb.errors import SepnbError


@dataclass(frozen=True)
class Recipe:
    """What a run is trained with. Lengths are in seconds, the learning rate is Adam's."""

    name: str
    epochs: int
    steps_per_epoch: int
    # Longer than the widest thing a four-level U-Net can see (about 1.5 s), short enough for a batch to hold variety.
    seconds: float = 3.0
    batch_size: int = 8
    learning_rate: float = 1e-3
    # The first layer's width of the U-Net.
    width: int = 16
    augment: Augment = field(default_factory=Augment)
    # Chunks of unseen songs that the validation loss is taken on, the same ones after every epoch.
    valid_chunks: int = 16
    seed: int = 0

    @property
    def seconds_heard(self) -> float:
        """Seconds of music in all training chunks of the run together."""
        return self.epochs * self.steps_per_epoch * self.batch_size * self.seconds


RECIPES = {
    recipe.name: recipe
    for recipe in (
        # About a minute on two cores: enough to see a loss fall and a mask form. Gentler variation than for a long run:
        # half the chunks are songs as they are, which is what it will be asked to separate.
        Recipe(
            "toy-minute",
            epochs=6,
            steps_per_epoch=16,
            batch_size=4,
            learning_rate=3e-3,
            augment=Augment(remix=0.5, gain_db=(-6.0, 2.0)),
            valid_chunks=8,
        ),
        # Chunks of three seconds as in the student report, for a GPU.
        Recipe("toy-3s", epochs=50, steps_per_epoch=100, batch_size=16),
    )
}


def find_recipe(name: str) -> Recipe:
    """The recipe of that name; raises SepnbError with the names there are."""
    if name not in RECIPES:
        raise SepnbError(f"no recipe {name!r}; there are {', '.join(RECIPES)}")
    return RECIPES[name]
