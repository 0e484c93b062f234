"""What a device can do, as it was measured here: the denominators of MFU, of rooflines and of predicted step times.

One file per device, driver, torch and number of threads, in `ceilings/` beside the settings; a worker measures
(`tfx_engine.measure.ceilings`), everybody reads. What was measured under other circumstances is not used.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
from pathlib import Path

import msgspec

from tfx_engine.protocol.codec import decode
from tfx_engine.protocol.private import append_privately
from tfx_engine.protocol.trust import settings_folder
from tfx_engine.protocol.whole import write_whole

SCHEMA = 2  # of what is measured and how; another one is measured again
CALM_SPREAD_PERCENT, CALM_OTHERS_PERCENT = 25.0, 10.0
MOST_PAST = 100  # runs that are learnt from
MOST_TIMES = 5  # a machine that is never quiet is as fast as it is
ANOTHER_AFTER = datetime.timedelta(hours=1)
FORMATS = ("float32", "tf32", "bfloat16", "float16", "float8")  # in which matrix products run


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """Under what the figures hold. `clock_limit_mhz`: the highest clock that the device allows now."""

    kind: str  # cuda, xpu, mps, cpu
    name: str
    torch: str
    driver: str | None = None
    threads: int | None = None  # of a CPU
    clock_limit_mhz: float | None = None
    schema: int = SCHEMA


class Ceiling(msgspec.Struct, frozen=True, kw_only=True):
    """The best of several rounds, per second. `spread_percent`: by how much the median of the rounds missed it."""

    per_s: float
    spread_percent: float


class ProductRate(msgspec.Struct, frozen=True, kw_only=True):
    """How fast a product [rows, inner] x [inner, columns] runs in a format."""

    format: str
    rows: int
    inner: int
    columns: int
    flops_per_s: float


class AttentionRate(msgspec.Struct, frozen=True, kw_only=True):
    """How fast causal attention runs in a format over the full square, of which a kernel may leave out half."""

    format: str
    context: int
    head_width: int
    backward: bool
    flops_per_s: float


class CopyRate(msgspec.Struct, frozen=True, kw_only=True):
    """How fast a tensor of so many bytes is copied: bytes read and written per second."""

    bytes: int
    bytes_per_s: float


class PastRun(msgspec.Struct, frozen=True, kw_only=True):
    """What a run's step time was predicted from, uncorrected terms in ms, and what it was."""

    circumstances: Circumstances
    terms: dict[str, float]
    measured_ms: float
    name: str = ""


