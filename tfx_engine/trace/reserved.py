"""What a caching allocator holds after some steps: the course of a step is played to it, block by block.

The first step begins without the optimizer's state and makes it when its other blocks are there; so the memory lies as
it does in a training.
"""

from __future__ import annotations

from collections import defaultdict

from tfx_engine.measure.memory_replay import NUMBER
from tfx_engine.trace.caching import Block, CachingAllocator
from tfx_engine.trace.course import Course, extremes, fullest

_MOST = 400_000  # events that are played; a longer step is not


def reserved_bytes(course: Course) -> int:
    """What is held when a training runs evenly."""
    events = sum(len(stretch) for part in course.parts for stretch in part.stretches)
    if events + sum(course.begin.values()) > _MOST:  # blocks so many that hardly any room is lost between them
        return _peak(course)
    allocator = CachingAllocator()
    state = NUMBER["optimizer"]
    begin = [(category, size) for (category, size), number in course.begin.items() for _ in range(number)]
    for category, size in begin:
        if category != state:
            allocator.take(size)
    _play(course, allocator, [size for category, size in begin if category == state])
    _play(course, allocator, [])
    return allocator.reserved


def _play(course: Course, allocator: CachingAllocator, state: list[int]) -> None:
    live: dict[int, list[Block]] = defaultdict(list)  # by kind: what is freed is the youngest of its kind
    for part in course.parts:
        if part.name == "optimizer":
            for size in state:
                allocator.take(size)
        for stretch in part.stretches:
            events = list(zip(stretch.kinds_N.tolist(), stretch.bytes_N.tolist(), strict=True))
            for _ in range(stretch.times):
                for kind, size in events:
                    if size > 0:
                        live[kind // 2].append(allocator.take(size))
                    elif live[kind // 2]:  # else it is one of those that the step begins with
                        allocator.give(live[kind // 2].pop())
    for blocks in live.values():  # what a step leaves, the next one frees: the loss
        for block in blocks:
            allocator.give(block)


def _peak(course: Course) -> int:
    return int(fullest(extremes(course)).at_peak_C.sum())
