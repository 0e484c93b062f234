"""The course of memory through a step, as stretches of events of which some are repeated.

C categories in the order of `CATEGORIES`, N events. An event makes a block or frees one, of one category.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tfx_engine.measure.memory_replay import FOREVER, NUMBER, Block
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.trace.axes import Axis, NotAlike
from tfx_engine.trace.fake import Step

_WHILE = 8  # events
_ALIKE = 4096  # bytes: what is smaller may grow with the depth, such as a norm for each parameter
_MOST = 8_000_000  # events that are written out
_C = len(CATEGORIES)

Kinds = dict[tuple[object, ...], int]  # the number of each kind of block that was seen


class TooLarge(Exception):
    """So many events are not written out."""


@dataclasses.dataclass(frozen=True)
class Stretch:
    """Events that happen `times` times in a row: their kinds, int32 [N], categories, int8 [N], and bytes, int64 [N].

    Kinds tell which blocks are alike: 2 k where one of kind k is made, 2 k + 1 where one is freed.
    """

    kinds_N: np.ndarray
    categories_N: np.ndarray
    bytes_N: np.ndarray
    times: int = 1

    def __len__(self) -> int:
        return len(self.kinds_N) * self.times

    def between(self, first: int, last: int, times: int = 1) -> Stretch:
        """Some of its events."""
        return Stretch(
            self.kinds_N[first:last], self.categories_N[first:last], self.bytes_N[first:last], times
        )

    def drift_C(self) -> np.ndarray:
        """What all of them change, once, in bytes by category."""
        return _by_category(self.categories_N, self.bytes_N)


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of the step, or what lies between two of them (then without a name)."""

    name: str
    stretches: tuple[Stretch, ...]

    def written_out(self) -> Stretch:
        """The same events, each repetition by itself. Raises `TooLarge`."""
        if sum(map(len, self.stretches)) > _MOST:
            raise TooLarge
        kinds, categories, sizes = (
            np.concatenate([np.tile(getattr(stretch, name), stretch.times) for stretch in self.stretches])
            for name in ("kinds_N", "categories_N", "bytes_N")
        )
        return Stretch(kinds, categories, sizes)


@dataclasses.dataclass(frozen=True)
class Course:
    """What the step begins with, as numbers of blocks by (category, bytes), and what happens then."""

    begin: Mapping[tuple[int, int], int]
    parts: tuple[Part, ...]

    @property
    def begin_C(self) -> np.ndarray:
        """Bytes by category."""
        total_C = np.zeros(_C, np.int64)
        for (category, size), number in self.begin.items():
            total_C[category] += number * size
        return total_C


def course_of(step: Step, known: Kinds) -> Course:
    """That of a step that was traced in full. `known`: shared by all that are to be compared."""
    begin: Counter[tuple[int, int]] = Counter()
    events: list[tuple[int, int, int, int, int]] = []  # (moment, moment of birth, category, bytes, kind)
    for block in step.blocks:
        number, kind = NUMBER[block.category], 2 * known.setdefault(_like(block, step), len(known))
        if block.born_ns == 0:
            begin[number, block.size] += 1
        else:
            events.append((block.born_ns, block.born_ns, number, block.size, kind))
        if block.died_ns != FOREVER:
            events.append((block.died_ns, block.born_ns, number, -block.size, kind + 1))
    events.sort(key=lambda e: (e[0], e[3] > 0))
    table = np.array(events, np.int64).reshape(-1, 5)
    parts = []
    for name, first, last in _parts(step):
        a, b = np.searchsorted(table[:, 0], [first, last])
        rows = _in_order(table[a:b])
        whole = Stretch(rows[:, 4].astype(np.int32), rows[:, 2].astype(np.int8), rows[:, 3])
        parts.append(Part(name, (whole,)))
    return Course(begin, tuple(parts))


def _like(block: Block, step: Step) -> tuple[object, ...]:
    size = block.size if block.size >= _ALIKE else 0
    return NUMBER[block.category], size, step.makers.get(block.born_ns)


def _in_order(rows: np.ndarray) -> np.ndarray:
    """Frees in a row go by the age of their blocks: what frees them, such as autocast, may have an order of its own."""
    is_birth = rows[:, 3] > 0
    runs = np.cumsum(is_birth)
    order = np.lexsort((np.where(is_birth, 0, rows[:, 1] + 1), runs))  # each birth, then the frees that follow it
    return rows[order]


def _parts(step: Step) -> list[tuple[str, int, int]]:
    """(name, first moment, moment after the last) of the outermost parts of the step and of what lies between them."""
    parts: list[tuple[str, int, int]] = []
    at = 0
    for r in step.ranges:
        if r.start_ns >= at:
            parts += [("", at, r.start_ns), (r.name, r.start_ns, r.end_ns)]
            at = r.end_ns
    return [*parts, ("", at, FOREVER)]


# ------------------------------------------------------------------------------------------------------ repeating


