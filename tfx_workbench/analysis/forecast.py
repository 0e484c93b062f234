"""How long the runs of an ablation will take: from predicted steps before the first run, corrected by every run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

EXTRA_STEPS = 8  # beside warm-up and measured ones: profiled, split memory, evaluated on held-out data


@dataclasses.dataclass(frozen=True)
class Forecast:
    """Seconds: `left_s` of the runs to come, None where nothing is known; `is_measured`: runs that ended are in it."""

    left_s: float | None
    is_measured: bool = False
    unknown: int = 0  # runs whose step time nobody knows, before the first run


def predicted_s(config: Mapping[str, Any], step_ms: float | None) -> float | None:
    """What the steps of a resolved configuration will take; None where the time of one is not known."""
    if step_ms is None:
        return None
    run = config["run"]
    return float(step_ms) / 1000 * (int(run["warmup_steps"]) + int(run["measure_steps"]) + EXTRA_STEPS)


def forecast(predicted: Sequence[float | None], taken: Mapping[int, float]) -> Forecast:
    """What is left of the runs whose seconds were `predicted`; `taken`: seconds of those that have ended, by index.

    Runs that ended say by how much predictions are too short: what starts and ends a run is the same for each, and its
    steps are longer or shorter in proportion.
    """
    left = [p for i, p in enumerate(predicted) if i not in taken]
    known = [p for p in left if p is not None]
    if not taken:
        unknown = len(left) - len(known)
        mean = sum(known) / len(known) if known else None
        return Forecast(None if mean is None else sum(known) + unknown * mean, unknown=unknown)
    pairs = [(p, taken[i]) for i, p in enumerate(predicted) if i in taken and p is not None]
    per_run = sum(taken.values()) / len(taken)
    if not pairs:
        return Forecast(per_run * len(left), is_measured=True)
    share, start_s = _line(pairs)
    return Forecast(sum(per_run if p is None else share * p + start_s for p in left), is_measured=True)


def _line(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """(share, start): taken is about share x predicted + start."""
    n = len(pairs)
    mean_p, mean_t = sum(p for p, _ in pairs) / n, sum(t for _, t in pairs) / n
    spread = sum((p - mean_p) ** 2 for p, _ in pairs)
    if n < 3 or spread <= 1e-6 * mean_p**2:
        return 1.0, max(0.0, mean_t - mean_p) if mean_t >= mean_p else mean_t - mean_p
    share = sum((p - mean_p) * (t - mean_t) for p, t in pairs) / spread
    share = min(max(share, 0.2), 5.0)
    return share, mean_t - share * mean_p
