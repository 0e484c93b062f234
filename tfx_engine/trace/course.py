"""The course of memory through a step, as stretches of events of which some are repeated.

C categories in the order of `CATEGORIES`, N events. What an event changes is one row, bytes by category.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

import numpy as np

from tfx_engine.measure.memory_replay import FOREVER, NUMBER
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.trace.fake import Step

_WHILE = 8  # events
_ALIKE = 4096  # bytes: what is smaller may grow with the depth, such as a norm for each parameter


@dataclasses.dataclass(frozen=True)
class Stretch:
    """Changes by category, int64 [N, C], that happen `times` times in a row.

    `kinds_N` tells which blocks are alike: 2 k where one of kind k is made, 2 k + 1 where one is freed.
    """

    changes_NC: np.ndarray
    kinds_N: np.ndarray
    times: int = 1


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of the step, or what lies between two of them (then without a name)."""

    name: str
    stretches: tuple[Stretch, ...]


@dataclasses.dataclass(frozen=True)
class Course:
    """What the step begins with, as (category, bytes) of each block, and what happens then."""

    begin: tuple[tuple[int, int], ...]
    parts: tuple[Part, ...]

    @property
    def begin_C(self) -> np.ndarray:
        """Bytes by category."""
        total_C = np.zeros(len(CATEGORIES), np.int64)
        for category, size in self.begin:
            total_C[category] += size
        return total_C


@dataclasses.dataclass(frozen=True)
class _Events:
    """The events of one part: `kinds_N` tells which are alike."""

    name: str
    changes_NC: np.ndarray
    kinds_N: np.ndarray


def course_of(step: Step) -> Course:
    """That of a step that was traced in full."""
    begin, parts = _events(step, {})
    return Course(tuple(begin), tuple(Part(p.name, (Stretch(p.changes_NC, p.kinds_N),)) for p in parts))


def deeper(shallow: Step, deep: Step, times: int) -> Course | None:
    """That of a model with `times` periods more than `shallow`; `deep` has one more.

    None where the two do not differ in that way.
    """
    known: dict[tuple[object, ...], int] = {}
    (begin, few), (more, many) = _events(shallow, known), _events(deep, known)
    if [part.name for part in few] != [part.name for part in many]:
        return None
    parts = []
    for one, two in zip(few, many, strict=True):
        stretches = _stretches(one, two, times)
        if stretches is None:
            return None
        parts.append(Part(one.name, tuple(stretches)))
    added = (Counter(more) - Counter(begin)).elements()
    return Course((*begin, *list(added) * times), tuple(parts))


def _events(step: Step, known: dict[tuple[object, ...], int]) -> tuple[list[tuple[int, int]], list[_Events]]:
    """(the blocks at the beginning, the events of each part in order)."""
    begin: list[tuple[int, int]] = []
    events: list[tuple[int, int, int, int]] = []  # (moment, category, bytes, kind)
    for block in step.blocks:
        number = NUMBER[block.category]
        like = (number, block.size if block.size >= _ALIKE else 0, step.makers.get(block.born_ns))
        kind = 2 * known.setdefault(like, len(known))
        if block.born_ns == 0:
            begin.append((number, block.size))
        else:
            events.append((block.born_ns, number, block.size, kind))
        if block.died_ns != FOREVER:
            events.append((block.died_ns, number, -block.size, kind + 1))
    events.sort(key=lambda e: (e[0], e[2] > 0))
    table = np.array(events, np.int64).reshape(-1, 4)
    changes_NC = np.zeros((len(table), len(CATEGORIES)), np.int64)
    changes_NC[np.arange(len(table)), table[:, 1]] = table[:, 2]
    parts = []
    for name, first, last in _parts(step):
        a, b = np.searchsorted(table[:, 0], [first, last])
        parts.append(_Events(name, changes_NC[a:b], table[a:b, 3]))
    return begin, parts


def _parts(step: Step) -> list[tuple[str, int, int]]:
    """(name, first moment, moment after the last) of the outermost parts of the step and of what lies between them."""
    parts: list[tuple[str, int, int]] = []
    at = 0
    for r in step.ranges:
        if r.start_ns >= at:
            parts += [("", at, r.start_ns), (r.name, r.start_ns, r.end_ns)]
            at = r.end_ns
    return [*parts, ("", at, FOREVER)]


def _stretches(few: _Events, many: _Events, times: int) -> list[Stretch] | None:
    """The events of the deeper model, with what only it has set apart, `times` times."""
    left = len(many.kinds_N) - len(few.kinds_N)
    found: list[Stretch] = []
    i = j = 0
    while True:
        run = _common(few.kinds_N[i:], many.kinds_N[j:])
        a_NC, b_NC = few.changes_NC[i : i + run], many.changes_NC[j : j + run]
        found.append(Stretch(a_NC + times * (b_NC - a_NC), many.kinds_N[j : j + run]))
        i, j = i + run, j + run
        if i == len(few.kinds_N) and j == len(many.kinds_N):
            return found
        size = _inserted(few.kinds_N[i:], many.kinds_N[j:], left)
        if size is None:
            return None
        found.append(Stretch(many.changes_NC[j : j + size], many.kinds_N[j : j + size], times))
        j, left = j + size, left - size


def _common(a_N: np.ndarray, b_N: np.ndarray) -> int:
    """With how many equal events both begin."""
    n = min(len(a_N), len(b_N))
    differ = np.flatnonzero(a_N[:n] != b_N[:n])
    return int(differ[0]) if len(differ) else n


def _inserted(few_N: np.ndarray, many_N: np.ndarray, left: int) -> int | None:
    """How many events `many_N` has before it goes on as `few_N`: all that are left if that fits.

    Else the fewest after which it goes on for a while: a period is added to one list of tensors, then to the next.
    """
    if left <= 0:
        return None
    if np.array_equal(many_N[left:], few_N):
        return left
    sizes = [size for size in range(1, left) if len(few_N) and many_N[size] == few_N[0]]
    enough = min(len(few_N), _WHILE)
    return next((size for size in sizes if _common(few_N, many_N[size:]) >= enough), None)


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
        rows = [now_C[None]]
        for stretch in part.stretches:
            if not len(stretch.changes_NC):
                continue
            along_NC, drift_C = stretch.changes_NC.cumsum(axis=0), stretch.changes_NC.sum(axis=0)
            # What is repeated goes up or down evenly: its extremes are in the first or in the last round.
            rows += [now_C + along_NC] if stretch.times == 1 else [
                now_C + along_NC, now_C + (stretch.times - 1) * drift_C + along_NC
            ]
            now_C = now_C + stretch.times * drift_C
        found.append(_extremes(part.name, rows))
    return found


def _extremes(name: str, rows: Sequence[np.ndarray]) -> Extremes:
    all_NC = np.concatenate(rows)
    return Extremes(name, all_NC[all_NC.sum(axis=1).argmax()], all_NC.max(axis=0))
