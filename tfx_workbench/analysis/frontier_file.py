"""Frontiers that were found, one for each thing that can grow, in a small file of the store: they survive a restart.

What runs have shown is in their own files; this one remembers what was predicted, and which runs were to confirm it.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from tfx_engine.protocol.codec import decode
from tfx_engine.protocol.plain_file import read_plain
from tfx_engine.protocol.whole import write_whole
from tfx_workbench.analysis.frontier import GROWS, Frontier

NAME = "frontiers.json"
SCHEMA = 1


class _File(msgspec.Struct):
    schema: int
    frontiers: dict[str, Frontier]


def read_frontiers(store: Path) -> dict[str, Frontier]:
    """What was kept, by what grows; nothing where there is no such file, or it is none of ours."""
    try:
        kept = decode(read_plain(store / NAME), _File)
    except (OSError, msgspec.DecodeError):
        return {}
    return {grow: f for grow, f in kept.frontiers.items() if grow in GROWS and f.grow == grow and f.rows}


def keep_frontier(store: Path, found: Frontier) -> None:
    """Keep one in place of an older one of its kind. The file is replaced whole. Raises OSError."""
    kept = _File(SCHEMA, {**read_frontiers(store), found.grow: found})
    write_whole(store / NAME, msgspec.json.format(msgspec.json.encode(kept), indent=1))
