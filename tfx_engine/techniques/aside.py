"""What is done within a block without being a part of it: tried out, or made once and kept.

A block that runs again is compared with its first run: selective recompute hands out the n-th kept result of an
operator to its n-th call, and autograd counts what it keeps. What the second run leaves out must not be seen in the
first.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from torch.autograd.graph import saved_tensors_hooks

T = TypeVar("T")


class _State(threading.local):
    depth = 0
    making = 0


_state = _State()


def is_aside() -> bool:
    """Whether what runs now on this thread is no part of the block."""
    return _state.depth > 0


def is_made_once() -> bool:
    """Whether something is made just now that the next step will find made: `once`."""
    return _state.making > 0


@contextlib.contextmanager
def uncounted() -> Iterator[None]:
    """Around a part of the block of which selective recompute keeps nothing, in the first run and the second alike."""
    _state.depth += 1
    try:
        yield
    finally:
        _state.depth -= 1


def aside(make: Callable[[], T]) -> T:
    """What `make` gives; a second run of the block may find it made."""
    if torch.compiler.is_compiling():  # one graph for both runs: the compiler decides
        return make()
    # Hooks of its own, so that those around see nothing. Kept without its history: else an output that its own operator
    # keeps would hold itself, forever.
    with uncounted(), saved_tensors_hooks(lambda tensor: tensor.detach(), lambda tensor: tensor):
        return make()


def once(make: Callable[[], T]) -> T:
    """The same, of what is kept for the whole training: the second step finds it made."""
    _state.making += 1
    try:
        return aside(make)
    finally:
        _state.making -= 1
