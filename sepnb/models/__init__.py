"""Networks of our own."""

from sepnb.models.toy import UNet, UNetConfig

__all__ = ["UNet", "UNetConfig"]
