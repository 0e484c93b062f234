"""Files and folders that are their owner's alone, whatever the umask: runs, settings, what this machine has learned.

What somebody asks for by name to hand it on, a report or an export, is not among them: there the umask decides.
"""

from __future__ import annotations

import os
from pathlib import Path

FOLDER, FILE = 0o700, 0o600
_WHERE_TEXT_DIFFERS = getattr(os, "O_BINARY", 0)  # Windows


def make_private_folder(folder: Path) -> None:
    """The folder, and what is missing above it. One that is there stays as it is. Raises OSError.

    `mkdir(parents=True)` would make those above as the umask says.
    """
    try:
        folder.mkdir(mode=FOLDER, exist_ok=True)
    except FileNotFoundError:
        if folder.parent == folder:
            raise
        make_private_folder(folder.parent)
        folder.mkdir(mode=FOLDER, exist_ok=True)


def new_private_file(path: Path, content: bytes) -> None:
    """Write a file that is not there yet. Raises OSError, FileExistsError among them."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _WHERE_TEXT_DIFFERS, FILE), "wb") as file:
        file.write(content)


def append_privately(path: Path, line: bytes) -> None:
    """Add to a file, made with its folder where there is none; several may do so at once. Raises OSError."""
    make_private_folder(path.parent)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _WHERE_TEXT_DIFFERS, FILE), "ab") as file:
        file.write(line)


def private_opener(path: str, flags: int) -> int:
    """The `opener` of `open` for a file that is its owner's alone."""
    return os.open(path, flags, FILE)
