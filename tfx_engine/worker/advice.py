"""What would have helped a run that ran out of memory: single changes, by the bytes that each saves for what it costs.

Each is tried in closed form (`estimate`), one at a time, from the configuration that failed; only what is legal with
all else and saves something is named. The prediction is of torch's allocator; how far off such predictions of the peak
are is said with it. What it costs is time: how much longer the same tokens take, from a trace of the step where this
device was measured, else by FLOPs, which is said; and it may change what is learnt, which is said too.
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
from tfx_engine.protocol.ledger import own_error
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import errors_among
from tfx_engine.techniques.claims import Same
from tfx_engine.techniques.counts import in_slot
from tfx_engine.techniques.slots import SLOTS
from tfx_engine.worker.failure import in_words
from tfx_engine.worker.predicting import BENCHED
from tfx_engine.worker.step_time import expected_step

MOST = 6
_PATIENCE_S = 10.0  # for tracing steps; what is left then is judged by its FLOPs
_DEARER = 2.0  # times as much must a change be worth after which something else is learnt
_LEAST_PERCENT = 1.0  # slower by less than this costs nothing
# slot -> what to put there, for which a configuration may have something else now
_TOGGLES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("recompute", {"use": "every_block"}), ("recompute", {"use": "selective"}),
    ("accumulation", {"use": "micro_batches"}),
    ("precision", {"use": "bfloat16_autocast"}), ("precision", {"use": "bfloat16"}),
    ("loss", {"use": "chunked_cross_entropy"}), ("optimizer", {"use": "adamw_8bit"}), ("optimizer", {"use": "sgd"}),
    ("adapter", {"use": "lora"}), ("offload", {"use": "activations"}), ("kernel", {"use": "auto"}),
)
_SAVES = tr_mark("{change} saves about {bytes}{cost}{learns}")
_LEARNS = tr_mark(", changes what is learnt")
_SLOWER = {
    "time": (tr_mark(", {percent:.0f} % slower"), tr_mark(", {percent:.0f} % faster")),
    "flops": (tr_mark(", {percent:.0f} % slower by its FLOPs"), tr_mark(", {percent:.0f} % faster by its FLOPs")),
}
_HELPS = tr_mark("Predicted to help, one change at a time: {changes}. {error}")
_ERROR = tr_mark("Of such predictions of the peak 95 of 100 are within {percent:.2g} %.")
_NONE_FITS = tr_mark("None of them alone is predicted to fit into {bytes}.")
_NO_ERROR = tr_mark("How far off such predictions of the peak are on this device is not known.")


@dataclasses.dataclass(frozen=True)
class Advice:
    """One change: what to set where, and the peak that is then predicted, in bytes.

    `slower_percent`: how much longer as many tokens take; `judged_by`: their time, or, where nobody knows that, FLOPs.
    `changes_learning`: loss and gradients are not those of the run that failed. `error_95_percent`: what 95 of 100 such
    predictions of the peak stay within, None where nobody knows.
    """

    path: str  # techniques.recompute, run.batch
    value: Any
    saves_bytes: int
    peak_bytes: int
    flops_percent: float
    slower_percent: float
    judged_by: Literal["time", "flops"]
    changes_learning: bool = False
    error_95_percent: float | None = None

    @property
    def worth(self) -> float:
        """Bytes saved for each per cent of time."""
        return self.saves_bytes / max(_LEAST_PERCENT, self.slower_percent)

    @property
    def words(self) -> str:
        value = self.value["use"] if isinstance(self.value, dict) else self.value
        options = [f"{k} {v}" for k, v in self.value.items() if k != "use"] if isinstance(self.value, dict) else []
        change = f"{self.path.partition('.')[2]} = {' '.join([str(value), *options])}"
        learns = _LEARNS if self.changes_learning else ""
        return _SAVES.format(change=change, bytes=in_words(self.saves_bytes), cost=self._cost(), learns=learns)

    @property
    def rank(self) -> tuple[float, bool]:
        """The lowest first: by worth, and what changes what is learnt must be worth twice as much."""
        return -self.worth / (_DEARER if self.changes_learning else 1.0), self.changes_learning

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
    slower, error = _slowdowns(config), _error_95(config, device_kind)
    advised = [
        Advice(path, value, before - peak, peak, 100 * (_flops(changed) / _flops(config) - 1), *slower(changed),
               _changes_learning(config, changed, path), error)
        for path, value, changed, peak in sorted(found, key=lambda each: each[3])
    ]
    return sorted(advised, key=lambda each: (_is_too_large(each, capacity_bytes), *each.rank))[:MOST]


def _is_too_large(each: Advice, capacity_bytes: int | None) -> bool:
    return capacity_bytes is not None and each.peak_bytes > capacity_bytes


def sentence(found: list[Advice], capacity_bytes: int | None = None) -> str:
    """The best three in words, and where none of all is predicted to fit; empty where there is nothing to say."""
    if not found:
        return ""
    off = found[0].error_95_percent
    error = _NO_ERROR if off is None else _ERROR.format(percent=off)
    if capacity_bytes is not None and _is_too_large(found[0], capacity_bytes):  # what fits comes first
        error += " " + _NONE_FITS.format(bytes=in_words(capacity_bytes))
    return _HELPS.format(changes="; ".join(each.words for each in found[:3]), error=error)


def _error_95(config: Config, kind: str) -> float | None:
    """Of the closed form's peak, per cent: of the user's own runs, or else of the benches."""
    is_compiled = config.use("compile") != "none"
    found = own_error(kind, "instant", is_compiled) or (None if is_compiled else BENCHED.get((kind, "instant")))
    return None if found is None else found.within_95


def _changes_learning(before: Config, after: Config, path: str) -> bool:
    """Whether loss and gradients become others: unless both techniques claim to have those of the slot's plain one."""
    section, _, slot = path.partition(".")
    return section != "techniques" or not (_is_as_plain(before, slot) and _is_as_plain(after, slot))


def _is_as_plain(config: Config, slot: str) -> bool:
    technique, _ = in_slot(config, slot)
    return technique.name == SLOTS[slot].default or any(isinstance(claim, Same) for claim in technique.claims)


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
