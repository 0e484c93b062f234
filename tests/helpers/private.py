"""What is its owner's alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def assert_private(folder: Path) -> set[str]:
    """Every folder 0700, every file 0600; the names that were seen. On Windows nothing is asserted."""
    seen: dict[str, int] = {}
    for place in (folder, *folder.rglob("*")):
        try:
            seen[str(place.relative_to(folder))] = place.stat().st_mode
        except FileNotFoundError:
            continue  # gone meanwhile
    wrong = {name: oct(stat.S_IMODE(mode)) for name, mode in seen.items()
             if stat.S_IMODE(mode) != (0o700 if stat.S_ISDIR(mode) else 0o600)}
    assert os.name == "nt" or not wrong, wrong
    return set(seen)