def repeated(few: Course, longer: Sequence[tuple[Axis, Course]]) -> Course:
    """`few`, and of each axis, as many times as it says, what its longer course has more.

    Raises `NotAlike` where one does not differ in that way, `TooLarge` where what is repeated already is too much to be
    repeated again.
    """
    names = [part.name for part in few.parts]
    for axis, many in longer:
        if [part.name for part in many.parts] != names:
            raise NotAlike(axis.name)
    parts = []
    for i, part in enumerate(few.parts):
        own = part.written_out()
        added = [_added(own, many.parts[i].written_out(), axis) for axis, many in longer]
        parts.append(Part(part.name, tuple(_put_in(own, added))))
    begin = {like: few.begin.get(like, 0) for like in set(few.begin).union(*(many.begin for _, many in longer))}
    for axis, many in longer:
        for like in begin:
            begin[like] += axis.times * (many.begin.get(like, 0) - few.begin.get(like, 0))
    return Course(begin, tuple(parts))


class _Added(NamedTuple):
    """What a longer course has more: stretches, each before which event of the shorter one it comes, and what the
    bytes of the events of both change, [N]."""

    stretches: list[tuple[int, Stretch]]
    changes_N: np.ndarray


def _added(few: Stretch, many: Stretch, axis: Axis) -> _Added:
    """The events of the longer stretch that only it has. Raises `NotAlike`."""
    left = len(many) - len(few)
    found = _Added([], np.zeros(len(few), np.int64))
    i = j = 0
    while True:
        run = _common(few.kinds_N[i:], many.kinds_N[j:])
        found.changes_N[i : i + run] = axis.times * (many.bytes_N[j : j + run] - few.bytes_N[i : i + run])
        i, j = i + run, j + run
        if i == len(few) and j == len(many):
            return found
        size = _inserted(few.kinds_N[i:], many.kinds_N[j:], left)
        if size is None:
            raise NotAlike(axis.name)
        found.stretches.append((i, many.between(j, j + size, axis.times)))
        j, left = j + size, left - size


def _put_in(few: Stretch, added: Sequence[_Added]) -> list[Stretch]:
    """A stretch with everything that was added to it at its place."""
    whole = dataclasses.replace(few, bytes_N=sum((one.changes_N for one in added), few.bytes_N))
    found, i = [], 0
    for at, stretch in sorted((pair for one in added for pair in one.stretches), key=lambda pair: pair[0]):
        found += [whole.between(i, at), stretch]
        i = at
    return [*found, whole.between(i, len(few))]


def _common(a_N: np.ndarray, b_N: np.ndarray) -> int:
    """With how many equal events both begin."""
    n = min(len(a_N), len(b_N))
    differ = np.flatnonzero(a_N[:n] != b_N[:n])
    return int(differ[0]) if len(differ) else n


def _inserted(few_N: np.ndarray, many_N: np.ndarray, left: int) -> int | None:
    """How many events `many_N` has before it goes on as `few_N`: all that are left if that fits.

    Else the fewest after which it goes on for a while, or for longest: a period is added to one list of tensors, then
    to the next.
    """
    if left <= 0:
        return None
    if np.array_equal(many_N[left:], few_N):
        return left
    enough = min(len(few_N), _WHILE)
    longest, found = 0, None
    for size in 1 + np.flatnonzero(many_N[1 : left + 1] == few_N[0]) if len(few_N) else ():
        run = _common(few_N, many_N[size : size + enough])
        if run > longest:
            longest, found = run, int(size)
        if run >= enough:
            break
    return found


# ------------------------------------------------------------------------------------------------------- extremes


@dataclasses.dataclass(frozen=True)
class Extremes:
    """The fullest moment of a part (or of all): bytes by category then, and each category's own maximum."""

    name: str
    at_peak_C: np.ndarray
    most_C: np.ndarray


def extremes(course: Course) -> list[Extremes]:
    """Of every part in order."""
    found, now_C = [], course.begin_C
    for part in course.parts:
        peak_C, most_C = now_C, now_C
        for stretch in part.stretches:
            if not len(stretch):
                continue
            drift_C = stretch.drift_C()
            last_C = now_C + (stretch.times - 1) * drift_C
            # What is repeated goes up or down evenly: its extremes are in the first or in the last round.
            for begin_C in (now_C,) if stretch.times == 1 else (now_C, last_C):
                at_C, own_C = _extremes(stretch, begin_C)
                peak_C = max(peak_C, at_C, key=np.sum)
                most_C = np.maximum(most_C, own_C)
            now_C = last_C + drift_C
        found.append(Extremes(part.name, peak_C, most_C))
    return found


def _extremes(stretch: Stretch, begin_C: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(bytes at the fullest moment of one round, the most of each category)."""
    fullest = int(stretch.bytes_N.cumsum().argmax()) + 1
    at_C = begin_C + _by_category(stretch.categories_N[:fullest], stretch.bytes_N[:fullest])
    own_C = begin_C.copy()
    for category in range(_C):
        changes_N = stretch.bytes_N[stretch.categories_N == category]
        if len(changes_N):
            own_C[category] += max(0, int(changes_N.cumsum().max()))
    return at_C, own_C


def _by_category(categories_N: np.ndarray, bytes_N: np.ndarray) -> np.ndarray:
    return np.array([int(bytes_N[categories_N == category].sum()) for category in range(_C)], np.int64)


def fullest(parts: Sequence[Extremes]) -> Extremes:
    """The fullest of all."""
    return max(parts, key=lambda part: int(part.at_peak_C.sum()))
