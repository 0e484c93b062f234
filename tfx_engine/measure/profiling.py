"""Where the time of a step goes: by part of the step, by component of the model, by operator and by kernel.

Two kinds of steps are looked at. Marked steps note only when each part begins and ends, on the device's own clock:
their times are those of ordinary steps. Profiled steps run under torch's profiler, which slows the host down; they say
how each part divides among components.

- On the host's clock (CPU), a part's time is shared out by what was profiled within it. Every event costs the profiler
  about the same, so the slowdown is first taken off by the number of events, up to 1 µs for each.
- On a device that works on its own (CUDA, XPU), a component's time is that of its kernels, which the profiler does not
  slow down, and what is left of the part is `idle`: the device waited.

Either way the rows of a part add up to the marked time of the part, and the parts to the marked step.
"""

from __future__ import annotations

import collections
import dataclasses
import statistics
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from tfx_engine.measure.attribution import OPERATOR, START, Attribution, Placed, slots_of, starts
from tfx_engine.measure.clock import Clock
from tfx_engine.measure.modules import ModuleRanges
from tfx_engine.measure.operators import Done, Working, done_by, is_working
from tfx_engine.measure.parts import PREFIX, PartMarks
from tfx_engine.measure.trace_file import packed_trace
from tfx_engine.techniques.ranges import named

_DEVICES = {"cuda": ProfilerActivity.CUDA, "xpu": ProfilerActivity.XPU}
MOST_OPERATORS = 400  # rows; what takes the least time is left out
MOST_KERNELS = 400
MOST_EVENT_MS = 0.001  # that one event may have cost the profiler; a slower step than that was disturbed otherwise

Key = tuple[str, str]  # part, component


@dataclasses.dataclass(frozen=True)
class PartTime:
    """One component within one part; everything per step."""

    part: str
    component: str
    ms: float  # of the marked step: all rows add up to it
    host_ms: float  # as profiled, on the host
    device_ms: float | None  # of its kernels; None where the host is the device
    calls: float  # of working operators
    flops: float
    elements: float
    bytes: float


@dataclasses.dataclass(frozen=True)
class OperatorTime:
    """One operator, or one kernel, of one component within one part; everything per step."""

    name: str
    part: str
    component: str
    calls: float
    host_ms: float | None
    device_ms: float | None
    flops: float = 0.0
    elements: float = 0.0
    bytes: float = 0.0


@dataclasses.dataclass(frozen=True)
class StepProfile:
    """The result. `step_ms`: the mean of the middle marked steps; `profiled_ms`: the median profiled one."""

    step_ms: float
    profiled_ms: float
    marked_steps: int
    profiled_steps: int
    parts: list[PartTime]
    operators: list[OperatorTime]
    kernels: list[OperatorTime]
    trace_gz: bytes | None = None  # the last profiled step for Chrome's and Perfetto's viewers: JSON by gzip
    trace_missing: str = ""  # why there is none


@dataclasses.dataclass
class _Sum:
    own_ns: int = 0
    events: int = 0
    calls: int = 0
    flops: int = 0
    elements: int = 0
    bytes: int = 0
    device_ns: int = 0

    def add(self, done: Done) -> None:
        self.calls += 1
        self.flops += done.flops
        self.elements += done.elements
        self.bytes += done.bytes


