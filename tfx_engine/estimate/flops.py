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
from typing import NamedTuple

from tfx_engine.estimate.blocks import Block, Tally, add, component_of
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
    counted = _counted(config)
    again = sum(t.again(o, config, counted.runs) for t, o in chosen(config) if t.again is not None)
    return Flops(
        forward=_number(2 * sum(counted.forward.values())), backward=_number(2 * sum(counted.backward.values())),
        recompute=_number(2 * again),
    )


def flops_by_component(config: Config) -> tuple[dict[str, int | float], dict[str, int | float]]:
    """Forward and backward FLOPs per token by component: the slot whose technique declares them.

    Products of activations are the attention kernel's, thin matrices beside a layer the adapter's. They add up to
    `flops_per_token`, but for what is computed again.
    """
    counted = _counted(config)
    forward, backward = (
        {name: _number(2 * value) for name, value in tally.items() if value}
        for tally in (counted.forward, counted.backward)
    )
    return forward, backward


class _Counted(NamedTuple):
    """Multiply-adds per token by component, and what of the blocks recompute may run again."""

    forward: Tally
    backward: Tally
    runs: list[Run]


def _counted(config: Config) -> _Counted:
    adapter, options = in_slot(config, "adapter")

    def adapted(layer: int, work: Work) -> Work:
        return adapter.adapts(options, config, layer, work)

    def is_tuned(layer: int, slot: str) -> bool:
        return adapted(layer, Work(slot=slot)).tuned

    needed = not adapter.freezes or any(is_tuned(OUTSIDE, slot) for slot in ("embedding", "position"))
    counted, first = _Counted({}, {}, []), 0
    for count in adapter.alike(options, config):
        parts, norms_tuned = [adapted(first, part) for part in block_parts(config)], is_tuned(first, "norm")
        end = first + count
        while first < end:  # twice at most: what is needed once is needed in all blocks that follow
            block = Block(parts, needed, norms_tuned, tokens_at_once(config))
            layers = range(first, end if block.needed == needed else first + 1)
            for total, tally in ((counted.forward, block.forward_by), (counted.backward, block.backward_by)):
                for component, products in tally.items():
                    add(total, component, len(layers) * products)
            counted.runs.append(Run(layers, block.again))
            first, needed = layers.stop, block.needed
    needed = needed or is_tuned(OUTSIDE, "norm")
    for work in (adapted(OUTSIDE, work_of(t, o, config)) for t, o in chosen(config) if t.slot not in IN_BLOCKS):
        for x in work.linears:
            gradients = int(x.trained) + int(needed and x.source != INPUT)
            add(counted.forward, component_of(work, x), x.products * x.share)
            add(counted.backward, component_of(work, x), x.products * x.share * gradients)
    return counted


def tokens_at_once(config: Config) -> Fraction:
    """Tokens of one forward pass, on average: a batch may go through the model in pieces."""
    technique, options = in_slot(config, "accumulation")
    pieces = min(technique.build(options, config), config.run.batch)
    return Fraction(config.run.batch * config.model.context, pieces)


def _number(value: int | Fraction) -> int | float:
    return int(value) if value == int(value) else float(value)
