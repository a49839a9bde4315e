"""The web demo: upload a song, take it apart, listen, change, take it home. `sepnb demo` serves it."""

from sepnb.webdemo.limits import DemoLimits
from sepnb.webdemo.serving import Demo, build_demo, check_password, new_password

__all__ = ["Demo", "DemoLimits", "build_demo", "check_password", "new_password"]
