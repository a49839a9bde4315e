"""Know before you train: what a network costs, found without a GPU and without allocating it."""

from sepnb.probe.size import ModelSize, model_size
from sepnb.probe.story import STORY, StoryModel, sizes

__all__ = ["STORY", "ModelSize", "StoryModel", "model_size", "sizes"]
