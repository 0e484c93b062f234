"""Instruments: measurements that ordinary runs do not make, for the experiments of `resources/experiments`.

One file each. An instrument is a function (config, options, weights) -> {metric: value}; what it is called, takes and
gives is said in `protocol.experiments.INSTRUMENTS`, where those see it who do not import torch. What that says of an
instrument that the service answers (`is_asked`) has no file here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tfx_engine.instruments import (
    first_gradients,
    held_out_at,
    in_turns,
    longest_path,
    merging,
    permutation,
    same_gradients,
    sinusoid,
)
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.experiments import INSTRUMENTS

Measure = Callable[[Config, Mapping[str, float], Path | None], dict[str, float]]

MEASURES: dict[str, Measure] = {
    "permutation": permutation.measure, "sinusoid": sinusoid.measure, "first_gradients": first_gradients.measure,
    "longest_path": longest_path.measure, "same_gradients": same_gradients.measure,
    "held_out_at": held_out_at.measure, "merging": merging.measure, "in_turns": in_turns.measure,
}  # fmt: skip


def measure(name: str, config: Config, options: Mapping[str, float], weights: Path | None = None) -> dict[str, float]:
    """What an instrument says of a configuration. Raises KeyError where there is none of that name."""
    return MEASURES[name](config, {**INSTRUMENTS[name].options, **options}, weights)
