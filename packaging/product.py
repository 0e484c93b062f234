"""What every installer is made of, and where."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import NamedTuple

from metadata.identity import release_date, version

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "installers"  # the environment, the frozen program, what a format is put together in
DIST = ROOT / "dist"  # finished installers


class Product(NamedTuple):
    """`version` as the package has it; `seconds` since 1970, the date that files inside installers get."""

    version: str
    seconds: int


def product() -> Product:
    """Of this checkout."""
    midnight = datetime.datetime.combine(release_date(), datetime.time(), datetime.UTC)
    return Product(version(), int(midnight.timestamp()))
