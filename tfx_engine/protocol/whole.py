"""Small files of the program's own that are written whole or not at all, whoever else writes at the same time."""

from __future__ import annotations

import secrets
from pathlib import Path

from tfx_engine.protocol.private import make_private_folder, new_private_file


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file, for its owner alone, in a folder that is made where there is none.

    Raises OSError, and leaves the old one then.
    """
    make_private_folder(path.parent)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        new_private_file(beside, content)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
