"""Runs against a baseline: every figure as a difference in per cent, and what their configurations differ in.

Runs that were measured in turns (one interleaved comparison) are compared block by block, all others as one after the
other. Of several runs the intervals hold all at once, however each was compared.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tfx_engine.protocol.interleaving import part_of
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.runfile.errors import RunFileError
from tfx_workbench.analysis.comparable import loss_steps, why_not
from tfx_workbench.analysis.contrasts import contrasts
from tfx_workbench.analysis.measurements import SERIES, measurements
from tfx_workbench.analysis.rounds import CONTROL, are_interleaved, role
from tfx_workbench.analysis.statistics import UNKNOWN, Effect, exact_effect
from tfx_workbench.runs.noise import band_of, device_of, load_noise
from tfx_workbench.runs.rundata import RunData

NO_FIGURE = tr_mark("one of the two runs has no such figure")
TOO_FEW = tr_mark("one of the two runs has too few measured steps for an interval")
ONE_SEED = tr_mark("one run each does not tell how much the loss scatters between seeds")
OTHER_STEPS = tr_mark("the two losses are after different numbers of steps, and one run each does not tell how much "
                      "the loss scatters between seeds")
# Differences between such settings are no difference between what is compared.
IDENTITY = ("name",)


@dataclasses.dataclass(frozen=True)
class Compared:
    """One run against the baseline. `missing`: the reasons of what could not be known, by metric."""

    run: RunData
    effects: dict[str, Effect]
    missing: dict[str, str]
    is_control: bool = False  # a second copy of the baseline: what it differs by is this machine's noise


def effects(baseline: RunData, other: RunData, noise_band: float | None = None) -> tuple[
    dict[str, Effect], dict[str, str]
]:
    """The effect of each metric over all measured steps, and the reasons of what could not be known."""
    (found,) = compare_runs(baseline, [other], noise_band)
    return found.effects, found.missing


def compare_runs(
    baseline: RunData, others: Sequence[RunData], noise_band: float | None = None
) -> list[Compared]:
    """Every run against the baseline, in order; the intervals of one metric hold for all of them at once.

    A control among them (a second copy of the baseline that took its turns as the others did) says how large the noise
    is, and belongs to no family. Without one `noise_band` counts, in per cent; where it is None, what is known of the
    machine (`known_band`). What cannot be compared (`comparable.why_not`) is unknown and in no family.
    """
    band = _band(baseline, others, noise_band)
    found = {metric: _with_band(baseline, others, metric, band) for metric in SERIES}
    return [
        _compared(baseline, run, {metric: found[metric][i] for metric in SERIES}, is_control_of(baseline, run))
        for i, run in enumerate(others)
    ]


def series_effects(
    baseline: RunData, others: Sequence[RunData], metric: str, noise_band: float | None = None
) -> list[Effect]:
    """As `compare_runs`, of one metric that has a value at every step."""
    return _with_band(baseline, others, metric, _band(baseline, others, noise_band))


def _band(baseline: RunData, others: Sequence[RunData], noise_band: float | None) -> float | None:
    """What is asked for, else what is known; not looked up where a control among them says it."""
    if noise_band is not None or any(is_control_of(baseline, run) for run in others):
        return noise_band
    return known_band(baseline)


def _with_band(baseline: RunData, others: Sequence[RunData], metric: str, noise_band: float | None) -> list[Effect]:
    known = [run for run in others if not why_not(baseline, run, metric)]
    found = dict(zip(map(id, known), _of_comparable(baseline, known, metric, noise_band), strict=True))
    return [found.get(id(run), UNKNOWN) for run in others]


def _of_comparable(
    baseline: RunData, others: Sequence[RunData], metric: str, noise_band: float | None
) -> list[Effect]:
    is_control = [is_control_of(baseline, run) for run in others]
    of_controls = [
        _series(baseline, [run], metric)[0] for run, is_one in zip(others, is_control, strict=True) if is_one
    ]
    band = noise_of(of_controls[0]) if of_controls else noise_band
    rest = _series(baseline, [run for run, is_one in zip(others, is_control, strict=True) if not is_one], metric)
    left, controls = iter(rest), iter(of_controls)
    return [next(controls) if is_one else next(left).within(band) for is_one in is_control]


def known_band(baseline: RunData) -> float | None:
    """By how many per cent equal runs may differ: of the baseline's own second copy, else as remembered of its device.

    None where neither is known.
    """
    part = part_of(baseline.facts)
    if part is not None and part.control:
        path = baseline.path.with_name(Path(part.control).name)  # the folder may have been moved
        try:
            with closing(RunData(path)) as control:
                control.load()
                if is_control_of(baseline, control):
                    return noise_of(_series(baseline, [control], "step_ms")[0])
        except RunFileError:
            pass  # it was deleted; what is remembered of the machine is nearly as good
    remembered = load_noise(device_of(baseline.facts))
    return None if remembered is None else remembered.band_percent


def is_control_of(baseline: RunData, run: RunData) -> bool:
    """Whether a run is the second copy of this baseline in one interleaved comparison."""
    return are_interleaved(baseline, run) and role(run) == CONTROL and role(baseline) == "baseline"


def noise_of(control: Effect) -> float | None:
    """By how many per cent two copies of one configuration may differ: the far end of the interval of their effect."""
    if control.distinguishable is None:
        return None
    return band_of(control.low, control.high)


def _series(baseline: RunData, others: Sequence[RunData], metric: str) -> list[Effect]:
    """One family: interleaved runs block by block, the others by the scatter of their steps."""
    samples = [measurements([run], metric) for run in (baseline, *others)]
    return contrasts(samples, [{i: 1.0, 0: -1.0} for i in range(1, len(samples))])


def _compared(baseline: RunData, other: RunData, series: dict[str, Effect], is_control: bool) -> Compared:
    result = dict(series)
    before, after = baseline.complete_summary(), other.complete_summary()
    for key, metric in _counts().items():
        result[metric] = exact_effect(_at(before, key), _at(after, key))
    result["loss"] = _loss(_at(before, "loss.final"), _at(after, "loss.final"))
    unlike = {name: why for name in result if (why := why_not(baseline, other, name))}
    result |= dict.fromkeys(unlike, UNKNOWN)
    missing = {name: NO_FIGURE if math.isnan(found.percent) else TOO_FEW
               for name, found in result.items() if found.distinguishable is None} | unlike
    if not math.isnan(result["loss"].percent):
        missing["loss"] = OTHER_STEPS if loss_steps(baseline, other) else ONE_SEED
    return Compared(other, result, missing, is_control)


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
