"""How far off predictions of memory were on this machine's own runs, level by level: what each states of its error.

One file beside the settings, one line a run and level. Of equal runs the newest counts: five repeats of one
configuration are off by the same, and tell no more of the next one than a single run does. Runs that a compiler changed
are told apart: their prediction is that of the step as it is without.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import statistics
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tfx_engine.protocol.codec import decode
from tfx_engine.protocol.private import append_privately
from tfx_engine.protocol.trust import settings_folder

MOST = 40  # the newest runs that count
LEAST = 5  # fewer say nothing
ENOUGH = 20  # fewer do not tell what all but one in twenty stay within: then the worst of them counts
_READ = 2000  # lines


def error_percent(predicted: float, measured: float, low: float | None = None, high: float | None = None) -> float:
    """Predicted / measured - 1, in per cent; of a prediction that is an interval that of its nearest end, 0 within it.

    Of every prediction that the program tells the error of, wherever it does.
    """
    if low is not None and high is not None and low < high:
        predicted = min(max(measured, low), high)
    return 100 * (predicted / measured - 1)


class PastPeak(msgspec.Struct, frozen=True, kw_only=True):
    """A peak that was predicted and measured, bytes. `low_bytes`, `high_bytes`: what enclosed it, if anything did."""

    kind: str  # of the device
    level: str
    compiled: bool
    predicted_bytes: int
    measured_bytes: int
    low_bytes: int | None = None
    high_bytes: int | None = None

    @property
    def error_percent(self) -> float:
        """Predicted / measured - 1; of an interval that of its nearest end."""
        return error_percent(self.predicted_bytes, self.measured_bytes, self.low_bytes, self.high_bytes)


@dataclasses.dataclass(frozen=True)
class OwnError:
    """Per cent, without sign: the median, and what 95 of 100 stay within. `runs` they were, no two of them equal."""

    median: float
    within_95: float
    runs: int


def add_peak(past: PastPeak) -> None:
    """Keep one to learn from. One line, appended: several may do so at once. Raises OSError."""
    append_privately(ledger_file(), msgspec.json.encode(past) + b"\n")


def own_error(kind: str, level: str, compiled: bool) -> OwnError | None:
    """Of the newest runs of that kind; None where they are too few."""
    errors = [abs(p.error_percent) for p in kept() if (p.kind, p.level, p.compiled) == (kind, level, compiled)][-MOST:]
    return error_of(errors) if len(errors) >= LEAST else None


def error_of(errors: Sequence[float]) -> OwnError:
    """What errors, in per cent, tell of the next one."""
    within = statistics.quantiles(errors, n=20, method="inclusive")[-1] if len(errors) >= ENOUGH else max(errors)
    return OwnError(statistics.median(errors), within, len(errors))


def kept() -> list[PastPeak]:
    """What is kept, the newest last; of equal runs the newest. Equal is what was predicted equal, to the byte."""
    newest: dict[tuple[str, str, bool, int, int | None, int | None], PastPeak] = {}
    for past in _past():
        which = past.kind, past.level, past.compiled, past.predicted_bytes, past.low_bytes, past.high_bytes
        newest.pop(which, None)
        newest[which] = past
    return list(newest.values())


def _past() -> list[PastPeak]:
    file = ledger_file()
    try:
        status = file.stat()
        return _read(file, status.st_mtime_ns, status.st_size)
    except OSError:
        return []


@functools.lru_cache(1)  # the window asks several times for each picture
def _read(file: Path, _written_ns: int, _size: int) -> list[PastPeak]:
    lines, found = file.read_bytes().splitlines(), []
    for line in lines[-_READ:]:
        with contextlib.suppress(msgspec.DecodeError):  # a line that was cut off by a full disk
            found.append(decode(line, PastPeak))
    return [past for past in found if past.measured_bytes > 0]


def ledger_file() -> Path:
    """Where they are kept."""
    return settings_folder() / "ledger.jsonl"
