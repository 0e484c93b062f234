"""Number of parameters, as the techniques of a configuration declare them."""

from __future__ import annotations

import dataclasses

from tfx_engine.protocol.config import Config
from tfx_engine.techniques.counts import chosen, in_slot, parameters_of


@dataclasses.dataclass(frozen=True)
class Parameters:
    """All parameters of a model, and those of them that are trained."""

    total: int
    trainable: int


def count_parameters(config: Config) -> Parameters:
    """The sum of what every technique brings."""
    brought = {technique.slot: parameters_of(technique, options, config) for technique, options in chosen(config)}
    total = sum(brought.values())
    adapter, options = in_slot(config, "adapter")
    if adapter.trainable is not None:
        return Parameters(total, adapter.trainable(options, config))
    return Parameters(total, brought["adapter"] if adapter.freezes else total)
