"""From allocations and frees to the memory of a step: which block is what, and how much there was at every moment.

The events may come from torch's allocator (`memory_split.py`) or from a step under fake tensors (`tfx_engine.trace`).
What the categories mean stands in `memory_split.py`.
"""

from __future__ import annotations

import bisect
import dataclasses
import itertools
from collections.abc import Iterable, Sequence

import numpy as np

from tfx_engine.measure.memory_events import Change, Range
from tfx_engine.measure.memory_modules import (
    Held,
    ModuleMemory,
    Shape,
    TensorMemory,
    by_module,
    largest,
    over_time,
)
from tfx_engine.measure.parts import MEASURE, PREFIX
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.techniques.recompute import RECOMPUTE_MARK

RECOMPUTE = RECOMPUTE_MARK.removeprefix(PREFIX)
TIMELINE_POINTS = 400
NUMBER = {name: i for i, name in enumerate(CATEGORIES)}
_KEPT_FOR_BACKWARD = frozenset({"forward", "loss", RECOMPUTE})
FOREVER = 2**63 - 1

Storages = dict[int, tuple[int, str]]  # address -> (bytes, category)


@dataclasses.dataclass(frozen=True)
class MemorySplit:
    """One step's memory. `timeline` is int64 [n, 7] in the order of `CATEGORIES`, at `timeline_ms` within the step."""

    peak_bytes: int
    at_peak: dict[str, int]  # adds up to peak_bytes
    category_peak: np.ndarray  # int64 [7]: each category's own maximum
    timeline_ms: np.ndarray  # float64 [n]
    timeline: np.ndarray
    phases: list[tuple[str, float, float]]  # (name, start_ms, end_ms), profiler's cost included
    kernels: tuple[str, ...] = ()  # the attention kernels that torch used
    modules: tuple[ModuleMemory, ...] = ()  # at the peak; they add up to it, category by category
    tensors: tuple[TensorMemory, ...] = ()  # the largest blocks at the peak
    slots: tuple[str, ...] = ()
    slot_timeline: np.ndarray | None = None  # int64 [n, slots], at `timeline_ms`; adds up as `timeline` does


@dataclasses.dataclass
class Block:
    """One piece of memory from its allocation to its free. Those that the step begins with are born at 0."""

    ptr: int
    size: int
    born_ns: int
    died_ns: int = FOREVER
    category: str = "temporary"
    module: str = ""
    slot: str = ""
    operator: str = ""  # that made it; empty for what the step begins with
    held: Held | None = None


def blocks_of(base: Storages, changes: Sequence[Change]) -> list[Block]:
    """Every block that lived during the step. A free of what is not known here is none of ours."""
    live = {ptr: Block(ptr, size, born_ns=0, category=category) for ptr, (size, category) in base.items()}
    blocks = list(live.values())
    for change in changes:
        gone = live.pop(change.ptr, None)
        if gone is not None:  # or the address is used anew: the CPU's allocator reports no free of a block of the base
            gone.died_ns = change.t_ns
        if change.size > 0:
            live[change.ptr] = block = Block(
                change.ptr, change.size, change.t_ns, module=change.module, slot=change.slot, operator=change.operator
            )
            blocks.append(block)
    return blocks


def left_over(changes: Sequence[Change], base: Storages) -> list[Block]:
    """What a counting allocator held beyond the known storages and gave back in the step: the last one's readings."""
    live, left = set(base), []
    for change in changes:
        if change.size > 0:
            live.add(change.ptr)
        elif change.ptr in live:
            live.remove(change.ptr)
        else:
            left.append(Block(change.ptr, -change.size, 0, change.t_ns, "other"))
    return left


def classify(
    blocks: Sequence[Block], ranges: Sequence[Range], gradients: set[int], state: set[int],
    passing: Iterable[tuple[int, int]] = (),
) -> None:
    """Give every block of the step its category. `passing`: (address, moment) of gradients that did not stay."""
    outer, inner = map(_Timeline, nested(ranges))
    passed = _alive(blocks, passing)
    backward_end = max((r.end_ns for r in ranges if r.name == "backward"), default=0)
    for block in blocks:
        if block.born_ns == 0:
            continue  # of the base
        part = inner.at(block.born_ns) or outer.at(block.born_ns)
        if id(block) in passed or (block.ptr in gradients and block.born_ns <= backward_end < block.died_ns):
            block.category = "gradients"
        elif block.ptr in state and block.died_ns == FOREVER:
            block.category = "optimizer"
        elif part is None or part.name == MEASURE:
            block.category = "other"
        elif part.name in _KEPT_FOR_BACKWARD and block.died_ns > part.end_ns:
            block.category = "activations"


def nested(ranges: Sequence[Range]) -> tuple[list[Range], list[Range]]:
    """(the parts of a step, what lies within one of them: recomputation, readings while weights move)."""
    outer: list[Range] = []
    inner: list[Range] = []
    for r in ranges:
        (inner if outer and r.start_ns < outer[-1].end_ns else outer).append(r)
    return outer, inner


