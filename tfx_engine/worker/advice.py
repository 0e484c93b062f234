"""What would have helped a run that ran out of memory: single changes, by the bytes that each is predicted to save.

Each is tried in closed form (`estimate`), one at a time, from the configuration that failed; only what is legal with
all else and saves something is named. The prediction is of torch's allocator; `estimate` states its own error.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from tfx_engine.estimate import flops_per_token
from tfx_engine.estimate.memory import memory_of_step
from tfx_engine.model.validate import validate
from tfx_engine.protocol.config import Config, parse_config
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import errors_among
from tfx_engine.worker.failure import in_words

MOST = 6
# slot -> what to put there, for which a configuration may have something else now
_TOGGLES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("recompute", {"use": "every_block"}), ("recompute", {"use": "selective"}),
    ("accumulation", {"use": "micro_batches"}),
    ("precision", {"use": "bfloat16_autocast"}), ("precision", {"use": "bfloat16"}),
    ("loss", {"use": "chunked_cross_entropy"}), ("optimizer", {"use": "adamw_8bit"}), ("optimizer", {"use": "sgd"}),
    ("adapter", {"use": "lora"}), ("offload", {"use": "activations"}), ("kernel", {"use": "auto"}),
)
_SAVES = tr_mark("{change} saves {bytes}{cost}")
_COST = tr_mark(" for {percent:+.0f} % FLOPs")
_HELPS = tr_mark("Predicted to help, one change at a time: {changes}.")


@dataclasses.dataclass(frozen=True)
class Advice:
    """One change: what to set where, and the peak that is then predicted, in bytes. `flops_percent`: more work."""

    path: str  # techniques.recompute, run.batch
    value: Any
    saves_bytes: int
    peak_bytes: int
    flops_percent: float

    @property
    def words(self) -> str:
        value = self.value["use"] if isinstance(self.value, dict) else self.value
        options = [f"{k} {v}" for k, v in self.value.items() if k != "use"] if isinstance(self.value, dict) else []
        change = f"{self.path.partition('.')[2]} = {' '.join([str(value), *options])}"
        cost = _COST.format(percent=self.flops_percent) if abs(self.flops_percent) >= 0.5 else ""
        return _SAVES.format(change=change, bytes=in_words(self.saves_bytes), cost=cost)


def advice(config: Config, device_kind: str) -> list[Advice]:
    """The changes that save most, best first; none where the step cannot be estimated."""
    before, work = memory_of_step(config, device_kind).peak, _flops(config)
    found: list[Advice] = []
    for path, value in _changes(config):
        changed, problems = parse_config(_with(config, path, value))
        if problems or errors_among(validate(changed)):
            continue
        peak = memory_of_step(changed, device_kind).peak
        if peak < before:
            more = 100 * (_flops(changed) / work - 1)
            found.append(Advice(path, value, before - peak, peak, more))
    return sorted(found, key=lambda each: -each.saves_bytes)[:MOST]


def sentence(found: list[Advice]) -> str:
    """The best three in words; empty where there is nothing to say."""
    return _HELPS.format(changes="; ".join(each.words for each in found[:3])) if found else ""


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
