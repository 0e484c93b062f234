"""What a reader returns, one class for each kind of row."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfx_engine.protocol.filling import fill


@dataclasses.dataclass(frozen=True)
class RunInfo:
    """A run in a few words. Times are ISO 8601, UTC."""

    path: Path
    run_id: str
    name: str
    status: str  # effective: "interrupted" where the file says "running" and nobody writes it any more
    recorded_status: str
    reason: str  # the outcome in words
    created_at: str
    started_at: str | None
    ended_at: str | None
    queue_position: float
    comparison: str
    config: dict[str, Any]  # resolved: every slot, every option
    config_toml: str  # as the user wrote it
    pid: int | None
    engine_version: str
    is_locked: bool  # a process holds it now
    engine_revision: str | None = None  # git revision of the engine, where there was one


@dataclasses.dataclass(frozen=True)
class Annotations:
    """What people say of a run."""

    note: str = ""
    tags: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class MemoryProbe:
    """The split of one step's memory; bytes, by category in the order of `protocol.metrics.CATEGORIES`."""

    seq: int
    step: int
    phase: str
    t_ms: float
    peak_bytes: int
    composition: dict[str, int]  # at the peak; adds up to it
    category_peak: dict[str, int]  # each category's own maximum
    timeline_ms: NDArray[np.float64]  # [n], within the step
    timeline: NDArray[np.int64]  # [n, categories]
    phases: tuple[tuple[str, float, float], ...]  # name, start_ms, end_ms within the step


@dataclasses.dataclass(frozen=True, slots=True)
class AttentionCapture:
    """The attention maps of one sample at one step."""

    capture: int
    step: int
    t_ms: float
    layers: tuple[int, ...]
    heads: int
    pool: int  # side of the square of weights that one stored number is the mean of
    head: int | None  # this head alone, at full resolution; None: all
    queries: int = 0
    keys: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation on held-out data."""

    seq: int
    step: int
    t_ms: float
    held_out_loss: float  # NaN where it was not a number
    tokens: int
    accuracy: float | None = None  # 0 to 1; None where the task has none
    bits_per_byte: float | None = None  # None where the task is not made of text


class Worded:
    """Says something by a template over its arguments."""

    template: str
    args: dict[str, Any]

    @property
    def message(self) -> str:
        """The same in English."""
        try:
            return fill(self.template, self.args)
        except (ValueError, TypeError, RecursionError):
            return self.template  # a damaged or foreign file; better the bare template than nothing


@dataclasses.dataclass(frozen=True)
class Event(Worded):
    """Something that happened: kind is phase, control, warning, problem or state."""

    seq: int
    t_ms: float
    at: str
    kind: str
    code: str
    template: str
    args: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class LogLine:
    """One line that the worker printed."""

    seq: int
    t_ms: float
    stream: str
    text: str


@dataclasses.dataclass(frozen=True)
class Prediction:
    """A figure that was predicted before the run; `level` is instant or traced."""

    key: str
    value: float | None
    level: str


@dataclasses.dataclass(frozen=True)
class Audited(Worded):
    """What came of trying one claim of a technique on the run's own model."""

    seq: int
    t_ms: float
    slot: str
    technique: str
    claim: str  # a key of `protocol.claims.CLAIMS`
    ok: bool | None  # None: it could not be tried, the message says why
    code: str
    template: str
    args: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class ProfilePart:
    """One component within one part of the step, per step; what each means stands in `schema.sql`."""

    part: str
    component: str
    ms: float
    host_ms: float
    device_ms: float | None
    calls: float
    flops: float
    declared_flops: float | None
    elements: float
    bytes: float


@dataclasses.dataclass(frozen=True)
class Operator:
    """One operator of one component within one part of the step, per step."""

    name: str
    part: str
    component: str
    calls: float
    host_ms: float
    device_ms: float | None
    flops: float
    elements: float
    bytes: float


@dataclasses.dataclass(frozen=True)
class Kernel:
    """One kernel or copy of a device, per step."""

    name: str
    part: str
    component: str
    calls: float
    device_ms: float


@dataclasses.dataclass(frozen=True)
class ModuleMemory:
    """One module's share of the peak of the split of a step; bytes by category."""

    step: int
    module: str
    slot: str
    at_peak: dict[str, int]

    @property
    def bytes(self) -> int:
        """Of all categories."""
        return sum(self.at_peak.values())


@dataclasses.dataclass(frozen=True)
class MemoryBlock:
    """One of the largest blocks at the peak of the split of a step."""

    step: int
    module: str
    slot: str
    category: str
    bytes: int
    name: str
    operator: str
    shape: tuple[int, ...] | None
    dtype: str


@dataclasses.dataclass(frozen=True)
class SlotTimeline:
    """The timeline of a split by slot: int64 [n, slots]."""

    step: int
    slots: tuple[str, ...]
    timeline: NDArray[np.int64]
