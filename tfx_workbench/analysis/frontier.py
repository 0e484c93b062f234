"""What fits: the largest batch, the longest context or the most layers within a memory, technique by technique.

Predicted value by value, first in closed form and then by traced steps; confirmed by short runs of what was found. Both
are written as generators of what is to be asked (`Ask`), so that the command line, which waits for every answer, and
the window, which never waits, do the same.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import uuid
from collections.abc import Generator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem, errors_among
from tfx_workbench.analysis.largest import Largest, looking

Level = Literal["instant", "traced"]
GROWS = {  # key path, in steps of, up to
    "batch": ("run.batch", 1, 2**20), "context": ("model.context", 16, 2**22), "layers": ("model.layers", 1, 2**13),
}  # fmt: skip
USUAL = ("recompute=every_block", "recompute=selective", "precision=bfloat16_autocast", "loss=chunked_cross_entropy",
         "optimizer=adamw_8bit", "adapter=lora", "offload=activations")
_PROBING: dict[str, Any] = {
    "run.warmup_steps": 0, "run.measure_steps": 2, "run.memory_every": 1, "run.audit": False, "run.profile": False,
}
_ABSENT = "no-such-device"
_TRIES = 3
_SHARE_OF_RAM = 0.5  # of what is free: a run that takes all memory of a machine takes the machine
_LONG_S = 60.0  # of one step: nobody waits for several such
_TOO_MUCH = tr_mark("not tried: it would take most of this machine's memory; a smaller limit is tried")
_ELSEWHERE = tr_mark("not tried: this device has less memory")
_NOT_HERE = tr_mark("not tried: the device that the configuration names is not here")
_TOO_LONG = tr_mark("not tried: one step of it would take minutes here; a smaller limit is tried")
_UNKNOWN = tr_mark("nobody knows how much memory this device has; say it by --device-memory")
_SMALLEST = tr_mark("not even the smallest fits")
_CLOSE = tr_mark("even the smallest is too close to the limit to tell")
_DID_NOT_FIT = tr_mark("{value} was predicted to fit and did not")
_STOPPED = tr_mark("the run that was to confirm it was stopped")


class Row(msgspec.Struct):
    """One technique's frontier; `technique` is `slot=name`, or "" for the configuration as it is.

    `value` is the largest that fits: by a run where `measured_bytes` is there, else as predicted. Where nothing fits it
    is None and `predicted_bytes` what the smallest needs. `needed_bytes`: what must be free for the prediction to fit,
    with its error and what else is taken, as an estimate says it; `headroom_bytes` is what that leaves. `reason`: why a
    figure is not there, or what ends it other than memory. `growth_bytes`: of what is needed for each 1 more.
    """

    technique: str
    value: int | None = None
    predicted_value: int | None = None
    predicted_bytes: int | None = None
    measured_bytes: int | None = None
    headroom_bytes: int | None = None
    level: str = ""
    step_ms: float | None = None
    growth_bytes: float = 0.0
    runs: list[str] = []
    reason: str = ""
    needed_bytes: int | None = None
    error_percent: float | None = None
    error_95_percent: float | None = None
    error_runs: int = 0


class Frontier(msgspec.Struct):
    """How far a configuration can grow. `device_bytes`: what this device has, where that is known; `comparison`: that
    of the runs which confirm it."""

    grow: str
    name: str
    config: dict[str, Any]
    rows: list[Row]
    comparison: str
    capacity_bytes: int | None = None
    device_bytes: int | None = None
    device: str = ""
    free_bytes: int | None = None
    context_bytes: int = 0  # that a process takes of it beside what is measured
    is_here: bool = True  # the device; what fits into one that is not can be asked all the same

    def config_of(self, row: Row) -> dict[str, Any]:
        """The configuration with the row's technique, which brings no options of the one before it."""
        if not row.technique:
            return self.config
        slot, _, name = row.technique.partition("=")
        return with_values(self.config, {f"techniques.{slot}": {"use": name}})

    @property
    def is_predicted(self) -> bool:
        """Whether there is a row that a run could confirm."""
        return any(row.predicted_value is not None for row in self.rows)


