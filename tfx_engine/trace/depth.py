"""How deep a model must be run, so that every deeper one of the same pattern follows from it.

Blocks repeat after a period, in each of the stretches that `estimate/stretches.py` knows.
"""

from __future__ import annotations

import math

from tfx_engine.estimate.stretches import stretches_of
from tfx_engine.protocol.config import Config
from tfx_engine.trace.axes import Axis, axis

_EDGES = 1  # blocks at the ends of a stretch that are like no other, beside those of a period


def period_of(config: Config) -> int:
    """After how many blocks everything repeats."""
    options = {slot: choice.options for slot, choice in config.techniques.items()}
    periods = [
        options["window"].get("full_every"), options["position"].get("without_every"), options["recompute"].get("every")
    ]
    return math.lcm(*(period or 1 for period in periods))


def depth_axes(config: Config) -> list[Axis | None]:
    """One for each stretch of blocks, None for those that are short."""
    period = period_of(config)
    return [axis(name, period + _EDGES, period, blocks) for name, blocks in stretches_of(config).items()]
