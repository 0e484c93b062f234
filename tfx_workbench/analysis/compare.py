"""Runs against a baseline: every figure as a difference in per cent, and what their configurations differ in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_workbench.analysis.statistics import Effect, effect, exact_effect
from tfx_workbench.runs.rundata import RunData

SERIES = ("tokens_per_s", "step_ms")
NO_FIGURE = tr_mark("one of the two runs has no such figure")
ONE_SEED = tr_mark("one run each does not tell how much the loss scatters between seeds")
# Differences between such settings are no difference between what is compared.
IDENTITY = ("name",)


def effects(baseline: RunData, other: RunData) -> tuple[dict[str, Effect], dict[str, str]]:
    """The effect of each metric over all measured steps, and the reasons of what could not be known."""
    result = {name: effect(baseline.every_measured(name), other.every_measured(name)) for name in SERIES}
    before, after = baseline.complete_summary(), other.complete_summary()
    for key, metric in _counts().items():
        result[metric] = exact_effect(_at(before, key), _at(after, key))
    result["loss"] = _loss(_at(before, "loss.final"), _at(after, "loss.final"))
    missing = {name: NO_FIGURE for name, found in result.items() if found.distinguishable is None}
    if not math.isnan(result["loss"].percent):
        missing["loss"] = ONE_SEED
    return result, missing


def _counts() -> dict[str, str]:
    """Figures that are exact counts: dotted key in the summary -> name of the metric."""
    memory = {f"memory_bytes.{name}": f"{name}_bytes" for name in ("peak", "reserved")}
    own = {f"category_peak_bytes.{name}": f"{name}_bytes" for name in CATEGORIES}
    params = {f"params.{name}": f"{name}_params" for name in ("total", "trainable")}
    flops = {f"flops_per_token.{name}": f"{name}_flops_per_token" for name in ("model", "hardware")}
    return {**memory, **own, **params, **flops}


def _at(summary: Mapping[str, Any], key: str) -> float | None:
    value: Any = summary
    for part in key.split("."):
        value = value[part]
    return None if value is None else float(value)


def _loss(baseline: float | None, other: float | None) -> Effect:
    found = exact_effect(baseline, other)
    return Effect(found.percent, math.nan, math.nan, None)


def config_diff(baseline: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """`{key path: {"baseline": value, "run": value}}` where two resolved configurations differ."""
    before, after = dict(_flat(baseline)), dict(_flat(other))
    return {
        key: {"baseline": before.get(key), "run": after.get(key)}
        for key in {**before, **after}
        if key not in IDENTITY and before.get(key) != after.get(key)
    }


def _flat(table: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    entries: list[tuple[str, Any]] = []
    for key, value in table.items():
        entries += _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [(f"{prefix}{key}", value)]
    return entries