@dataclasses.dataclass(frozen=True)
class Ask:
    """What is to be asked, for which row: every problem of a configuration, an estimate of it, or a run."""

    kind: Literal["check", "instant", "traced", "run"]
    row: Row
    config: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came of it. `reason`: why there is no figure. `run`: the file of a run, and whether it was stopped."""

    problems: Sequence[Problem] = ()
    peak_bytes: int | None = None
    device_bytes: int | None = None
    step_ms: float | None = None
    level: str = ""
    reason: str = ""
    run: str = ""
    was_stopped: bool = False
    needed_bytes: int | None = None  # None: the peak
    least_bytes: int | None = None  # with less it surely does not fit
    free_bytes: int | None = None
    context_bytes: int = 0
    errors: tuple[float | None, float | None, int] = (None, None, 0)  # median, of 95 of 100, runs
    notes: Sequence[str] = ()

    @property
    def needed(self) -> int | None:
        return self.peak_bytes if self.needed_bytes is None else self.needed_bytes


def answer_of(figures: Mapping[str, Any]) -> Answer:
    """What an estimate says."""
    needs, missing = figures.get("needs_bytes") or {}, figures["missing"]
    return Answer(
        peak_bytes=figures["memory_bytes"]["peak"], device_bytes=figures["device_bytes"], step_ms=figures["step_ms"],
        level=figures["level"], reason=next(iter(missing.values()), ""), needed_bytes=needs.get("high"),
        least_bytes=needs.get("low"), free_bytes=figures.get("free_bytes"),
        context_bytes=figures.get("context_bytes") or 0, notes=tuple(figures.get("notes", ())),
        errors=(figures.get("error_percent"), figures.get("error_95_percent"), figures.get("error_runs") or 0),
    )


Asking = Generator[Ask, Answer, None]


def frontier_of(
    config: Mapping[str, Any], grow: str, techniques: Sequence[str], capacity_bytes: int | None = None
) -> Frontier:
    """A frontier of which nothing is known yet. Raises `ConfigError` where a technique is not `slot=name`."""
    for setting in techniques:
        slot, equals, name = setting.partition("=")
        if not equals or not slot or not name:
            raise ConfigError([Problem(
                code="bad-setting", path="--with", template=tr_mark("{setting!r} is not of the form slot=technique."),
                hint_template=tr_mark("Example: --with recompute=every_block"), args={"setting": setting},
            )])
    rows = [Row(""), *(Row(setting) for setting in dict.fromkeys(techniques))]
    name, data = str(config.get("name", "untitled")), copy.deepcopy(dict(config))
    return Frontier(grow, name, data, rows, uuid.uuid4().hex, capacity_bytes)


def predicting(found: Frontier, must_be_legal: Sequence[str] = ()) -> Asking:
    """Fill in what is predicted. Raises `ConfigError` where the configuration itself has problems, or it has them with
    one of the techniques in `must_be_legal`; with others they are the row's reason."""
    possible: list[Row] = []
    for row in found.rows:
        answer = yield Ask("check", row, found.config_of(row))
        problems = [p for p in errors_among(answer.problems) if p.code != _ABSENT or found.capacity_bytes is None]
        found.is_here &= all(problem.code != _ABSENT for problem in answer.problems)
        if problems and (not row.technique or row.technique in must_be_legal):
            raise ConfigError(problems)
        if problems:
            row.reason = problems[0].sentence()
        else:
            possible.append(row)
    first = yield Ask("instant", found.rows[0], found.config)
    found.device_bytes, found.context_bytes = first.device_bytes, first.context_bytes
    found.capacity_bytes = found.capacity_bytes or first.free_bytes or first.device_bytes
    if found.capacity_bytes is None:
        for row in possible:
            row.reason = _UNKNOWN
        return
    levels: tuple[Level, ...] = ("instant", "traced")
    for level in levels:
        for row in possible:
            yield from _look(found, row, level, found.capacity_bytes)


def _look(found: Frontier, row: Row, level: Level, capacity_bytes: int) -> Asking:
    """One row at one level; it begins where the level before it ended."""
    key, step, most = GROWS[found.grow]
    config, refusal, answers = found.config_of(row), "", dict[int, Answer]()
    start = row.predicted_value or _value(config, key) or step
    questions = looking(capacity_bytes, start, most, step, row.growth_bytes)
    result: Largest | None = None
    value = next(questions)
    while result is None:
        answer = answers[value] = yield Ask(level, row, with_values(config, {key: value}))
        if answer.peak_bytes is None:
            refusal = answer.problems[0].sentence() if answer.problems else answer.reason
        try:
            value = questions.send(answer.needed)
        except StopIteration as end:
            result = end.value
    row.value = row.predicted_value = result.value
    last = answers.get(result.value or step, Answer())
    row.predicted_bytes, row.needed_bytes, row.growth_bytes = last.peak_bytes, result.peak_bytes, result.growth_bytes
    row.headroom_bytes = None if result.peak_bytes is None else capacity_bytes - result.peak_bytes
    row.level, row.step_ms = last.level or level, last.step_ms
    row.error_percent, row.error_95_percent, row.error_runs = last.errors
    row.reason = refusal if result.is_limited or result.peak_bytes is None else ""
    if result.value is None:
        is_close = last.least_bytes is not None and last.least_bytes <= capacity_bytes
        row.reason = row.reason or (_CLOSE if is_close else _SMALLEST)


