"""Where autograd adds a gradient to one that waits, without a new tensor for the sum.

It does so where nobody else holds the one that waits (`torch/csrc/autograd/input_buffer.cpp`), but never to a tensor of
Python's making, as fake ones are. So a trace does it for autograd. Who holds a tensor is told by counts of references,
and what these are where nobody else does is learnt from a backward pass that is known.
"""

from __future__ import annotations

import functools
import sys
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from tfx_engine.trace.mode import TraceMode

ADD, ADD_IN_PLACE = torch.ops.aten.add.Tensor, torch.ops.aten.add_.Tensor


class Holders(NamedTuple):
    """How many hold a tensor, its Python object and its storage, counted within a mode's `__torch_dispatch__`."""

    tensor: int
    reference: int
    storage: int


def holders_of(args: Any) -> Holders:
    """Of the first of the arguments of an operator."""
    storage = args[0].untyped_storage()
    return Holders(args[0]._use_count(), sys.getrefcount(args[0]), torch._C._storage_Use_Count(storage._cdata))


def is_a_sum_of_gradients(args: Any) -> bool:
    """Whether autograd adds the second to the first, which nobody else holds; asked where `ADD` is dispatched."""
    if torch._C._current_graph_task_id() < 0 or torch.is_grad_enabled() or not isinstance(args[1], Tensor):
        return False
    return args[0].shape == args[1].shape and args[0].dtype == args[1].dtype and holders_of(args) == nobody_else()


class _Looks(TraceMode):
    """Keeps the holders of the last gradient to which another was added."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Holders | None = None

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if operator is ADD and torch._C._current_graph_task_id() >= 0:
            self.seen = holders_of(args)
        return operator(*args, **(kwargs or {}))


@functools.cache
def nobody_else() -> Holders | None:
    """The holders of a gradient that only autograd holds: the sum of two, when a third comes."""
    with FakeTensorMode(), _Looks() as looks:
        x = torch.empty(2, requires_grad=True)
        y = x * 1
        ((y * 1) + (y * 2) + (y * 3)).sum().backward()
    return looks.seen
