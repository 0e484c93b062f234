"""In which Python the engine runs: this one, or one that the user chose, for instance with a torch for their GPU.

The choice is a path in `engine.json` among the settings; `$TFX_ENGINE_PYTHON` comes before it. Choosing a Python means
running it, so nothing is ever chosen that the user did not name.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

VARIABLE = "TFX_ENGINE_PYTHON"
_FILE = "engine.json"


def is_frozen() -> bool:
    """Whether this is the installed program, into which nothing can be installed."""
    return bool(getattr(sys, "frozen", False))


def chosen_python() -> str | None:
    """The path of the Python that was chosen; None where the engine runs in this one."""
    if named := os.environ.get(VARIABLE):
        return named
    from tfx_engine.protocol.trust import settings_folder  # only here: a service needs it not

    try:
        kept: Any = json.loads((settings_folder() / _FILE).read_bytes())
    except (OSError, ValueError):
        return None
    python = kept.get("python") if isinstance(kept, dict) else None
    return python if isinstance(python, str) and python else None


def keep_choice(python: str | None) -> None:
    """Remember a Python, or with None that there is none. Raises OSError where settings cannot be kept."""
    from tfx_engine.protocol.trust import settings_folder
    from tfx_engine.protocol.whole import write_whole

    folder = settings_folder()
    if python is None:
        (folder / _FILE).unlink(missing_ok=True)
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(folder / _FILE, json.dumps({"python": python}).encode())


def sources() -> Path:
    """The folder that holds the package `tfx_engine` as source, for a Python that does not have it."""
    package = Path(__file__).resolve().parent.parent
    if is_frozen():
        return package.parent / "engine"  # apart from everything else that was frozen
    return package.parent
