"""One block on its way forward: which gradients its products need, and how far a second run of it would have to go.

Torch gives a gradient to whatever depends on something trained, and keeps for the backward pass what that needs. What
runs again under recompute goes from the block's beginning to the last tensor that is kept. An operation keeps its
inputs before it runs: the last product of a block is spared where nothing after it keeps a tensor, and a block that
needs no gradient does not run again at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from tfx_engine.techniques.costs import PRODUCTS, STREAM, Linear, Step, Work

Tally = dict[str, int | Fraction]  # multiply-adds per token by component


def add(tally: Tally, component: str, products: int | Fraction) -> None:
    """So much more work of a component."""
    tally[component] = tally.get(component, 0) + products


def component_of(part: Work, linear: Linear | None = None) -> str:
    """Whose work it is: a linear layer's, or without one that of products of activations, which is the kernel's."""
    if linear is None:
        return "kernel" if part.slot == "attention" else part.slot
    return "adapter" if linear.beside else part.slot


class Block:
    """The parts of a block (as `counts.block_parts` orders them, what is trained of them known), walked as they run.

    `needed`: whether the block's input needs a gradient, and afterwards whether its output does. `norms_tuned`: whether
    the weights of norms are trained. `tokens`: of one forward pass, which share what does not grow with them.
    """

    def __init__(self, parts: Sequence[Work], needed: bool, norms_tuned: bool, tokens: Fraction) -> None:
        self.needed = needed
        self.backward = 0
        self.forward_by: Tally = {}  # the same by component, as `component_of` says
        self.backward_by: Tally = {}
        self._sliced = False
        self._tokens, self._norms_tuned, self._placement = tokens, norms_tuned, parts[-1]
        self._needs: dict[str, bool] = {}  # whether the output of a layer needs a gradient, by name
        self._steps: list[Step] = []
        self._kept = 0  # steps that ran before the last tensor that is kept
        for residual, *branch in _branches(parts[:-1]):
            self._branch(residual, branch)

    @property
    def forward(self) -> int | Fraction:
        """Multiply-adds per token."""
        return sum(step.multiply_adds for step in self._steps)

    @property
    def again(self) -> tuple[Step, ...]:
        """What of it has run when the last kept tensor is there."""
        return tuple(self._steps[: self._kept])

    def _branch(self, residual: Work, branch: list[Work]) -> None:
        self._needs[STREAM] = self.needed
        made = self._part(residual)  # what the branch reads
        self._sliced = residual.gives_slice and self._placement.reads_raw
        normed = self._norms_tuned and not self._placement.reads_raw
        self._needs[STREAM] = self.needed or made or normed
        needed = [self._part(part) or part.tuned for part in branch]
        found = any(needed)
        if residual.keeps_after and (found or made or residual.tuned):
            self._keep()
        if self._placement.keeps_after and (found or self.needed or self._norms_tuned):
            self._keep()
        norm_after = self._norms_tuned and self._placement.keeps_after
        self.needed = self.needed or found or made or residual.tuned or norm_after

    def _part(self, part: Work) -> bool:
        """Run a part; whether what its layers and products give needs a gradient."""
        found, waits = False, True
        for linear in part.linears:
            if linear.source == PRODUCTS and waits:
                found, waits = self._products(part), False
            self._linear(linear, part)
        if waits:  # nothing but the stream reads them
            found = self._products(part)
        found = found or any(self._needs[linear.name] for linear in part.linears)
        if part.keeps_after and found and part.slot != "residual":
            self._keep()
        return found

    def _linear(self, linear: Linear, part: Work) -> None:
        needed = self._needs[linear.source]
        if linear.trained or needed:
            self._keep()
        is_slice = self._sliced and linear.source == STREAM and linear.bias and not linear.operator
        self._steps.append(Step(linear.products, "mm" if is_slice else linear.runs_as))
        add(self.forward_by, component_of(part, linear), linear.products)
        if linear.once:
            self._steps.append(Step(linear.once / self._tokens, "mm"))
            add(self.forward_by, "adapter", linear.once / self._tokens)
        backward = linear.products * (int(linear.trained) + int(needed))
        self.backward += backward
        add(self.backward_by, component_of(part, linear), backward)
        self._needs[linear.name] = linear.trained or linear.tuned or needed
        if linear.beside and self._needs[linear.name]:  # their outputs are added up
            self._needs[linear.beside] = True
        if linear.scaled and self._needs[linear.name]:
            self._keep()

    def _products(self, part: Work) -> bool:
        found = False
        for product in part.products:
            sides = sum(any(self._needs[name] for name in side) for side in (product.left, product.right))
            if sides:
                self._keep()
            self._steps.append(Step(product.multiply_adds, product.operator))
            self.backward += product.multiply_adds * sides
            add(self.forward_by, component_of(part), product.multiply_adds)
            add(self.backward_by, component_of(part), product.multiply_adds * sides)
            found = found or sides > 0
        self._needs[PRODUCTS] = found
        return found

    def _keep(self) -> None:
        self._kept = len(self._steps)


def _branches(parts: Sequence[Work]) -> Iterator[list[Work]]:
    """Each branch, its residual connection first."""
    begins = [i for i, part in enumerate(parts) if part.slot == "residual"]
    for begin, end in zip(begins, [*begins[1:], len(parts)], strict=True):
        yield list(parts[begin:end])
