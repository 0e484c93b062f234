"""What would have helped a run that ran out of memory: single changes, by the bytes that each saves for what it costs.

Each is tried in closed form (`estimate`), one at a time, from the configuration that failed; only what is legal with
all else and saves something is named. The prediction is of torch's allocator; `estimate` states its own error. What it
costs is time: how much longer the same tokens take, from a trace of the step where this device was measured, else by
FLOPs, which is said.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any, Literal

from tfx_engine.estimate import flops_per_token
from tfx_engine.estimate.memory import memory_of_step
from tfx_engine.model.validate import validate
from tfx_engine.protocol.config import Config, parse_config
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import errors_among
from tfx_engine.worker.failure import in_words
from tfx_engine.worker.step_time import expected_step

MOST = 6
_PATIENCE_S = 10.0  # for tracing steps; what is left then is judged by its FLOPs
_LEAST_PERCENT = 1.0  # slower by less than this costs nothing
# slot -> what to put there, for which a configuration may have something else now
_TOGGLES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("recompute", {"use": "every_block"}), ("recompute", {"use": "selective"}),
    ("accumulation", {"use": "micro_batches"}),
    ("precision", {"use": "bfloat16_autocast"}), ("precision", {"use": "bfloat16"}),
    ("loss", {"use": "chunked_cross_entropy"}), ("optimizer", {"use": "adamw_8bit"}), ("optimizer", {"use": "sgd"}),
    ("adapter", {"use": "lora"}), ("offload", {"use": "activations"}), ("kernel", {"use": "auto"}),
)
_SAVES = tr_mark("{change} saves {bytes}{cost}")
_SLOWER = {
    "time": (tr_mark(", {percent:.0f} % slower"), tr_mark(", {percent:.0f} % faster")),
    "flops": (tr_mark(", {percent:.0f} % slower by its FLOPs"), tr_mark(", {percent:.0f} % faster by its FLOPs")),
}
_HELPS = tr_mark("Predicted to help, one change at a time: {changes}.")


@dataclasses.dataclass(frozen=True)
class Advice:
    """One change: what to set where, and the peak that is then predicted, in bytes.

    `slower_percent`: how much longer as many tokens take; `judged_by`: their time, or, where nobody knows that, FLOPs.
    """

    path: str  # techniques.recompute, run.batch
    value: Any
    saves_bytes: int
    peak_bytes: int
    flops_percent: float
    slower_percent: float
    judged_by: Literal["time", "flops"]

    @property
    def worth(self) -> float:
        """Bytes saved for each per cent of time."""
        return self.saves_bytes / max(_LEAST_PERCENT, self.slower_percent)

    @property
    def words(self) -> str:
        value = self.value["use"] if isinstance(self.value, dict) else self.value
        options = [f"{k} {v}" for k, v in self.value.items() if k != "use"] if isinstance(self.value, dict) else []
        change = f"{self.path.partition('.')[2]} = {' '.join([str(value), *options])}"
        return _SAVES.format(change=change, bytes=in_words(self.saves_bytes), cost=self._cost())

    def _cost(self) -> str:
        if abs(self.slower_percent) < _LEAST_PERCENT:
            return ""
        return _SLOWER[self.judged_by][self.slower_percent < 0].format(percent=abs(self.slower_percent))


def advice(config: Config, device_kind: str, capacity_bytes: int | None = None) -> list[Advice]:
    """The changes that save most for what they cost, best first; none where the step cannot be estimated.

    Where the device's capacity is known, those that are predicted to fit into it come before the others.
    """
    before = memory_of_step(config, device_kind).peak
    found: list[tuple[str, Any, Config, int]] = []
    for path, value in _changes(config):
        changed, problems = parse_config(_with(config, path, value))
        if problems or errors_among(validate(changed)):
            continue
        peak = memory_of_step(changed, device_kind).peak
        if peak < before:
            found.append((path, value, changed, peak))
    slower = _slowdowns(config)
    advised = [
        Advice(path, value, before - peak, peak, 100 * (_flops(changed) / _flops(config) - 1), *slower(changed))
        for path, value, changed, peak in sorted(found, key=lambda each: each[3])
    ]
    return sorted(advised, key=lambda each: (_is_too_large(each, capacity_bytes), -each.worth))[:MOST]


def _is_too_large(each: Advice, capacity_bytes: int | None) -> bool:
    return capacity_bytes is not None and each.peak_bytes > capacity_bytes


def sentence(found: list[Advice]) -> str:
    """The best three in words; empty where there is nothing to say."""
    return _HELPS.format(changes="; ".join(each.words for each in found[:3])) if found else ""


def _slowdowns(config: Config) -> Callable[[Config], tuple[float, Literal["time", "flops"]]]:
    """What says of a changed configuration by how many per cent a token takes longer, and what that is judged by."""
    end, work, took = time.monotonic() + _PATIENCE_S, _flops(config), _ms_per_token(config)

    def slower(changed: Config) -> tuple[float, Literal["time", "flops"]]:
        takes = _ms_per_token(changed) if took is not None and time.monotonic() < end else None
        if takes is None or took is None:
            return 100 * (_flops(changed) / work - 1), "flops"
        return 100 * (takes / took - 1), "time"

    return slower


def _ms_per_token(config: Config) -> float | None:
    """Predicted; None where nobody knows it."""
    ms = expected_step(config).ms
    return None if ms is None else ms / (config.run.batch * config.model.context)


def _changes(config: Config) -> list[tuple[str, Any]]:
    changes: list[tuple[str, Any]] = []
    for slot, value in _TOGGLES:
        if config.use(slot) == value["use"]:
            continue
        if slot == "accumulation":
            if config.run.batch > 1:
                changes.append((f"techniques.{slot}", {**value, "pieces": config.run.batch}))
            continue
        changes.append((f"techniques.{slot}", value))
    if config.run.batch > 1:
        changes.append(("run.batch", config.run.batch // 2))
    return changes


def _with(config: Config, path: str, value: Any) -> dict[str, Any]:
    data = config.as_dict()
    section, _, key = path.partition(".")
    data[section][key] = value
    return data


def _flops(config: Config) -> float:
    flops = flops_per_token(config)
    return float(flops.forward + flops.backward + flops.recompute)
