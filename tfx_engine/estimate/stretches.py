"""Blocks in a row that are all trained alike, and the same configuration with fewer or more of them.

Where the first or the last ones are trained and the others frozen, these are two stretches; else it is one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tfx_engine.protocol.config import Choice, Config

BEFORE, AFTER = "blocks", "further blocks"


def stretches_of(config: Config) -> dict[str, int]:
    """How many blocks there are in each stretch, the first ones first."""
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


def with_blocks(config: Config, numbers: Mapping[str, int]) -> Config:
    """The same configuration with as many blocks in each stretch as is said, or else as it has."""
    blocks = {name: numbers.get(name, number) for name, number in stretches_of(config).items()}
    model = dataclasses.replace(config.model, layers=sum(blocks.values()))
    if AFTER not in blocks:
        return dataclasses.replace(config, model=model)
    adapter = config.techniques["adapter"]
    reached = blocks[BEFORE if adapter.options["blocks"] == "first" else AFTER]
    choice = Choice(adapter.use, {**adapter.options, "count": reached})
    return dataclasses.replace(config, model=model, techniques={**config.techniques, "adapter": choice})
