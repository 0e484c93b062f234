"""The sizes from which every closed form is made: the linear layers of a block, and what surrounds the blocks."""

from __future__ import annotations

import dataclasses

from tfx_engine.protocol.config import Config


@dataclasses.dataclass(frozen=True)
class LinearShape:
    """One linear layer, and the adapter beside it where `rank` is not 0."""

    name: str
    inputs: int
    outputs: int
    bias: bool
    rank: int

    @property
    def weights(self) -> int:
        """Numbers in the matrix."""
        return self.inputs * self.outputs

    @property
    def parameters(self) -> int:
        """Matrix and bias, without the adapter."""
        return self.weights + (self.outputs if self.bias else 0)

    @property
    def adapter_parameters(self) -> int:
        """Both thin matrices of the adapter."""
        return self.rank * (self.inputs + self.outputs)


@dataclasses.dataclass(frozen=True)
class BlockShape:
    """The linear layers of one block, in the order in which they run."""

    query: LinearShape
    key: LinearShape
    value: LinearShape
    output: LinearShape
    up: LinearShape
    down: LinearShape

    @property
    def linears(self) -> tuple[LinearShape, ...]:
        """All of them."""
        return (self.query, self.key, self.value, self.output, self.up, self.down)


def is_frozen(config: Config) -> bool:
    """Whether only an adapter is trained."""
    return config.use("adapter") == "lora"


def block_shape(config: Config) -> BlockShape:
    """The linear layers of each block of a configuration."""
    model = config.model
    width, heads_width = model.width, model.heads * config.head_width
    feedforward = config.techniques["feedforward"].options
    inner = feedforward["width"] or 4 * width
    attention_bias = _own_or(config.techniques["attention"].options["bias"], model.bias)
    feedforward_bias = _own_or(feedforward["bias"], model.bias)

    def linear(name: str, target: str, inputs: int, outputs: int, bias: bool) -> LinearShape:
        return LinearShape(name, inputs, outputs, bias, _rank(config, target))

    return BlockShape(
        query=linear("query", "query", width, heads_width, attention_bias),
        key=linear("key", "key", width, heads_width, attention_bias),
        value=linear("value", "value", width, heads_width, attention_bias),
        output=linear("output", "output", heads_width, width, attention_bias),
        up=linear("up", "feedforward", width, inner, feedforward_bias),
        down=linear("down", "feedforward", inner, width, feedforward_bias),
    )


def _own_or(own: bool | None, general: bool) -> bool:
    return general if own is None else own


def _rank(config: Config, target: str) -> int:
    options = config.techniques["adapter"].options
    return int(options["rank"]) if is_frozen(config) and target in options["targets"] else 0
