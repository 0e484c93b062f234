"""What techniques take for granted where a model is only thought of, under fake tensors, which have no numbers.

`tfx_engine.trace` says so, for its own thread: on others models may be trained meanwhile. What may be asked for on
further threads, those of a device's backward pass, is noted by a module when it is made.

B batch, T tokens, D width, C choices of experts, N rows of a batch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from torch import Tensor, nn

Recurrence = Callable[[Any, Tensor], tuple[Tensor, object]]  # a layer of torch's, x_BTD -> y_BTD, state
# x_ND, targets of these rows, rows at once -> pieces of both, in order
Pieces = Callable[[Tensor, Tensor, int], Iterable[tuple[Tensor, Tensor]]]


class Experts(Protocol):
    """What is done with experts where no numbers say who is chosen, and where few tell of many."""

    def made(self) -> int:
        """How many of the experts there are."""

    def through(self, experts: Sequence[nn.Module], chosen_CD: Tensor) -> Tensor:
        """y_CD of the choices, sorted by expert, as if all experts were there."""


class Assumptions(threading.local):
    """None: nothing is assumed."""

    experts: Experts | None = None
    lstm: Recurrence | None = None  # runs in the place of torch's, which takes its fused form for real tensors only
    gru: Recurrence | None = None
    pieces: Pieces | None = None  # cuts what a loss takes a piece at a time
    kernel: Callable[..., int] | None = None  # which kernel SDPA takes, where torch's own function cannot tell
    recomputing: Callable[[], AbstractContextManager[Any]] | None = None  # is put around every recomputation

    def nothing(self) -> None:
        """Forget all of it."""
        self.__dict__.clear()


assumed = Assumptions()
