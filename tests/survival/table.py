"""Tables on a terminal: what was measured, what must hold, and whether it does."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable


@dataclasses.dataclass(frozen=True)
class Row:
    """One figure. `holds` None: it is told, and nothing was promised."""

    what: str
    measured: str
    promised: str = ""
    holds: bool | None = None


def show(title: str, rows: Iterable[Row]) -> bool:
    """Print them; whether all that was promised holds."""
    rows = list(rows)
    widths = [max(len(row.what) for row in rows), max(len(row.measured) for row in rows),
              max(len(row.promised) for row in rows)]
    print(f"\n{title}")
    for row in rows:
        verdict = {True: "holds", False: "DOES NOT HOLD", None: ""}[row.holds]
        cells = f"  {row.what:<{widths[0]}}  {row.measured:>{widths[1]}}  {row.promised:<{widths[2]}}  {verdict}"
        print(cells.rstrip(), flush=True)
    return all(row.holds is not False for row in rows)


def mib(size_bytes: float) -> str:
    """Bytes in words."""
    return f"{size_bytes / 2**20:+.1f} MiB" if size_bytes < 0 else f"{size_bytes / 2**20:.1f} MiB"
