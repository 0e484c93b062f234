"""Slot `recompute`: which activations are computed again in the backward pass instead of being kept."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import AbstractContextManager
from fractions import Fraction
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.profiler import record_function
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

from tfx_engine.techniques.aside import is_aside
from tfx_engine.techniques.assumptions import assumed
from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.costs import Run

RECOMPUTE_MARK = "tfx:recompute"  # brackets every recomputation in a profiler's trace


class Recompute(Protocol):
    """How the skeleton runs a block."""

    def __call__(self, index: int, block: nn.Module, x_BTD: Tensor, context: AttentionContext) -> Tensor:
        """What `block(x_BTD, context)` gives, for block number `index` (from 0)."""


class Checkpointed:
    """Runs one block in `every` under torch's non-reentrant checkpoint; results of the operators `kept` are kept."""

    def __init__(self, every: int, kept: Sequence[Any] = ()) -> None:
        self.every, self.kept = every, tuple(kept)
        self._contexts = functools.partial(_contexts, self.kept)
        # A compiler reads which operators are kept from torch's own contexts; a mark it could not.
        selective = functools.partial(create_selective_checkpoint_contexts, list(self.kept))
        self._compiled: dict[str, Any] = {"context_fn": selective} if self.kept else {}

    def __call__(self, index: int, block: nn.Module, x_BTD: Tensor, context: AttentionContext) -> Tensor:
        """The block's output; its inside is kept only where nothing is to be recomputed."""
        if index % self.every or not torch.is_grad_enabled():
            return block(x_BTD, context)
        if torch.compiler.is_compiling():
            return checkpoint(block, x_BTD, context, use_reentrant=False, **self._compiled)
        return checkpoint(block, x_BTD, context, use_reentrant=False, context_fn=self._contexts)


def ran_again(every: int, runs: Sequence[Run], kept: Container[str] = ()) -> int | Fraction:
    """Multiply-adds per token of what runs again in one block of `every`; the operators in `kept` do not.

    Torch stops when the last kept tensor is back, so what comes after it is spared.
    """
    total: int | Fraction = 0
    for layers, steps in runs:
        blocks = len(range(-(-layers.start // every) * every, layers.stop, every))
        total += blocks * sum(step.multiply_adds for step in steps if step.operator not in kept)
    return total


def _contexts(kept: tuple[Any, ...]) -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """What is put around a block when it runs first, and when it runs again."""
    if not kept:
        return contextlib.nullcontext(), _marked(contextlib.nullcontext())
    first, again = (_Selective(mode) for mode in create_selective_checkpoint_contexts(list(kept)))
    return first, _marked(again)


class _Selective(TorchDispatchMode):
    """One of torch's two contexts, which does not see what is done aside."""

    def __init__(self, mode: Any) -> None:
        super().__init__()
        self.mode = mode

    @classmethod
    def ignore_compile_internals(cls) -> bool:
        """As torch's own: what a compiler does within is not looked at."""
        return True

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """What torch's context makes of an operation, or the operation itself."""
        if is_aside():
            return operator(*args, **(kwargs or {}))
        return self.mode.__torch_dispatch__(operator, types, args, kwargs)


def _marked(inside: AbstractContextManager[Any]) -> AbstractContextManager[Any]:
    """Made in the first run, on the thread that knows whether somebody other than the profiler looks."""
    return _bracketed(inside, assumed.recomputing)


def marked() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """What torch's `checkpoint` takes as `context_fn`, so that memory and time of the second run are known."""
    return _contexts(())


@contextlib.contextmanager
def _bracketed(
    inside: AbstractContextManager[Any], watched: Callable[[], AbstractContextManager[Any]] | None
) -> Iterator[None]:
    """Brackets a recomputation in the profiler's trace; costs next to nothing while no profiler runs."""
    mark = record_function(RECOMPUTE_MARK) if torch.autograd._profiler_enabled() else contextlib.nullcontext()
    with mark if watched is None else watched(), inside:
        yield