def _alive(blocks: Sequence[Block], moments: Iterable[tuple[int, int]]) -> set[int]:
    """`id` of the block that lived at each (address, moment)."""
    at: dict[int, list[int]] = {}
    for ptr, t_ns in moments:
        at.setdefault(ptr, []).append(t_ns)
    return {id(b) for b in blocks if any(b.born_ns <= t_ns < b.died_ns for t_ns in at.get(b.ptr, ()))}


class _Timeline:
    """Ranges that do not overlap, to be asked by time."""

    def __init__(self, ranges: Sequence[Range]) -> None:
        self._ranges = ranges
        self._starts = [r.start_ns for r in ranges]

    def at(self, t_ns: int) -> Range | None:
        i = bisect.bisect_right(self._starts, t_ns) - 1
        return self._ranges[i] if i >= 0 and t_ns <= self._ranges[i].end_ns else None


def events_of(blocks: Sequence[Block]) -> list[tuple[int, bool, int]]:
    """What happened in the step, in order: (moment, whether it is an allocation, number of the block)."""
    events = [(block.born_ns, True, i) for i, block in enumerate(blocks) if block.born_ns]
    events += [(block.died_ns, False, i) for i, block in enumerate(blocks) if block.died_ns != FOREVER]
    # At one and the same moment frees go first: an address is free before it is used again.
    return sorted(events, key=lambda event: event[:2])


def series(
    blocks: Sequence[Block], uncounted: int = 0, events: Sequence[tuple[int, bool, int]] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(moments int64 [n], bytes by category int64 [n, 7] from that moment on); the first is what the step begins with.

    `uncounted`: bytes of the category "other" that are there all the time and belong to no block. `events`: those of
    the blocks, where they are at hand.
    """
    events = events_of(blocks) if events is None else events
    change = np.zeros((len(events) + 1, len(CATEGORIES)), np.int64)
    change[0, NUMBER["other"]] = uncounted
    for block in blocks:
        if block.born_ns == 0:
            change[0, NUMBER[block.category]] += block.size
    for row, (_, is_birth, i) in enumerate(events, start=1):
        change[row, NUMBER[blocks[i].category]] = blocks[i].size if is_birth else -blocks[i].size
    return np.array([0] + [t_ns for t_ns, _, _ in events], np.int64), change.cumsum(axis=0)


def _alive_after(blocks: Sequence[Block], events: Sequence[tuple[int, bool, int]], row: int) -> list[Block]:
    """The blocks that are there after so many events."""
    alive = {i for i, block in enumerate(blocks) if block.born_ns == 0}
    for _, is_birth, i in events[:row]:
        if is_birth:
            alive.add(i)
        else:
            alive.discard(i)
    return [blocks[i] for i in sorted(alive)]


def replay(
    blocks: Sequence[Block], ranges: Sequence[Range], uncounted: int, shapes: Sequence[Shape] | None = None
) -> MemorySplit:
    """The memory of a step whose blocks have their categories. `shapes`: tell the largest blocks one by one, too."""
    events = events_of(blocks)
    time_ns, bytes_NC = series(blocks, uncounted, events)
    zero_ns = min([r.start_ns for r in ranges] + time_ns[1:].tolist(), default=0)
    time_ms = np.maximum(time_ns - zero_ns, 0) / 1e6
    outer, inner = nested(ranges)
    shown = sorted([*outer, *(r for r in inner if r.name == RECOMPUTE)], key=lambda r: r.start_ns)
    phases = [(r.name, (r.start_ns - zero_ns) / 1e6, (r.end_ns - zero_ns) / 1e6) for r in shown]
    total_N = bytes_NC.sum(axis=1)
    peak = int(total_N.argmax())
    keep = _extremes(total_N, TIMELINE_POINTS - len(CATEGORIES) - 3)
    keep = np.union1d(keep, [0, len(total_N) - 1, peak, *bytes_NC.argmax(axis=0)])
    alive = _alive_after(blocks, events, peak)
    slots, slot_timeline = over_time(blocks, events, keep, uncounted)
    return MemorySplit(
        peak_bytes=int(total_N[peak]),
        at_peak={name: int(value) for name, value in zip(CATEGORIES, bytes_NC[peak], strict=True)},
        category_peak=bytes_NC.max(axis=0), timeline_ms=time_ms[keep], timeline=bytes_NC[keep], phases=phases,
        modules=by_module(alive, uncounted), tensors=() if shapes is None else largest(alive, shapes),
        slots=slots, slot_timeline=slot_timeline,
    )


def _extremes(values: np.ndarray, points: int) -> np.ndarray:
    """Indices of at most `points` values: the lowest and the highest of each of `points / 2` equal stretches."""
    if len(values) <= points:
        return np.arange(len(values))
    edges = np.linspace(0, len(values), points // 2 + 1).astype(int)
    picked = [a + f(values[a:b]) for a, b in itertools.pairwise(edges) for f in (np.argmin, np.argmax)]
    return np.unique(picked)
