"""What of two runs may be compared, and what is to be said beside it: one rule for every table, figure and report."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.status import ENDED
from tfx_workbench.runs.noise import device_of

if TYPE_CHECKING:
    from tfx_workbench.runs.rundata import RunData

OTHER_DEVICE = tr_mark("the two runs were measured on different devices")
OTHER_TASK = tr_mark("the two runs were trained on different tasks")
_TIMES = ("tokens_per_s", "step_ms")
FEWEST_STEPS = 2  # without a second one nothing scatters


@dataclasses.dataclass(frozen=True)
class Remark:
    """What is to be known about one run beside the baseline: a template that goes on after "It" or "This run"."""

    template: str
    args: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return self.template.format(**self.args)


def why_not(baseline: RunData, other: RunData, metric: str) -> str:
    """Why two runs cannot be compared in a metric; empty where they can.

    Times and bytes are those of a device, a processor with another number of threads being another one; a loss is that
    of a task. What is counted from the configuration can always be compared.
    """
    if (metric in _TIMES or metric.endswith("_bytes")) and is_other_device(baseline, other):
        return OTHER_DEVICE
    if metric == "loss" and task_of(baseline) != task_of(other):
        return OTHER_TASK
    return ""


def is_other_device(one: RunData, other: RunData) -> bool:
    """Whether two runs used different devices; False where one does not say which."""
    devices = device_of(one.facts), device_of(other.facts)
    if not all(devices) or devices[0] == devices[1]:
        return False
    is_known = None not in (one.facts.get("threads"), other.facts.get("threads"))
    return is_known or name_of_device(one) != name_of_device(other)


def name_of_device(run: RunData) -> str:
    """The device that a run used; "" where it is not known."""
    device = run.facts.get("device")
    return str(device.get("name", "")) if isinstance(device, dict) else ""


def task_of(run: RunData) -> str:
    """The task of a run, with the text it read."""
    data = run.info.config.get("data") or {}
    corpus = data.get("path") or data.get("corpus") if data.get("task") == "text" else ""
    return f"{data.get('task', '?')}, {corpus}" if corpus else str(data.get("task", "?"))


def loss_steps(baseline: RunData, other: RunData) -> tuple[int, int] | None:
    """After how many steps the two losses are; None where they are after equally many, or one is not known."""
    before, after = baseline.summary(), other.summary()
    if before["loss"]["final"] is None or after["loss"]["final"] is None or before["steps"] == after["steps"]:
        return None
    return int(before["steps"]), int(after["steps"])


def remarks(baseline: RunData, other: RunData) -> tuple[Remark, ...]:
    """What is to be said of a run against a baseline: what is not compared, what has not ended, what is too short."""
    return (*_of_both(baseline, other), *_of_state(other, _OWN), *_of_state(baseline, _BASELINE))


def _of_both(baseline: RunData, other: RunData) -> Iterator[Remark]:
    if is_other_device(baseline, other):
        if name_of_device(baseline) != name_of_device(other):
            yield Remark(tr_mark("was measured on another device ({device}): times and bytes are not compared"),
                         {"device": name_of_device(other)})
        else:
            yield Remark(tr_mark("was measured with {count} threads, the baseline with {threads}: times and bytes are "
                                 "not compared"),
                         {"count": other.facts.get("threads"), "threads": baseline.facts.get("threads")})
    if why_not(baseline, other, "loss"):
        yield Remark(tr_mark("was trained on another task ({task}): losses are not compared"), {"task": task_of(other)})
    elif (steps := loss_steps(baseline, other)) is not None:
        yield Remark(tr_mark("has the loss after {count} steps, the baseline after {steps}: what they differ by is not "
                             "the configuration alone"), {"count": steps[1], "steps": steps[0]})


@dataclasses.dataclass(frozen=True)
class _Said:
    queued: str
    running: str
    few: str


_OWN = _Said(
    tr_mark("is queued: it has no figures yet"), tr_mark("has not ended: its figures are those of now"),
    tr_mark("has {count} measured steps: no interval can be given"),
)
_BASELINE = _Said(
    tr_mark("is compared with a baseline that is queued: it has no figures yet"),
    tr_mark("is compared with a baseline that has not ended: its figures are those of now"),
    tr_mark("is compared with a baseline of {count} measured steps: no interval can be given"),
)


def _of_state(run: RunData, said: _Said) -> Iterator[Remark]:
    if run.info.status == "queued":
        yield Remark(said.queued)
        return
    if run.info.status not in ENDED:
        yield Remark(said.running)
    count = run.summary()["measured_steps"]
    if count < FEWEST_STEPS:
        yield Remark(said.few, {"count": count})
