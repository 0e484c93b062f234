"""A package for Debian and Ubuntu, put together by `dpkg-deb`."""

from __future__ import annotations

from pathlib import Path

from formats import Installed
from product import Product

SYSTEM = "linux"
TOOLS = {"dpkg-deb": "dpkg", "dpkg-shlibdeps": "dpkg-dev", "strip": "binutils"}


def build(app: Path, product: Product, out: Path) -> Path:
    """The package, of a copy of the frozen program."""
    raise NotImplementedError


def install(installer: Path) -> Installed:
    """Install it with apt."""
    raise NotImplementedError


def uninstall(installed: Installed) -> list[str]:
    """Purge it with apt; files that are left."""
    raise NotImplementedError
