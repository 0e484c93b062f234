"""FLOPs per token in closed form: matrix products only, a multiply-add being two.

Attention counts as the full T × T square, without a discount for the causal half, as published figures do. Work that
autograd skips is left out: weight gradients of frozen layers, and input gradients that nothing needs. What fused
attention computes again inside its own backward kernel is not counted; what recompute runs again is `recompute`.
"""

from __future__ import annotations

import dataclasses

from tfx_engine.estimate.shapes import BlockShape, LinearShape, block_shape, is_frozen
from tfx_engine.protocol.config import Config


@dataclasses.dataclass(frozen=True)
class Flops:
    """FLOPs of one training step per token of its batch."""

    forward: int
    backward: int
    recompute: int

    @property
    def model(self) -> int:
        """What the mathematics asks for: the numerator of MFU."""
        return self.forward + self.backward

    @property
    def hardware(self) -> int:
        """What the device does, recomputation included."""
        return self.model + self.recompute


def flops_per_token(config: Config) -> Flops:
    """The closed form for a configuration."""
    model, block = config.model, block_shape(config)
    frozen = is_frozen(config)
    scores = 2 * model.context * model.heads * config.head_width  # queries times keys; weights times values as much
    head = 2 * config.vocab * model.width
    forward_block = sum(_forward(linear) for linear in block.linears) + 2 * scores
    first, needs_gradient = _backward_block(block, scores, frozen, needs_gradient=not frozen)
    others, _ = _backward_block(block, scores, frozen, needs_gradient)
    backward = first + (model.layers - 1) * others + head * (int(not frozen) + int(needs_gradient))
    return Flops(
        forward=model.layers * forward_block + head,
        backward=backward,
        recompute=_recomputed_blocks(config) * (forward_block - _spared(config, block.down)),
    )


def _forward(linear: LinearShape) -> int:
    return 2 * (linear.weights + linear.adapter_parameters)


def _backward(linear: LinearShape, frozen: bool, needs_gradient: bool) -> tuple[int, bool]:
    """FLOPs of a linear layer's gradients, and whether its output needs one. `needs_gradient`: its input does."""
    base = 2 * linear.weights * (int(not frozen) + int(needs_gradient))
    narrow = 2 * linear.rank * linear.inputs * (1 + int(needs_gradient))
    wide = 2 * linear.rank * linear.outputs * 2
    return base + narrow + wide, not frozen or needs_gradient or linear.rank > 0


def _backward_block(block: BlockShape, scores: int, frozen: bool, needs_gradient: bool) -> tuple[int, bool]:
    """FLOPs of a block's gradients, and whether its output needs one."""
    total = 0
    needs = {}
    for linear in (block.query, block.key, block.value):
        flops, needs[linear.name] = _backward(linear, frozen, needs_gradient)
        total += flops
    total += scores * (needs["query"] + needs["key"] + needs["value"])
    total += scores * (needs["query"] or needs["key"])  # the gradient of the weights
    flops, after = _backward(block.output, frozen, any(needs.values()))
    total += flops
    stream = needs_gradient or after  # the residual sum needs a gradient where either side does
    flops, after = _backward(block.up, frozen, stream)
    total += flops
    flops, after = _backward(block.down, frozen, after)
    return total + flops, stream or after


def _recomputed_blocks(config: Config) -> int:
    if config.use("recompute") != "every_block":
        return 0
    every = int(config.techniques["recompute"].options["every"])
    return -(-config.model.layers // every)


def _spared(config: Config, down: LinearShape) -> int:
    """Torch stops a recomputation when the last kept tensor is back: what would come after it is spared.

    Post-norm ends with a norm, which keeps its statistics: nothing is spared. Pre-norm ends with a matrix product,
    whose inputs are kept before it runs: the adapter's wide one, where there is an adapter.
    """
    if config.use("placement") != "pre_norm":
        return 0
    return 2 * (down.rank * down.outputs if down.rank else down.weights)
