"""Somebody else's run against the same configuration run here: how far apart, and what that can mean.

Counts (parameters, FLOPs) must be equal wherever it is run. Losses are the same data and the same arithmetic: to the
bit on the same CPU build of torch, else nearly. Times and memory belong to a device: on another one they are shown side
by side, and nothing is concluded: what is comparable is one rule everywhere (`comparable`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.analysis.comparable import OTHER_DEVICE, is_other_data, name_of_device, why_not
from tfx_workbench.runs.rundata import RunData

SAME, SAME_DEVICE = "same", "same-device"
OTHER_CPU, OTHER_GPU, OTHER_KIND = "other-cpu", "other-gpu", "other-kind"
CLASSES = {
    SAME: tr_mark("same device, same torch"), SAME_DEVICE: tr_mark("same device, other torch or threads"),
    OTHER_CPU: tr_mark("other CPU"), OTHER_GPU: tr_mark("other GPU class"), OTHER_KIND: tr_mark("other kind of device"),
}
WITHIN_PERCENT = {"loss": 1.0, "speed": 10.0, "memory": 1.0}  # of the author's figure it counts as the same
_ROUNDING_PERCENT = 0.01  # what another order of sums may change of a first loss in float32
_COARSE_PERCENT = 2.0  # the same in 16 bits and less
_NO_FIGURE = tr_mark("one of the two runs has no such figure")
_OTHER_DATA = tr_mark("the data is not the author's")
_OF_A_DEVICE = tr_mark("it belongs to the device: {device}")


@dataclasses.dataclass(frozen=True)
class Metric:
    """One figure. `percent`: how far ours is from the author's; `agrees`: None where nothing can be concluded."""

    name: str
    unit: str
    author: float | None
    here: float | None
    percent: float | None
    agrees: bool | None
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {key: value for key, value in dataclasses.asdict(self).items() if key != "name"}


@dataclasses.dataclass(frozen=True)
class Reproduction:
    """All of them. `device_class`: one of `CLASSES`."""

    author_device: str
    here_device: str
    device_class: str
    metrics: tuple[Metric, ...]

    @property
    def agrees(self) -> bool | None:
        """False where a figure does not agree, True where one does and none does not."""
        known = [metric.agrees for metric in self.metrics if metric.agrees is not None]
        return all(known) if known else None


# Name, unit, key in the summary, and what it is a matter of.
_FIGURES = (
    (tr_mark("parameters"), "", "params.total", "count"),
    (tr_mark("trained parameters"), "", "params.trainable", "count"),
    (tr_mark("FLOPs per token"), "FLOPs", "flops_per_token.model", "count"),
    (tr_mark("first loss"), "nats", "loss.first", "first"), (tr_mark("last loss"), "nats", "loss.final", "loss"),
    (tr_mark("held-out loss"), "nats", "loss.held_out", "loss"),
    (tr_mark("throughput"), "tokens/s", "tokens_per_s.median", "speed"),
    (tr_mark("step time"), "ms", "step_ms.median", "speed"),
    (tr_mark("peak memory"), "bytes", "memory_bytes.peak", "memory"), (tr_mark("MFU"), "share", "mfu", "speed"),
)


def compare_with_author(author: RunData, here: RunData) -> Reproduction:
    """The author's run against ours."""
    kind = device_class(author.facts, here.facts)
    theirs, ours = author.complete_summary(), here.complete_summary()
    is_same_data = not is_other_data(author, here)
    is_coarse = author.info.config.get("techniques", {}).get("precision", {}).get("use") != "float32"
    metrics = []
    for name, unit, key, matter in _FIGURES:
        a, b = _at(theirs, key), _at(ours, key)
        percent = None if a is None or b is None else 0.0 if a == b else math.inf if a == 0 else 100 * (b / a - 1)
        agrees, reason = _judge(matter, percent, kind, is_same_data, is_coarse)
        if agrees is not None and matter != "count" and why_not(author, here, key) == OTHER_DEVICE:
            agrees, reason = None, _OF_A_DEVICE.format(device=_threads(author, here) or CLASSES[kind])
        metrics.append(Metric(name, unit, a, b, percent if percent != math.inf else None, agrees, reason))
    return Reproduction(_device(author.facts), _device(here.facts), kind, tuple(metrics))


def verdict(metric: Metric) -> str:
    """What is to be said of a figure."""
    if metric.percent is None:
        return metric.reason
    apart = abs(metric.percent)
    digits = f"{apart:.1f}" if apart >= 0.1 else f"{apart:.2g}"
    within = tr_mark("equal") if apart == 0 else tr_mark("within {percent} % of the author's").format(percent=digits)
    if metric.agrees is None:
        return f"{within}; {metric.reason}"
    return within if metric.agrees else tr_mark("{percent} % off the author's").format(percent=digits)


def device_class(author: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """How much alike the two devices are, by the facts of the runs."""
    one, other = author.get("device") or {}, here.get("device") or {}
    if one.get("kind") != other.get("kind"):
        return OTHER_KIND
    if one.get("name") != other.get("name"):
        return OTHER_CPU if one.get("kind") == "cpu" else OTHER_GPU
    keys = ("torch", "threads", "cpu_capability") if one.get("kind") == "cpu" else ("torch", "driver")
    return SAME if all(author.get(key) == here.get(key) for key in keys) else SAME_DEVICE


def _judge(
    matter: str, percent: float | None, kind: str, is_same_data: bool, is_coarse: bool
) -> tuple[bool | None, str]:
    """(whether a figure agrees, why nothing can be concluded)."""
    if percent is None:
        return None, _NO_FIGURE
    match matter:
        case "count":
            return percent == 0, ""
        case "first" | "loss" | "speed" if not is_same_data:
            return None, _OTHER_DATA
        case "first":
            return abs(percent) <= (_COARSE_PERCENT if is_coarse else _ROUNDING_PERCENT), ""
        case "loss":
            return abs(percent) <= (_COARSE_PERCENT if is_coarse else WITHIN_PERCENT["loss"]), ""
    if kind not in (SAME, SAME_DEVICE):
        return None, _OF_A_DEVICE.format(device=CLASSES[kind])
    return abs(percent) <= WITHIN_PERCENT[matter], ""


def _at(summary: Mapping[str, Any], key: str) -> float | None:
    value: Any = summary
    for part in key.split("."):
        value = None if value is None else value.get(part)
    return None if value is None else float(value)


def _threads(author: RunData, here: RunData) -> str:
    """In words that one processor was used with another number of threads; empty where that is not it."""
    counts = author.facts.get("threads"), here.facts.get("threads")
    if name_of_device(author) != name_of_device(here) or counts[0] == counts[1]:
        return ""
    return tr_mark("{here} threads, not the author's {author}").format(here=counts[1], author=counts[0])


def _device(facts: Mapping[str, Any]) -> str:
    return str((facts.get("device") or {}).get("name") or "")
