"""What the campaigns have in common as commands: their options, and tables of what was measured and must hold."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Collection, Iterable
from typing import Any, Literal

CANNOT_BE_TOLD: Literal["cannot be told"] = "cannot be told"
Verdict = bool | Literal["cannot be told"]


def campaign_parser(doc: str | None, lanes: int = 0) -> argparse.ArgumentParser:
    """Of a campaign whose docstring is its help; with `--lanes` where its attempts go on side by side."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if lanes:
        parser.add_argument("--lanes", type=int, default=lanes, help=f"attempts side by side ({lanes})")
    return parser


def tell(table: str, found: Iterable[Collection[Any]]) -> int:
    """Print what came of attempts; the exit code, which is 1 where one of them has a "fault"."""
    print(table)
    return int(any("fault" in one for one in found))


@dataclasses.dataclass(frozen=True)
class Row:
    """One figure. `holds` None: it is told, and nothing was promised; CANNOT_BE_TOLD: the promise is neither kept nor
    broken by what was measured.
    """

    what: str
    measured: str
    promised: str = ""
    holds: Verdict | None = None


def below(low: float, high: float, most: float) -> Verdict:
    """Whether what lies in that interval is less than `most`."""
    if high < most:
        return True
    return False if low > most else CANNOT_BE_TOLD


def show(title: str, rows: Iterable[Row]) -> bool:
    """Print them; whether nothing that was promised is broken."""
    rows = list(rows)
    widths = [max(len(row.what) for row in rows), max(len(row.measured) for row in rows),
              max(len(row.promised) for row in rows)]
    print(f"\n{title}")
    for row in rows:
        verdict = {True: "holds", False: "DOES NOT HOLD", None: "", CANNOT_BE_TOLD: "CANNOT BE TOLD"}[row.holds]
        cells = f"  {row.what:<{widths[0]}}  {row.measured:>{widths[1]}}  {row.promised:<{widths[2]}}  {verdict}"
        print(cells.rstrip(), flush=True)
    for row in rows:
        if row.holds == CANNOT_BE_TOLD:
            print(f"  Neither kept nor broken by what was measured here: {row.what}, {row.promised}", flush=True)
    return all(row.holds is not False for row in rows)


def mib(size_bytes: float) -> str:
    """Bytes in words."""
    return f"{size_bytes / 2**20:+.1f} MiB" if size_bytes < 0 else f"{size_bytes / 2**20:.1f} MiB"