class Ceilings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was measured of one device. `flops`: by format; `missing`: why a format has none."""

    circumstances: Circumstances
    measured_at: str  # ISO 8601, UTC
    took_s: float
    flops: dict[str, Ceiling]
    bandwidth: Ceiling  # bytes read and written by a copy too large for any cache
    launch_us: float  # from one small operator to the next
    others_percent: float = 0.0  # of the time of all processors went to other programs meanwhile
    times: int = 1  # measured so often; the best of each figure is kept
    products: tuple[ProductRate, ...] = ()
    copies: tuple[CopyRate, ...] = ()
    attention: tuple[AttentionRate, ...] = ()
    operators: dict[str, float] = {}  # bytes read and written per second, by torch's name of the operator
    dispatch_us: float = 0.0  # the host's share of one operator of a training, forward and backward
    clock_mhz: float | None = None  # seen while products ran
    missing: dict[str, str] = {}

    @property
    def is_busy(self) -> bool:
        """Whether the device had other things to do, so that it may be able to do more than was seen."""
        spread = max((c.spread_percent for c in (*self.flops.values(), self.bandwidth)), default=0.0)
        return spread > CALM_SPREAD_PERCENT or (self.circumstances.kind == "cpu" and
                                                self.others_percent > CALM_OTHERS_PERCENT)

    def is_worth_another(self, now: datetime.datetime) -> bool:
        """Whether to measure once more, as the device may be quiet now: not often, and not forever."""
        age = now - datetime.datetime.fromisoformat(self.measured_at)
        return self.is_busy and self.times < MOST_TIMES and age >= ANOTHER_AFTER

    def is_current(self, circumstances: Circumstances) -> bool:
        """Whether they hold under these circumstances."""
        return self.circumstances == circumstances


def best_of(earlier: Ceilings | None, later: Ceilings) -> Ceilings:
    """The better of each figure, where the earlier ones were measured under the same circumstances."""
    if earlier is None or earlier.circumstances != later.circumstances:
        return later
    products = {(p.format, p.rows, p.inner, p.columns): p for p in (*earlier.products, *later.products)}
    for product in earlier.products:
        at = (product.format, product.rows, product.inner, product.columns)
        products[at] = max(product, products[at], key=lambda p: p.flops_per_s)
    copies = {c.bytes: c for c in (*earlier.copies, *later.copies)}
    for copy in earlier.copies:
        copies[copy.bytes] = max(copy, copies[copy.bytes], key=lambda c: c.bytes_per_s)
    attention = {(a.format, a.context, a.head_width, a.backward): a for a in (*earlier.attention, *later.attention)}
    for one in earlier.attention:
        at_ = (one.format, one.context, one.head_width, one.backward)
        attention[at_] = max(one, attention[at_], key=lambda a: a.flops_per_s)
    names = earlier.operators.keys() | later.operators.keys()
    operators = {n: max(earlier.operators.get(n, 0.0), later.operators.get(n, 0.0)) for n in sorted(names)}
    formats = [f for f in FORMATS if f in earlier.flops or f in later.flops]
    both = [(earlier.flops.get(f), later.flops.get(f)) for f in formats]
    return msgspec.structs.replace(
        later, flops={f: _higher(*pair) for f, pair in zip(formats, both, strict=True)},
        bandwidth=_higher(earlier.bandwidth, later.bandwidth), launch_us=min(earlier.launch_us, later.launch_us),
        products=tuple(products.values()), copies=tuple(copies.values()),
        attention=tuple(attention.values()), operators=operators,
        dispatch_us=min(earlier.dispatch_us or later.dispatch_us, later.dispatch_us), times=earlier.times + later.times,
        others_percent=min(earlier.others_percent, later.others_percent),
    )


def _higher(*found: Ceiling | None) -> Ceiling:
    return max((ceiling for ceiling in found if ceiling is not None), key=lambda ceiling: ceiling.per_s)


def flops_per_s(flops_per_step: float, step_ms: float) -> float:
    """What got done per second: of model FLOPs the numerator of MFU."""
    return flops_per_step * 1000.0 / step_ms


def folder() -> Path:
    """Where they are kept."""
    return settings_folder() / "ceilings"


def load_ceilings(circumstances: Circumstances) -> Ceilings | None:
    """What was measured under these circumstances; None where nothing was, or nothing that can be read."""
    found = _read(file_of(circumstances))
    return found if found is not None and found.is_current(circumstances) else None


def all_ceilings() -> list[Ceilings]:
    """Everything that was ever measured here, the newest first; also what is no longer current."""
    found = [_read(path) for path in sorted(folder().glob("*.json"))]
    return sorted((c for c in found if c is not None), key=lambda c: c.measured_at, reverse=True)


def save_ceilings(ceilings: Ceilings) -> None:
    """Keep them, whole or not at all, whoever else writes at the same time. Raises OSError where it cannot be done."""
    write_whole(file_of(ceilings.circumstances), msgspec.json.format(msgspec.json.encode(ceilings)))


def load_past(circumstances: Circumstances) -> list[PastRun]:
    """The newest runs under these circumstances whose step time was predicted, the oldest first."""
    try:
        lines = past_file(circumstances).read_bytes().splitlines()
    except OSError:
        return []
    found = []
    for line in lines[-MOST_PAST:]:
        with contextlib.suppress(msgspec.DecodeError):  # a line that was cut off by a full disk
            found.append(decode(line, PastRun))
    return [run for run in found if run.circumstances == circumstances]


def add_past(run: PastRun) -> None:
    """Keep a run to learn from. One line, appended: several may do so at once. Raises OSError."""
    append_privately(past_file(run.circumstances), msgspec.json.encode(run) + b"\n")


def past_file(circumstances: Circumstances) -> Path:
    """Where the runs of a device are."""
    return file_of(circumstances).with_suffix(".runs.jsonl")


def _read(path: Path) -> Ceilings | None:
    try:
        return decode(path.read_bytes(), Ceilings)
    except (OSError, msgspec.DecodeError):
        return None


def file_of(circumstances: Circumstances) -> Path:
    """One for each device and number of threads: what else changes replaces what was measured before."""
    which = f"{circumstances.kind}\0{circumstances.name}\0{circumstances.threads}"
    return folder() / f"{circumstances.kind}-{hashlib.sha256(which.encode()).hexdigest()[:12]}.json"
