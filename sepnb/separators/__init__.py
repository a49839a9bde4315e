"""Systems that turn a mixture into stems, behind one interface, and a registry of their names."""

from sepnb.separators.base import Bindable, Separator, separate
from sepnb.separators.listing import facts, seen_test_songs
from sepnb.separators.registry import REGISTRY, load_separator

__all__ = ["REGISTRY", "Bindable", "Separator", "facts", "load_separator", "seen_test_songs", "separate"]
