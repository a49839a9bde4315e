"""Networks of our own."""

from sepnb.models.compact import CompactConfig, CompactUNet
from sepnb.models.saving import MODELS, build, load, save
from sepnb.models.toy import UNet, UNetConfig

__all__ = ["MODELS", "CompactConfig", "CompactUNet", "UNet", "UNetConfig", "build", "load", "save"]
