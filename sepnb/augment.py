"""How training chunks are varied: what may be done to a stem, and how strongly."""

from dataclasses import asdict, dataclass, fields

from sepnb.errors import SepnbError


@dataclass(frozen=True)
class Augment:
    """How chunks are varied. Probabilities are for each example (remix) or for each of its stems (the others).

    The first four are on by default, as in most published recipes; the others are off, and make a small collection of
    songs sound like a larger one: other tempi and keys, other microphones and mixing desks, other rooms.
    """

    # Stems of an example come from different songs and places. It makes far more mixtures than there are songs, and
    # pays even though they clash (Jeon et al. 2024, arXiv 2402.18407). Open-Unmix and Demucs do it always.
    remix: float = 1.0
    # Level of each stem, in dB; amplitude is drawn evenly between the two. Open-Unmix and Demucs draw 0.25 to 1.25.
    gain_db: tuple[float, float] = (-12.0, 2.0)
    # Reverses the order of the channels (left and right): a hi-hat is as often left as right.
    swap: float = 0.5
    # Turns a stem upside down. It sounds the same, but not in the sum with other stems.
    polarity: float = 0.5
    # Plays a stem faster or slower by a factor between the two, pitch and tempo together, as a tape would. Stems that
    # are not remixed share one factor, so that they stay together.
    speed: tuple[float, float] = (1.0, 1.0)
    # A random tone curve: five bands, each raised or lowered by up to so many dB.
    eq_db: float = 0.0
    # Probability that a stem is silent, as in a solo or a break; one stem of an example always sounds.
    mute: float = 0.0
    # Probability of soft saturation, as of an amplifier or a tape, by an amount drawn anew.
    drive: float = 0.0
    # Probability of a short room: decaying noise, its length and level drawn anew.
    reverb: float = 0.0
    # Probability that a stem is made narrower: half of the time to mono, otherwise by a share drawn anew.
    mono: float = 0.0

    def __post_init__(self) -> None:
        for name in ("remix", "swap", "polarity", "mute", "drive", "reverb", "mono"):
            if not 0 <= getattr(self, name) <= 1:
                raise SepnbError(f"augmentation: {name} is a probability, 0 to 1, not {getattr(self, name)}")
        for name in ("gain_db", "speed"):
            if len(getattr(self, name)) != 2 or getattr(self, name)[0] > getattr(self, name)[1]:
                raise SepnbError(f"augmentation: {name} is a lowest and a highest value, not {getattr(self, name)}")
        if self.speed[0] <= 0:
            raise SepnbError(f"augmentation: a speed is a factor above 0, not {self.speed[0]}")
        if self.eq_db < 0:
            raise SepnbError(f"augmentation: eq_db is the largest change in dB, 0 or more, not {self.eq_db}")

    @classmethod
    def none(cls) -> "Augment":
        """Songs as they are: all stems from the same place, unchanged."""
        return cls(remix=0.0, gain_db=(0.0, 0.0), swap=0.0, polarity=0.0)

    @property
    def has_effects(self) -> bool:
        """Whether any stem's sound is changed beyond its level, order of channels and speed."""
        return any((self.eq_db, self.drive, self.reverb, self.mono))

    def as_dict(self) -> dict[str, float | list[float]]:
        """Plain JSON values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict) -> "Augment":
        """What `as_dict` gave; raises SepnbError for a setting that there is not."""
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise SepnbError(f"augmentation: no setting {', '.join(unknown)} in this version of sepnb")
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
