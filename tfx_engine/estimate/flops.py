"""FLOPs per token in closed form: matrix products only, a multiply-add being two.

Attention counts as the full T × T square, without a discount for the causal half, as published figures do. Work that
autograd skips is left out: weight gradients of frozen layers, and input gradients that nothing needs. What fused
attention computes again inside its own backward kernel is not counted; what recompute runs again is `recompute`.

Every technique declares its linear layers and products (`Technique.work`); here they are walked in the order in which
they run, to find out which gradients are needed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from tfx_engine.protocol.config import Config
from tfx_engine.techniques.costs import PRODUCTS, STREAM, Linear, Work
from tfx_engine.techniques.counts import IN_BLOCKS, block_parts, chosen, together
from tfx_engine.techniques.technique import Technique


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
    adapter, options = _technique(config, "adapter")
    parts = [_adapted(part, config) for part in block_parts(config)]
    block = together(parts)
    outside = sum(t.work(o, config).multiply_adds for t, o in chosen(config) if t.slot not in IN_BLOCKS)
    first, needed = _backward(parts, adapter.freezes, needed=not adapter.freezes)
    others, _ = _backward(parts, adapter.freezes, needed)
    recompute, options = _technique(config, "recompute")
    return Flops(
        forward=2 * (config.model.layers * block.multiply_adds + outside),
        backward=2 * (first + (config.model.layers - 1) * others + outside * (int(not adapter.freezes) + int(needed))),
        recompute=2 * recompute.again(options, config, block),
    )


def _technique(config: Config, slot: str) -> tuple[Technique, Any]:
    return next((t, o) for t, o in chosen(config) if t.slot == slot)


def _adapted(work: Work, config: Config) -> Work:
    """A part of a block with what the adapter puts beside each linear layer, in the order in which it all runs."""
    adapter, options = _technique(config, "adapter")
    linears: list[Linear] = []
    for linear in work.linears:
        linears += [linear, *(adapter.beside(options, config, linear) if linear.adaptable else ())]
    return dataclasses.replace(work, linears=tuple(linears))


def _backward(parts: Iterable[Work], frozen: bool, needed: bool) -> tuple[int, bool]:
    """Multiply-adds per token of a block's gradients, and whether its output needs one. `needed`: its input does."""
    total, needs = 0, {STREAM: needed}
    for part in parts:
        read = False
        for linear in part.linears:
            if linear.source == PRODUCTS and not read:
                read, (products, needs[PRODUCTS]) = True, _products_backward(part, needs)
                total += products
            trained = bool(linear.beside) or not frozen
            total += linear.products * (int(trained) + int(needs[linear.source]))
            needs[linear.name] = trained or needs[linear.source]
            if linear.beside:  # their outputs are added up
                needs[linear.beside] = True
        if not read:  # nothing but the stream reads them
            products, found = _products_backward(part, needs)
            total, needs[STREAM] = total + products, needs[STREAM] or found
        needs[STREAM] = needs[STREAM] or any(needs[linear.name] for linear in part.linears)
    return total, needs[STREAM]


def _products_backward(part: Work, needs: dict[str, bool]) -> tuple[int, bool]:
    """Multiply-adds per token of the gradients of a part's products, and whether any is needed."""
    total, found = 0, False
    for product in part.products:
        for side in (product.left, product.right):
            if any(needs[name] for name in side):
                total, found = total + product.multiply_adds, True
    return total, found
