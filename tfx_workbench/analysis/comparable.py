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
OTHER_TASK = tr_mark("the two runs were trained on different tasks or data")
OTHER_LENGTH = tr_mark("one of the two runs did not train to its end")
_TIMES = ("tokens_per_s", "step_ms", "time_ms", "mfu")
_LOSSES = ("loss", "accuracy")
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

    Times and bytes are those of a device, a processor with another number of threads being another one. Losses are
    those of a task and its data, and so are times: other data are other work, whatever it is called. What is counted
    from the configuration can always be compared. `metric` may go on after a dot ("loss.held_out").
    """
    if is_of_a_device(metric) and is_other_device(baseline, other):
        return OTHER_DEVICE
    if is_of_a_task(metric) and is_other_data(baseline, other):
        return OTHER_TASK
    if metric.partition(".")[0] in _LOSSES and is_cut_short(baseline, other):
        return OTHER_LENGTH
    return ""


def is_cut_short(one: RunData, other: RunData) -> bool:
    """Whether one of two ended before its end, after other steps than the other: its loss is of less training."""
    early = any(run.info.status in ENDED and run.info.status != "finished" for run in (one, other))
    return early and len(one.steps) != len(other.steps)


def is_of_a_device(metric: str) -> bool:
    """Whether a figure belongs to the device it was measured on."""
    name = metric.partition(".")[0]
    return name in _TIMES or name.endswith("_bytes")


def is_of_a_task(metric: str) -> bool:
    """Whether a figure belongs to the task and its data."""
    return metric.partition(".")[0] in (*_TIMES, *_LOSSES)


def is_other_data(one: RunData, other: RunData) -> bool:
    """Whether two runs did other work: another task, or another text. Texts are told apart by what is in them where
    both runs say that, else by their names."""
    if task_name(one.info.config) != task_name(other.info.config):
        return True
    hashes = _sha256(one), _sha256(other)
    return hashes[0] != hashes[1] if all(hashes) else task_of(one) != task_of(other)


def _sha256(run: RunData) -> str:
    corpus = run.facts.get("corpus")
    return str(corpus.get("sha256") or "") if isinstance(corpus, dict) else ""


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
    return task_in(run.info.config)


def task_in(config: Mapping[str, Any]) -> str:
    """The task of a configuration, with its text."""
    data = config.get("data") or {}
    corpus = data.get("path") or data.get("corpus") if data.get("task") == "text" else ""
    return f"{task_name(config)}, {corpus}" if corpus else task_name(config)


def task_name(config: Mapping[str, Any]) -> str:
    """The task of a configuration by its name."""
    return str((config.get("data") or {}).get("task", "?"))


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
        yield Remark(tr_mark("was trained on another task or other data ({task}): losses and times are not compared"),
                     {"task": task_of(other)})
    elif (steps := loss_steps(baseline, other)) is not None:
        yield Remark(tr_mark("has the loss of step {count}, the baseline that of step {steps}: what they differ by is "
                             "not the configuration alone"), {"count": steps[1], "steps": steps[0]})


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
