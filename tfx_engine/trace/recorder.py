"""Sees every allocation and free of code that runs under fake tensors.

A storage is allocated when an operator first returns it, and free when the last tensor that uses it is gone: Python's
and autograd's references are the same as in a real run, so the moments are.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from tfx_engine.measure.memory_events import Change, Range
from tfx_engine.measure.memory_modules import Shape
from tfx_engine.measure.parts import PREFIX
from tfx_engine.techniques.aside import is_made_once
from tfx_engine.techniques.assumptions import assumed
from tfx_engine.techniques.recompute import RECOMPUTE_MARK
from tfx_engine.trace.accumulating import ADD, ADD_IN_PLACE, is_a_sum_of_gradients
from tfx_engine.trace.assumed import ASKS_FOR_DEVICE
from tfx_engine.trace.mode import TraceMode
from tfx_engine.trace.operators import OperatorLog
from tfx_engine.trace.scratch import scratch_bytes


class _Watched(weakref.ref):  # type: ignore[type-arg]
    """A reference to a storage that knows its address when it is gone."""

    __slots__ = ("address", "size")
    address: int
    size: int


class Recorder(TraceMode):
    """A `Recording` of what happens on devices of one kind. Time is the number of events so far.

    `log`: who notes the operators, too. `go_on`: called between the parts of the step, may end it.
    """

    def __init__(
        self, kind: str, kernels_of: str | None = None, threads: int = 1, log: OperatorLog | None = None,
        go_on: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self._go_on = go_on
        self.kind, self.kernels_of, self.threads = kind, kernels_of or kind, threads
        self._log = log
        self.changes: list[Change] = []
        self.ranges: list[Range] = []
        self.kernels: set[str] = set()
        self.shapes: list[Shape] | None = None
        self.makers: dict[int, str] = {}
        self._clock = itertools.count(1)
        self._live: dict[int, _Watched] = {}  # by address
        self._operator: Any = None  # the last one
        self._gone: Callable[[_Watched], None] = self._free  # one bound method, not one for each storage

    def __enter__(self) -> Recorder:
        super().__enter__()
        assumed.recomputing = lambda: self.within(RECOMPUTE_MARK.removeprefix(PREFIX))
        return self

    def __exit__(self, *error: object) -> None:
        assumed.recomputing = None
        super().__exit__(*error)
        self._live.clear()  # what is freed from now on is no part of the recording

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """The operation itself, and what it allocated."""
        if operator is ASKS_FOR_DEVICE and isinstance(args[0], FakeTensor):
            return args[0].fake_device
        if operator is ADD and is_a_sum_of_gradients(args):
            operator = ADD_IN_PLACE
        kwargs = kwargs or {}
        result = operator(*args, **kwargs)
        self._operator = operator
        self._hold(result, args)
        if is_made_once():
            return result
        if self._log is not None:
            self._log.note(operator, args, kwargs, result, sys._getframe().f_back)
        extra = scratch_bytes(operator, args, result, self.kernels_of, self.threads)
        if extra:
            self._pass(extra)
        return result

    def address(self, tensor: Tensor) -> int:
        """What tells its storage from others."""
        return tensor.untyped_storage()._cdata

    @contextlib.contextmanager
    def _range(self, name: str) -> Iterator[None]:
        start = next(self._clock)
        try:
            yield
        finally:
            self.ranges.append(Range(name, start, next(self._clock)))
            self.ranges.sort(key=lambda r: r.start_ns)

    def within(self, name: str) -> AbstractContextManager[object]:
        """A part of the step."""
        self._go_on()
        if self._log is None:
            return self._range(name)
        stack = contextlib.ExitStack()
        stack.enter_context(self._range(name))
        stack.enter_context(self._log.within(name))
        return stack

    def beyond(self, known_bytes: int) -> int:
        """Nobody else allocates."""
        return 0

    def _hold(self, result: Any, args: Any) -> None:
        """Note the storages that are new in the result of an operator."""
        if isinstance(result, Tensor):
            self._take(result, args)
        elif isinstance(result, (tuple, list)):
            for item in result:
                self._hold(item, args)

    def _take(self, tensor: Tensor, args: Any) -> None:
        if tensor.device.type != self.kind:
            return
        storage = tensor.untyped_storage()
        if storage._cdata in self._live or not (size := storage.nbytes()):
            return
        self._watch(storage, size)
        # Else it was there before the recording began, or is there before the next step does.
        if not is_made_once() and storage._cdata not in _storages(args):
            self._note(storage._cdata, size)

    def _watch(self, storage: torch.UntypedStorage, size: int) -> None:
        watched = _Watched(storage, self._gone)
        watched.address, watched.size = storage._cdata, size
        self._live[watched.address] = watched

    def _free(self, watched: _Watched) -> None:
        if self._live.pop(watched.address, None) is not None:
            self.changes.append(Change(next(self._clock), watched.address, -watched.size))

    def _pass(self, size: int) -> None:
        """Scratch within an operator: it is there beside the results, and gone when the operator returns."""
        for change in (size, -size):
            self._note(_SCRATCH, change)

    def _note(self, address: int, change: int) -> None:
        moment = next(self._clock)
        self.changes.append(Change(moment, address, change))
        self.makers[moment] = self._operator.name()


def _storages(args: Any) -> Iterator[int]:
    """The addresses of the arguments of an operator."""
    for arg in args:
        if isinstance(arg, Tensor):
            yield arg.untyped_storage()._cdata
        elif isinstance(arg, (tuple, list)):
            yield from _storages(arg)


_SCRATCH = -1  # its address: there is never more than one at a time
