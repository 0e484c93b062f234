"""The texts of the licences of everything that the frozen program carries, in one file."""

from __future__ import annotations

from pathlib import Path

FILE = "THIRD-PARTY.txt"


def write_licences(app: Path) -> None:
    """Write them beside the executables."""
