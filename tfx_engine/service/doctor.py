"""The service's own part of `doctor`: Python, the store, the disk. Torch and devices are the worker's part."""

from __future__ import annotations

import platform
import shutil
import sys
from pathlib import Path
from typing import Any

from tfx_engine import __version__
from tfx_engine.runfile.store import store_refusal


def examine(store: Path) -> dict[str, Any]:
    """Facts by name; a number that could not be read is null."""
    return {
        "engine": __version__,
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "store": str(store),
        "store_refusal": store_refusal(store),
        "store_free_bytes": _free_bytes(store),
    }


def _free_bytes(folder: Path) -> int | None:
    for place in (folder, *folder.parents):  # the store is made with the first run
        try:
            return shutil.disk_usage(place).free
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return None
