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
from fractions import Fraction

from tfx_engine.protocol.config import Config
from tfx_engine.techniques.costs import INPUT, OUTSIDE, PRODUCTS, STREAM, Work
from tfx_engine.techniques.counts import IN_BLOCKS, block_parts, chosen, in_slot, together, work_of


@dataclasses.dataclass(frozen=True)
class Flops:
    """FLOPs of one training step per token of its batch."""

    forward: int | float  # not whole where a layer answers for a sample
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

    parts = block_parts(config)
    outside = [adapted(OUTSIDE, work_of(t, o, config)) for t, o in chosen(config) if t.slot not in IN_BLOCKS]
    needed = not adapter.freezes or any(is_tuned(OUTSIDE, slot) for slot in ("embedding", "position"))
    forward = backward = first = 0
    for count in adapter.alike(options, config):
        block, norms_tuned = [adapted(first, part) for part in parts], is_tuned(first, "norm")
        first += count
        forward += count * together(block).multiply_adds
        products, needed = _backwards(block, count, needed, norms_tuned)
        backward += products
    needed = needed or is_tuned(OUTSIDE, "norm")
    linears = [linear for work in outside for linear in work.linears]
    backward_outside = sum(x.products * x.share * (int(x.trained) + int(needed and x.source != INPUT)) for x in linears)
    whole = together(block)
    again = sum(t.again(o, config, whole) for t, o in chosen(config) if t.again is not None)
    return Flops(
        forward=_number(2 * (forward + sum(x.products * x.share for x in linears))),
        backward=_number(2 * (backward + backward_outside)),
        recompute=_number(2 * again),
    )


def _number(value: int | Fraction) -> int | float:
    return int(value) if value == int(value) else float(value)


def _backwards(block: list[Work], count: int, needed: bool, norms_tuned: bool) -> tuple[int, bool]:
    """The same as `_backward` of so many equal blocks, one after another."""
    total, after = _backward(block, needed, norms_tuned)
    if count == 1 or after == needed:
        return count * total, after
    rest, after = _backward(block, after, norms_tuned)  # what is needed once is needed in all that follow
    return total + (count - 1) * rest, after


def _backward(parts: Iterable[Work], needed: bool, norms_tuned: bool) -> tuple[int, bool]:
    """Multiply-adds per token of a block's gradients, and whether its output needs one.

    `needed`: its input does; `norms_tuned`: what the branches read does in any case, through the norms before them.
    """
    total, stream, found = 0, needed, False
    needs = {STREAM: needed or norms_tuned}
    for part in parts:
        if part.slot == "residual":  # a branch begins: it reads what those before it have written
            stream = stream or found
            needs[STREAM] = stream or norms_tuned
        products, wanted = _part_backward(part, needs)
        total, found = total + products, found or wanted
        if part.slot == "residual" and part.linears:  # it has made what the branch reads
            needs[STREAM] = needs[STREAM] or wanted
    return total, stream or found


def _part_backward(part: Work, needs: dict[str, bool]) -> tuple[int, bool]:
    """The same of one part. `needs`: whether the output of a layer needs a gradient, by name; its own are added."""
    total, read = 0, False
    for linear in part.linears:
        if linear.source == PRODUCTS and not read:
            read, (products, needs[PRODUCTS]) = True, _products_backward(part, needs)
            total += products
        total += linear.products * (int(linear.trained) + int(needs[linear.source]))
        needs[linear.name] = linear.trained or linear.tuned or needs[linear.source]
        if linear.beside and needs[linear.name]:  # their outputs are added up
            needs[linear.beside] = True
    found = part.tuned or any(needs[linear.name] for linear in part.linears)
    if read:
        return total, found
    products, wanted = _products_backward(part, needs)  # nothing but the stream reads them
    return total + products, found or wanted


def _products_backward(part: Work, needs: dict[str, bool]) -> tuple[int, bool]:
    """Multiply-adds per token of the gradients of a part's products, and whether any is needed."""
    total, found = 0, False
    for product in part.products:
        for side in (product.left, product.right):
            if any(needs[name] for name in side):
                total, found = total + product.multiply_adds, True
    return total, found
