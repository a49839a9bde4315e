"""Listening in a notebook."""

from sepnb.listening.players import fader_mixer, mix, players

__all__ = ["fader_mixer", "mix", "players"]
