"""Real window processes with a probe inside, started and listened to from here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from tfx_engine.protocol.launch import child_environment

PATIENCE_S = 300.0
SCREEN = ["-screen", "0", "1920x1200x24"]
DISPLAYS = ["offscreen", "xvfb"]


def has_display(display: str) -> bool:
    """Whether windows can be shown there: `xvfb` is a real X server without a screen."""
    return display == "offscreen" or shutil.which("xvfb-run") is not None


def window_says(
    home: Path, part: str, options: dict[str, Any] | None = None, *, display: str = "offscreen",
    arguments: Sequence[str | Path] = (),
) -> Iterator[dict[str, Any]]:
    """Start a window with a probe of that part (see `window_probe`); what it says, until it has ended.

    `home` is where it finds runs and settings. Fails where the program ends with anything but 0.
    """
    environment = {**child_environment(), "TFX_HOME": str(home), "QT_QPA_PLATFORM": "offscreen"}
    wrapper = []
    if display == "xvfb":
        wrapper = ["xvfb-run", "-a", "-s", " ".join(SCREEN)]
        environment["QT_QPA_PLATFORM"] = "xcb"
    options = options or {}
    if display == "xvfb":  # the server's own start is none of the program's: the clock starts behind it
        spawned = ["bash", "-c"]
