"""How deep a model must be run, so that every deeper one of the same pattern follows from it.

Blocks repeat after a period. Where the first or the last ones are trained and the others frozen, these are two
stretches of blocks, each with a length of its own.
"""

from __future__ import annotations

import dataclasses
import math

from tfx_engine.protocol.config import Choice, Config
from tfx_engine.trace.axes import Axis, Point, axis

BEFORE, AFTER = "blocks", "further blocks"  # the stretches of blocks
_EDGES = 1  # blocks at the ends of a stretch that are like no other, beside those of a period


def period_of(config: Config) -> int:
    """After how many blocks everything repeats."""
    options = {slot: choice.options for slot, choice in config.techniques.items()}
    periods = [
        options["window"].get("full_every"), options["position"].get("without_every"), options["recompute"].get("every")
    ]
    return math.lcm(*(period or 1 for period in periods))


def stretches_of(config: Config) -> dict[str, int]:
    """How many blocks there are in a row of which all are trained alike."""
    layers, reached = config.model.layers, _reached(config)
    if reached is None:
        return {BEFORE: layers}
    is_first = config.techniques["adapter"].options["blocks"] == "first"
    return {BEFORE: reached, AFTER: layers - reached} if is_first else {BEFORE: layers - reached, AFTER: reached}


def _reached(config: Config) -> int | None:
    """How many blocks are trained, where others are not."""
    adapter = config.techniques["adapter"]
    if adapter.use != "freeze" or adapter.options["blocks"] == "all":
        return None
    count = int(adapter.options["count"])
    return count if count < config.model.layers else None


def depth_axes(config: Config) -> list[Axis | None]:
    """One for each stretch of blocks, None for those that are short."""
    period = period_of(config)
    return [axis(name, period + _EDGES, period, blocks) for name, blocks in stretches_of(config).items()]


def with_blocks(config: Config, point: Point) -> Config:
    """The same configuration with as many blocks in each stretch as a point says, or else as it has."""
    blocks = {name: point.get(name, number) for name, number in stretches_of(config).items()}
    model = dataclasses.replace(config.model, layers=sum(blocks.values()))
    if AFTER not in blocks:
        return dataclasses.replace(config, model=model)
    adapter = config.techniques["adapter"]
    reached = blocks[BEFORE if adapter.options["blocks"] == "first" else AFTER]
    choice = Choice(adapter.use, {**adapter.options, "count": reached})
    return dataclasses.replace(config, model=model, techniques={**config.techniques, "adapter": choice})
