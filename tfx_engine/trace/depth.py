"""How deep a model must be traced, so that every deeper one of the same pattern follows from it.

Blocks repeat: one more period of them adds the same allocations and frees to the step, at one place of the forward,
one of the backward pass, and wherever the optimizer goes through the parameters. Two traces that differ by one period
show what that is.
"""

from __future__ import annotations

import dataclasses
import math

from tfx_engine.protocol.config import Config

_EDGES = 2  # the first and the last block may be like no other


@dataclasses.dataclass(frozen=True)
class Depths:
    """The depths to trace, and how often what the deeper one adds comes on top of the shallower one."""

    shallow: int
    deep: int
    times: int


def period_of(config: Config) -> int:
    """After how many blocks everything repeats."""
    options = {slot: choice.options for slot, choice in config.techniques.items()}
    periods = [
        options["window"].get("full_every"), options["position"].get("without_every"), options["recompute"].get("every")
    ]
    return math.lcm(*(period or 1 for period in periods))


def depths_of(config: Config) -> Depths | None:
    """None where nothing is gained, or where blocks follow no pattern: then the whole model is to be traced."""
    layers, period = config.model.layers, period_of(config)
    adapter = config.techniques["adapter"]
    if adapter.use == "freeze" and adapter.options["blocks"] != "all":
        return None
    shallow = period + _EDGES
    shallow += (layers - shallow) % period
    deep = shallow + period
    if deep >= layers:
        return None
    return Depths(shallow, deep, (layers - shallow) // period)


def with_layers(config: Config, layers: int) -> Config:
    """The same configuration with another depth."""
    return dataclasses.replace(config, model=dataclasses.replace(config.model, layers=layers))