def confirming(found: Frontier, row: Row) -> Asking:
    """Run the value that was predicted; where it does not fit after all, the next lower one that should."""
    row.runs, row.measured_bytes = [], None
    if reason := obstacle(found, row):
        row.reason = reason
        return
    capacity, value = (found.capacity_bytes or 0) - found.context_bytes, row.predicted_value
    key, step, _ = GROWS[found.grow]
    for _ in range(_TRIES):
        if value is None:
            break
        config = with_values(found.config_of(row), {key: value})
        name = f"{row.technique or found.name} {found.grow} {value}"
        answer = yield Ask("run", row, with_values(config, {**_PROBING, "name": name}))
        if answer.run:
            row.runs = [*row.runs, answer.run]
        if answer.was_stopped:
            row.reason = _STOPPED
            return
        if answer.peak_bytes is not None and answer.peak_bytes <= capacity:
            take_measured(found, row, value, answer.peak_bytes)
            return
        if value == row.predicted_value:
            row.reason = answer.reason or _DID_NOT_FIT.format(value=value)
        value = _lower(value, row, capacity, answer.peak_bytes, step)
        if value is not None:
            lower = yield Ask("traced", row, with_values(found.config_of(row), {key: value}))
            row.predicted_bytes, row.needed_bytes = lower.peak_bytes, lower.needed
    row.value = row.headroom_bytes = None


def taken_bytes(memory: Mapping[str, Any]) -> int | None:
    """Of a run that finished: the peak, or where its device does not count that, what the allocator held at most."""
    return next((memory[name] for name in ("peak", "step_peak", "reserved") if memory[name] is not None), None)


def take_measured(found: Frontier, row: Row, value: int, measured_bytes: int) -> None:
    """A run has shown that `value` fits."""
    row.value, row.measured_bytes = value, measured_bytes
    row.headroom_bytes = (found.capacity_bytes or 0) - found.context_bytes - measured_bytes
    if row.reason in (_STOPPED, _TOO_MUCH, _TOO_LONG, _ELSEWHERE, _NOT_HERE):
        row.reason = ""


def obstacle(found: Frontier, row: Row) -> str:
    """Why a row's value is not tried here; empty where it is."""
    if row.predicted_value is None or row.predicted_bytes is None:
        return row.reason or _SMALLEST
    if not found.is_here:
        return _NOT_HERE
    if found.device_bytes is not None and row.predicted_bytes > found.device_bytes:
        return _ELSEWHERE
    free = found.free_bytes
    if found.device == "cpu" and free is not None and row.predicted_bytes > _SHARE_OF_RAM * free:
        return _TOO_MUCH
    return _TOO_LONG if row.step_ms is not None and row.step_ms > 1000 * _LONG_S else ""


def _lower(value: int, row: Row, capacity_bytes: int, peak_bytes: int | None, step: int) -> int | None:
    """The next value to try where one took too much, or all (None) there was."""
    smaller = int(0.9 * value if peak_bytes is None else value * capacity_bytes / peak_bytes)
    if peak_bytes is not None and row.growth_bytes > 0:  # not all of a peak grows with the value
        excess = value - math.ceil((peak_bytes - capacity_bytes) / row.growth_bytes)
        smaller = excess if excess >= step else smaller
    smaller = min(smaller, value - step) // step * step
    return smaller if smaller > 0 else None


def with_values(data: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a configuration with some keys set."""
    changed = copy.deepcopy(dict(data))
    for path, value in values.items():
        section, _, key = path.rpartition(".")
        table = changed.setdefault(section, {}) if section else changed
        table[key] = value
    return changed


def _value(data: Mapping[str, Any], path: str) -> int | None:
    section, _, key = path.partition(".")
    value = (data.get(section) or {}).get(key)
    return value if isinstance(value, int) else None
