"""Runs as an ablation's results read them, with effects that were planted. No files, no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from tfx_workbench.analysis.ablation import FACT

# what a level does to time, memory and loss, as factors; of two levels together, what they do beyond that
Planted = Mapping[Any, Mapping[str, float]]


class PlantedRun(SimpleNamespace):
    """As a `RunData` it is itself and nothing else, whatever is in it."""

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return self is other


def planted_run(
    levels: Mapping[str, str], planted: Planted, *, seed: int = 0, steps: int = 60, scatter: float = 0.03,
    between_runs: float = 0.0, correlation: float = 0.0, reference: bool = False, status: str = "finished",
    ident: str = "ablation-x", created_at: str = "", device: str = "",
) -> Any:
    """One run of 10 ms a step, 1,000 tokens, 100 MB and a loss of 3, times what its levels do.

    `correlation`: how much of its deviation a step passes on to the next.
    """
    rng = np.random.default_rng([seed, *(ord(c) for c in "".join(levels.values()))])
    factors = dict.fromkeys(("step_ms", "peak_bytes", "loss"), 1.0)
    for key, does in planted.items():
        pairs = key if isinstance(key[0], tuple) else (key,)
        if all(levels.get(factor) == level for factor, level in pairs):
            factors = {name: factors[name] * does.get(name, 1.0) for name in factors}
    process = math.exp(rng.normal(0, between_runs)) if between_runs else 1.0
    noise = rng.normal(0, scatter, steps)
    for i in range(1, steps if correlation else 0):
        noise[i] = correlation * noise[i - 1] + math.sqrt(1 - correlation**2) * noise[i]
    step_ms = 10 * factors["step_ms"] * process * np.exp(noise)
    # A seed changes the loss of every configuration alike, and a little each by itself.
    common = np.random.default_rng(seed).normal(0, 0.05)
    loss = 3 * factors["loss"] * math.exp(common + rng.normal(0, 0.002))
    values = {"step_ms": step_ms, "tokens_per_s": 1e6 / step_ms}
    summary = {
        "measured_steps": steps if status == "finished" else 0, "loss": {"final": loss},
        "memory_bytes": {"peak": round(1e8 * factors["peak_bytes"])}, "params": {"total": 1000},
        "flops_per_token": {"hardware": 6000},
    }
    name = ", ".join(levels.values())
    return PlantedRun(
        facts={FACT: {"id": ident, "levels": dict(levels), "seed": seed, "is_reference": reference},
               **({"device": {"kind": "cuda", "name": device}} if device else {})},
        info=SimpleNamespace(status=status, reason="" if status == "finished" else "It broke.", name=name,
                             config={"seed": seed}, comparison="", created_at=created_at),
        every_measured=lambda column: values[column], measured=lambda column: values[column],
        summary=lambda: summary, path=f"{name} {seed}",
    )


def planted_runs(
    configurations: Sequence[Mapping[str, str]], planted: Planted, seeds: int = 1, first_seed: int = 0, **scatter: Any
) -> list[Any]:
    """Every configuration with every seed; the first is what the others are compared with."""
    return [
        planted_run(levels, planted, seed=first_seed + seed, reference=i == 0, **scatter)
        for i, levels in enumerate(configurations) for seed in range(seeds)
    ]