class Profiler:
    """Takes marked and profiled steps of one model; `result()` puts them together."""

    def __init__(self, model: nn.Module, device: torch.device, clock: Clock, is_compiled: bool = False) -> None:
        self._model, self._device, self._clock, self._is_compiled = model, device, clock, is_compiled
        self._attribution = Attribution(slots_of(model), starts(is_compiled))
        self._activities = [ProfilerActivity.CPU]
        if device.type in _DEVICES:
            self._activities.append(_DEVICES[device.type])
        self._marked: list[tuple[float, dict[str, float]]] = []
        self._profiled_ms: list[float] = []
        self._looking: profile | None = None
        self._sums: dict[tuple[str, str, str], _Sum] = collections.defaultdict(_Sum)  # outer, part, component
        self._operators: dict[tuple[str, str, str], _Sum] = collections.defaultdict(_Sum)  # name, part, component
        self._kernels: dict[tuple[str, str, str], _Sum] = collections.defaultdict(_Sum)

    @property
    def has_kernels(self) -> bool:
        """Whether the device works beside the host."""
        return len(self._activities) > 1

    @contextmanager
    def marked(self) -> Iterator[PartMarks]:
        """Around a step that is only marked."""
        marks = PartMarks(self._clock)
        yield marks
        marks.stop()
        self._marked.append(marks.read())

    @contextmanager
    def profiled(self, counts: bool = True) -> Iterator[Callable[[str], AbstractContextManager[object]]]:
        """Around a profiled step. `counts`: False for one that only starts the profiler up."""
        looking = profile(activities=self._activities, profile_memory=True, record_shapes=True)
        with looking, ModuleRanges(self._model, self._is_compiled):
            mark = self._clock.start()  # what starting the profiler takes is no part of the step
            yield lambda name: named(PREFIX + name)
            mark.stop()
            step_ms = mark.read()[0]
        if counts:
            self._profiled_ms.append(step_ms)
            self._read(looking.profiler.kineto_results)  # type: ignore[union-attr]
            self._looking = looking  # the last one's trace is kept

    def _read(self, results: Any) -> None:
        placed_by_id: dict[int, Placed] = {}
        working = Working()
        for placed in self._attribution.walk(results.experimental_event_tree()):
            where, event = placed.where, placed.event
            component = where.slot or "other"
            total = self._sums[where.outer, where.part, component]
            total.own_ns += placed.own_ns
            total.events += 1
            if event.tag == OPERATOR:
                placed_by_id[event.correlation_id] = placed
            if placed.is_operator and working.begins(event):
                done = done_by(event)
                total.add(done)
                operator = self._operators[event.name, where.part, component]
                operator.add(done)
                operator.own_ns += event.duration_time_ns
        if self.has_kernels:
            self._read_kernels(results.events(), placed_by_id)

    def _read_kernels(self, events: Iterable[Any], placed: dict[int, Placed]) -> None:
        """Kernels and copies of the device, each at the place of the operator that started it."""
        for event in events:
            is_ours = getattr(event, "is_user_annotation", lambda: False)()  # our ranges, drawn over the device's work
            if str(event.device_type()).rpartition(".")[2] == "CPU" or is_ours:
                continue
            origin = placed.get(event.linked_correlation_id())
            where = origin.where if origin else None
            outer, part, slot = (where.outer, where.part, where.slot) if where else ("", "", "")
            component = slot or "other"
            self._sums[outer, part, component].device_ns += event.duration_ns()
            kernel = self._kernels[event.name(), part, component]
            kernel.device_ns += event.duration_ns()
            kernel.calls += 1
            if origin is not None and is_working(origin.event.name):
                self._operators[origin.event.name, part, component].device_ns += event.duration_ns()

    # ------------------------------------------------------------------------------------ the result

    def result(self) -> StepProfile:
        """All steps put together; there must have been at least one of each kind."""
        part_ms = _mean_parts(self._marked)
        share = self._by_kernels if self.has_kernels else self._by_events
        rows: dict[Key, PartTime] = {}
        for row in (row for outer, ms in part_ms.items() for row in self._rows(outer, ms, share)):
            key = (row.part, row.component)
            rows[key] = _added(rows[key], row) if key in rows else row
        count = len(self._profiled_ms)
        trace_gz, trace_missing = packed_trace(self._looking) if self._looking is not None else (None, "")
        return StepProfile(
            step_ms=sum(part_ms.values()), profiled_ms=statistics.median(self._profiled_ms),
            marked_steps=len(self._marked), profiled_steps=count, parts=list(rows.values()),
            operators=_most(self._operators, count, MOST_OPERATORS, self.has_kernels, True),
            kernels=_most(self._kernels, count, MOST_KERNELS, True, False),
            trace_gz=trace_gz, trace_missing=trace_missing,
        )

    def _rows(self, outer: str, ms: float, share: Callable[..., dict[Key, float]]) -> Iterator[PartTime]:
        sums = {(part, slot): total for (o, part, slot), total in self._sums.items() if o == outer}
        if not sums:
            sums = {(outer, START.get(outer, "other")): _Sum()}
        count = len(self._profiled_ms)
        for (part, component), its_ms in share(outer, ms, sums).items():
            total = sums.get((part, component), _Sum())
            yield PartTime(
                part or "other", component, its_ms, total.own_ns / count / 1e6,
                total.device_ns / count / 1e6 if self.has_kernels else None,
                total.calls / count, total.flops / count, total.elements / count, total.bytes / count,
            )

    def _by_events(self, outer: str, ms: float, sums: dict[Key, _Sum]) -> dict[Key, float]:
        """The host's time: what each event may have cost the profiler is taken off, and the rest scaled to the part."""
        count = len(self._profiled_ms)
        seen_ms = sum(total.own_ns for total in sums.values()) / count / 1e6
        events = sum(total.events for total in sums.values()) / count
        each_ms = min(MOST_EVENT_MS, max(0.0, seen_ms - ms) / events) if events else 0.0
        left = {key: max(0.0, total.own_ns / count / 1e6 - each_ms * total.events / count)
                for key, total in sums.items()}
        whole = sum(left.values())
        return {key: (value * ms / whole if whole else ms / len(left)) for key, value in left.items()}

    def _by_kernels(self, outer: str, ms: float, sums: dict[Key, _Sum]) -> dict[Key, float]:
        """The device's time, and what it waited; kernels that overlap are scaled to the part."""
        count = len(self._profiled_ms)
        busy = {key: total.device_ns / count / 1e6 for key, total in sums.items()}
        whole = sum(busy.values())
        if whole > ms:
            return {key: value * ms / whole for key, value in busy.items()}
        return {**busy, (outer, "idle"): ms - whole}


