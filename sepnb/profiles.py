"""Profiles: how much of everything the course does, on which songs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Profile:
    """How much of everything a notebook does, chosen once and by name."""

    name: str
    about: str
    # The store's excerpt of each song, in seconds.
    excerpt: float
    # What notebook 02 trains, and the ladder that it climbs with it; the top rung is the course's own network.
    recipe: str
    ladder: str
    # Two recipes that differ in the length of their chunks only, and one of the network that the toy is compared with.
    chunks: tuple[str, str]
    compact: str
    # Songs that notebook 04 scores, and seconds of each: the literature's 50 songs, in cuts that a free GPU can afford.
    score_songs: int
    score_seconds: float
    # Published systems that it scores, fetched at first use; one of each family of the story.
    pretrained: tuple[str, ...]


STORY = ("spleeter-4stems", "umxhq", "tasnet", "demucs48_hq", "hdemucs_high_musdb", "htdemucs")

PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            "demo",
            "the synthetic band",
            excerpt=30.0,
            recipe="toy-minute",
            ladder="demo",
            chunks=("toy-3s-short", "toy-30s-short"),
            compact="compact-minute",
            score_songs=3,
            score_seconds=10.0,
            pretrained=(),
        ),
        Profile(
            "sample",
            "MUSDB18's 7-second excerpts",
            excerpt=7.0,
            recipe="toy-minute",
            ladder="short",
            chunks=("toy-3s", "toy-6s"),
            compact="compact-cpu",
            score_songs=10,
            score_seconds=7.0,
            pretrained=STORY,
        ),
        Profile(
            "full",
            "MUSDB18-HQ",
            excerpt=30.0,
            recipe="toy-3s",
            ladder="report",
            chunks=("toy-3s", "toy-30s"),
            compact="compact",
            score_songs=50,
            score_seconds=30.0,
            pretrained=STORY,
        ),
    )
}
