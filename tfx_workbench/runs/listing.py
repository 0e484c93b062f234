"""What the last scan of a store found, so that the next start need not open a thousand files. May be thrown away.

It lies with the user's caches, not in the store: a folder of runs that somebody sends says nothing but its runs.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tfx_engine.protocol.codec import decode
from tfx_engine.protocol.plain_file import read_plain
from tfx_engine.protocol.whole import write_whole
from tfx_workbench.runs.row import RunRow

Mark = tuple[tuple[int, int] | None, ...]  # of a file and its log: (time of change in ns, bytes)
FORMAT = 1


class Listing(msgspec.Struct):
    """Rows by the names of their files, each with the mark of the file that it was read from."""

    format: int
    store: str
    rows: dict[str, tuple[Mark, RunRow]]


def load_listing(store: Path) -> dict[Path, tuple[Mark, RunRow]]:
    """The rows that were kept of a store; empty where there are none, or none that this program wrote."""
    try:
        data = read_plain(listing_file(store))
        found = decode(data, Listing, lambda _, text: Path(text))
    except (OSError, msgspec.MsgspecError):
        return {}
    if found.format != FORMAT or found.store != str(store.resolve()):
        return {}
    return {store / name: pair for name, pair in found.rows.items()}


def save_listing(store: Path, rows: Mapping[Path, tuple[Mark, RunRow]]) -> None:
    """Keep rows for the next start. Where that is not possible, it takes longer: nothing is said."""
    listing = Listing(FORMAT, str(store.resolve()), {path.name: pair for path, pair in rows.items()})
    with contextlib.suppress(OSError):
        write_whole(listing_file(store), msgspec.json.encode(listing, enc_hook=str))


def listing_file(store: Path) -> Path:
    """Where the listing of a store is kept."""
    key = hashlib.sha256(os.fsencode(store.resolve())).hexdigest()[:16]
    return _cache() / "listings" / f"{key}.json"


def _cache() -> Path:
    if home := os.environ.get("TFX_HOME"):
        return Path(home) / "cache"
    import platformdirs  # only where it is needed: the window must be up fast

    return Path(platformdirs.user_cache_dir("tfx-workbench", appauthor=False))