def _added(a: PartTime, b: PartTime) -> PartTime:
    """The same component of the same part, met within two parts as the step marks them."""
    device = None if a.device_ms is None or b.device_ms is None else a.device_ms + b.device_ms
    return PartTime(
        a.part, a.component, a.ms + b.ms, a.host_ms + b.host_ms, device, a.calls + b.calls, a.flops + b.flops,
        a.elements + b.elements, a.bytes + b.bytes,
    )


def _mean_parts(marked: list[tuple[float, dict[str, float]]]) -> dict[str, float]:
    """ms by part, and under "" what is between them: the mean over the middle steps, so that it adds up to their mean.

    Of five steps or more the slowest and the fastest fifth are left out.
    """
    aside = len(marked) // 5
    middle = sorted(marked, key=lambda step: step[0])[aside : len(marked) - aside]
    part_ms: dict[str, float] = collections.defaultdict(float)
    for step_ms, parts in middle:
        for name, ms in [*parts.items(), ("", max(0.0, step_ms - sum(parts.values())))]:
            part_ms[name] += ms / len(middle)
    return part_ms


def _most(
    sums: dict[tuple[str, str, str], _Sum], count: int, most: int, on_device: bool, on_host: bool
) -> list[OperatorTime]:
    """The rows that take the most time."""
    rows = [
        OperatorTime(
            name, part or "other", component, total.calls / count, total.own_ns / count / 1e6 if on_host else None,
            total.device_ns / count / 1e6 if on_device else None, total.flops / count, total.elements / count,
            total.bytes / count,
        )
        for (name, part, component), total in sums.items()
    ]
    return sorted(rows, key=lambda r: (r.device_ms or 0.0, r.host_ms or 0.0), reverse=True)[:most]

