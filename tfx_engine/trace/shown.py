"""A part of what is alike is run, and what it comes from and goes to is as large as if all were.

C choices of experts, D width, B batch, T tokens, H width of a state, N rows of a batch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tfx_engine.trace.axes import STEPS, Point, pieces_axis
from tfx_engine.trace.routing import Routing


class _Taken(torch.autograd.Function):
    """Some of the pieces along the first dimension of a tensor; its gradient is made of all."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, is_split: bool, sizes: tuple[int, ...]) -> tuple[Tensor, ...]:
        """Views, as `split` gives them, or `unbind`."""
        ctx.shape = x.shape
        if not is_split:
            return tuple(x[i] for i in range(len(sizes)))
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        return tuple(x.narrow(0, start, size) for start, size in zip(starts, sizes, strict=True))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """One tensor, as `cat` makes it, or `stack`."""
        return gradients[0].new_empty(ctx.shape).zero_(), None, None


class _Joined(torch.autograd.Function):
    """As `cat` of all pieces, or `stack`, where only some are there."""

    @staticmethod
    def forward(ctx: Any, is_split: bool, size: int, *pieces: Tensor) -> Tensor:
        """A tensor of that size along the first dimension."""
        ctx.is_split, ctx.sizes = is_split, [len(piece) for piece in pieces]
        rest = pieces[0].shape[1:] if is_split else pieces[0].shape
        return pieces[0].new_empty((size, *rest)).zero_()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        """Views."""
        if not ctx.is_split:
            return None, None, *(gradient[i] for i in range(len(ctx.sizes)))
        starts = [sum(ctx.sizes[:i]) for i in range(len(ctx.sizes))]
        return None, None, *(gradient.narrow(0, s, n) for s, n in zip(starts, ctx.sizes, strict=True))


@dataclasses.dataclass(frozen=True)
class FewExperts:
    """Some experts of each group; as many as a point says, or else all."""

    routing: Routing
    point: Point

    @property
    def _shown(self) -> dict[str, int]:
        return {name: self.point.get(name, all) for name, all in self.routing.groups.items()}

    def made(self) -> int:
        """How many of the experts there are."""
        return sum(self._shown.values())

    def through(self, experts: Sequence[nn.Module], chosen_CD: Tensor) -> Tensor:
        """y_CD of the choices, sorted by expert, as if all experts were there."""
        loads = self.routing.loads(len(chosen_CD))
        sizes = [loads[name] for name, shown in self._shown.items() for _ in range(shown)]
        pieces = _Taken.apply(chosen_CD, True, tuple(sizes))
        return _Joined.apply(True, len(chosen_CD), *(e(piece) for e, piece in zip(experts, pieces, strict=True)))


@dataclasses.dataclass(frozen=True)
class FewPieces:
    """Some of the pieces of full size that a loss takes, and the shorter one that may be left."""

    point: Point

    def __call__(self, x_ND: Tensor, targets: Tensor, rows: int) -> Iterable[tuple[Tensor, Tensor]]:
        """As `split` gives them."""
        whole, rest = divmod(len(x_ND), rows)
        sizes = (rows,) * self.point.get(pieces_axis(whole), whole) + ((rest,) if rest else ())
        return zip(_Taken.apply(x_ND, True, sizes), targets[: sum(sizes)].split(list(sizes)), strict=True)


@dataclasses.dataclass(frozen=True)
class FewSteps:
    """A GRU as torch does it on a CPU (`aten/src/ATen/native/RNN.cpp`), for some of the tokens."""

    point: Point

    def __call__(self, cell: nn.GRU, x_BTD: Tensor) -> tuple[Tensor, object]:
        """(y_BTH, the last state)."""
        x_TBD, weights = x_BTD.transpose(0, 1), list(cell._flat_weights)
        biases = weights[2:] if cell.bias else [None, None]
        h_LBH = x_BTD.new_zeros(1, x_BTD.shape[0], cell.hidden_size)
        h_BH, gates_TBG = h_LBH[0], F.linear(x_TBD, weights[0], biases[0])
        shown = self.point.get(STEPS, len(x_TBD))
        states = []
        for gates_BG in _Taken.apply(gates_TBG, False, (1,) * shown):
            h_BH = _step(gates_BG, h_BH, F.linear(h_BH, weights[1], biases[1]))
            states.append(h_BH)
        y_TBH = _Joined.apply(False, len(x_TBD), *states)
        return y_TBH.transpose(0, 1), torch.stack([h_BH])


def _step(gates_BG: Tensor, h_BH: Tensor, of_state_BG: Tensor) -> Tensor:
    (i_reset, i_update, i_new), (h_reset, h_update, h_new) = gates_BG.unsafe_chunk(3, 1), of_state_BG.unsafe_chunk(3, 1)
    reset, update = h_reset.add_(i_reset).sigmoid_(), h_update.add_(i_update).sigmoid_()
    new_BH = i_new.add(h_new.mul_(reset)).tanh_()
    return (h_BH - new_BH).mul_(update).add_(new_BH)
