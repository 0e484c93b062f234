"""FLOPs per token in closed form: matrix products only, a multiply-add being two.

Attention counts as the full T × T square, without a discount for the causal half, as published figures do. Work that
autograd skips is left out: weight gradients of frozen layers, and input gradients that nothing needs. What fused
attention computes again inside its own backward kernel is not counted; what recompute runs again is `recompute`.

Every technique declares its linear layers and products (`Technique.work`); here they are walked in the order in which
they run, to find out which gradients are needed.
"""

from __future__ import annotations

import dataclasses
from fractions import Fraction

from tfx_engine.estimate.blocks import Block
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.costs import INPUT, OUTSIDE, Run, Work
from tfx_engine.techniques.counts import IN_BLOCKS, block_parts, chosen, in_slot, work_of


@dataclasses.dataclass(frozen=True)
class Flops:
    """FLOPs of one training step per token of its batch."""

    forward: int | float  # not whole where a layer answers for a sample, or runs once for all tokens
    backward: int | float
    recompute: int | float

    @property
    def model(self) -> int | float:
        """What the mathematics asks for: the numerator of MFU."""
        return self.forward + self.backward

    @property
    def hardware(self) -> int | float:
        """What the device does, recomputation included."""
        return self.model + self.recompute


def flops_per_token(config: Config) -> Flops:
    """The closed form for a configuration."""
    adapter, options = in_slot(config, "adapter")

    def adapted(layer: int, work: Work) -> Work:
        return adapter.adapts(options, config, layer, work)

    def is_tuned(layer: int, slot: str) -> bool:
        return adapted(layer, Work(slot=slot)).tuned

    needed = not adapter.freezes or any(is_tuned(OUTSIDE, slot) for slot in ("embedding", "position"))
    forward: int | Fraction = 0
    backward = first = 0
    runs: list[Run] = []
    for count in adapter.alike(options, config):
        parts, norms_tuned = [adapted(first, part) for part in block_parts(config)], is_tuned(first, "norm")
        end = first + count
        while first < end:  # twice at most: what is needed once is needed in all blocks that follow
            block = Block(parts, needed, norms_tuned, tokens_at_once(config))
            layers = range(first, end if block.needed == needed else first + 1)
            forward, backward = forward + len(layers) * block.forward, backward + len(layers) * block.backward
            runs.append(Run(layers, block.again))
            first, needed = layers.stop, block.needed
    needed = needed or is_tuned(OUTSIDE, "norm")
    outside = [adapted(OUTSIDE, work_of(t, o, config)) for t, o in chosen(config) if t.slot not in IN_BLOCKS]
    linears = [linear for work in outside for linear in work.linears]
    backward_outside = sum(x.products * x.share * (int(x.trained) + int(needed and x.source != INPUT)) for x in linears)
    again = sum(t.again(o, config, runs) for t, o in chosen(config) if t.again is not None)
    return Flops(
        forward=_number(2 * (forward + sum(x.products * x.share for x in linears))),
        backward=_number(2 * (backward + backward_outside)),
        recompute=_number(2 * again),
    )


def tokens_at_once(config: Config) -> Fraction:
    """Tokens of one forward pass, on average: a batch may go through the model in pieces."""
    technique, options = in_slot(config, "accumulation")
    pieces = min(technique.build(options, config), config.run.batch)
    return Fraction(config.run.batch * config.model.context, pieces)


def _number(value: int | Fraction) -> int | float:
    return int(value) if value == int(value) else float(value)
