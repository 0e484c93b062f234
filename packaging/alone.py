"""The environment of somebody who has nothing of ours: a home, and what the system itself needs to start a program."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Without these Windows starts no program that draws a random number or looks for a library.
_OF_WINDOWS = ("SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PROCESSOR_ARCHITECTURE", "NUMBER_OF_PROCESSORS")


def environment(home: Path, **more: str) -> dict[str, str]:
    """All that a program is told; neither PATH nor a variable of Python is in it."""
    kept = {"HOME": str(home), "LANG": "C.UTF-8"}
    if sys.platform == "win32":
        kept = {name: os.environ[name] for name in _OF_WINDOWS if name in os.environ}
        kept |= dict.fromkeys(("USERPROFILE", "APPDATA", "LOCALAPPDATA", "TEMP", "TMP"), str(home))
    return {**kept, **more}
