"""Slot `recompute`: which activations are computed again in the backward pass instead of being kept."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.profiler import record_function

from tfx_engine.techniques.context import AttentionContext

RECOMPUTE_MARK = "tfx:recompute"  # brackets every recomputation in a profiler's trace


class Recompute(Protocol):
    """How the skeleton runs a block."""

    def __call__(self, index: int, block: nn.Module, x_BTD: Tensor, context: AttentionContext) -> Tensor:
        """What `block(x_BTD, context)` gives, for block number `index` (from 0)."""


class _Marked:
    """Brackets a recomputation in the profiler's trace; costs next to nothing while no profiler runs."""

    _mark: AbstractContextManager[Any] | None = None

    def __enter__(self) -> None:
        if torch.autograd._profiler_enabled():
            self._mark = record_function(RECOMPUTE_MARK)
            self._mark.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._mark is not None:
            self._mark.__exit__(kind, error, trace)
            self._mark = None


def marked() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """What torch's `checkpoint` takes as `context_fn`, so that memory and time of the second run are known."""
    return contextlib.nullcontext(), _Marked()
