"""What every installer says of the program, and where its parts are put together."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "installers"  # the environment, the frozen program, what a format is put together in
DIST = ROOT / "dist"  # finished installers
METADATA = Path(__file__).resolve().parent / "metadata"  # desktop entry, AppStream, MIME type, icon, manual page
NAME = "tfx-workbench"
TITLE = "TFX Workbench"
SUMMARY = "Toggle transformer techniques, watch real training steps, compare"
PROGRAMS = ("tfx-workbench", "tfx-engine")  # the two executables of the frozen program, beside each other


class Product(NamedTuple):
    """`version` as the package has it; `seconds` since 1970 of the newest change, for dates inside installers."""

    version: str
    seconds: int


def product() -> Product:
    """The version of this checkout, and the time of its newest entry in the changelog."""
    text = (ROOT / "tfx_engine" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"', text, re.M)
    if found is None:
        raise ValueError("tfx_engine/__init__.py names no version")
    return Product(found[1], _newest_change())


def _newest_change() -> int:
    """The committer's time of this checkout, so that the same sources give the same dates; now, where git is not."""
    import os
    import subprocess

    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return int(time.time())
    return int(done.stdout) if done.returncode == 0 and done.stdout.strip() else int(time.time())
