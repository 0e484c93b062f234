"""Number of parameters, exactly as the assembled model has them."""

from __future__ import annotations

import dataclasses

from tfx_engine.estimate.shapes import block_shape, is_frozen
from tfx_engine.protocol.config import Config


@dataclasses.dataclass(frozen=True)
class Parameters:
    """All parameters of a model, and those of them that are trained."""

    total: int
    trainable: int


def count_parameters(config: Config) -> Parameters:
    """The closed form: tables, blocks, norms and head, and the adapters."""
    model, block = config.model, block_shape(config)
    pre_norm = config.use("placement") == "pre_norm"
    table = config.vocab * model.width
    base = table * (2 if config.use("head") == "untied" else 1)
    base += model.context * model.width if config.use("position") == "learned" else 0
    base += model.layers * sum(linear.parameters for linear in block.linears)
    base += (2 * model.layers + pre_norm) * 2 * model.width  # weight and bias of each norm
    adapters = model.layers * sum(linear.adapter_parameters for linear in block.linears)
    return Parameters(total=base + adapters, trainable=adapters if is_frozen(config) else base)
