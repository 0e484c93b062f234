"""What torch's allocator did during a piece of code: every allocation and free, in order, with its address.

Both come from torch's profiler, the one place that sees the allocators of all devices, the CPU's included. Ranges named
by `parts.py` come along. Starting the profiler costs about a millisecond once it has run before in the process.
"""

from __future__ import annotations

import contextlib
import dataclasses
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile, record_function

from tfx_engine.measure.attribution import ALLOCATION, OPERATOR, Attribution, slots_of, starts
from tfx_engine.measure.memory_modules import Shape, shape_of
from tfx_engine.measure.modules import ModuleRanges
from tfx_engine.measure.operators import Working, tensors_of
from tfx_engine.measure.parts import PREFIX
from tfx_engine.techniques.kernel import MARK

_SCALED = "aten::_scaled_dot_product_"  # how torch's operators for attention begin


@dataclasses.dataclass(frozen=True)
class Change:
    """An allocation (`size` > 0) or a free (`size` < 0) at an address."""

    t_ns: int
    ptr: int
    size: int
    module: str = ""  # where it happened
    slot: str = ""
    operator: str = ""  # the operator that did it


@dataclasses.dataclass(frozen=True)
class Range:
    """A named part of the step; ns of the profiler's clock."""

    name: str
    start_ns: int
    end_ns: int


class Recording(Protocol):
    """Who sees what is allocated and freed between `__enter__` and `__exit__`; afterwards the lists are filled."""

    changes: list[Change]
    ranges: list[Range]
    kernels: set[str]
    shapes: list[Shape] | None  # of what operators got, where that was asked for

    def __enter__(self) -> Recording: ...

    def __exit__(self, *error: object) -> None: ...

    def address(self, tensor: Tensor) -> int:
        """Where a tensor's storage is, as `changes` has it."""

    def within(self, name: str) -> AbstractContextManager[object]:
        """Around what is to become a range of that name."""

    def beyond(self, known_bytes: int) -> int:
        """Bytes that the allocator counts at the beginning beside `known_bytes`: its rounding, and what others keep."""


def address_of(tensor: Tensor) -> int:
    """Where a tensor's storage is in memory."""
    return tensor.untyped_storage().data_ptr()


class AllocatorRecording:
    """`with AllocatorRecording(device) as r:` afterwards `r.changes` and `r.ranges` say what happened on the device.

    With a `model`, changes also say in which of its modules. `with_shapes`: of what shapes operators got tensors.
    """

    def __init__(
        self, device: torch.device, model: nn.Module | None = None, is_compiled: bool = False, with_shapes: bool = False
    ) -> None:
        self.device = device
        self.changes: list[Change] = []
        self.ranges: list[Range] = []
        self.kernels: set[str] = set()  # of the attention: what torch dispatched to, and our own
        self.shapes: list[Shape] | None = [] if with_shapes else None
        self._attribution = Attribution(slots_of(model) if model is not None else {}, starts(is_compiled))
        self._modules = ModuleRanges(model, is_compiled) if model is not None else contextlib.nullcontext()
        self._profile = profile(activities=[ProfilerActivity.CPU], profile_memory=True, record_shapes=with_shapes)

    def __enter__(self) -> AllocatorRecording:
        self._profile.__enter__()
        # The tree of events leaves out what a card's allocator frees outside of all ranges (torch 2.11). So there is a
        # range around everything, and the backward pass of a card stays on this thread, within it.
        self._around = contextlib.ExitStack()
        self._around.enter_context(torch.autograd.set_multithreading_enabled(False))
        self._around.enter_context(record_function("recording"))
        self._modules.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._modules.__exit__(None, None, None)
        self._around.close()
        self._profile.__exit__(*error)
        if error[0] is None:
            self._read()
        del self._profile

    def address(self, tensor: Tensor) -> int:
        """Where a tensor's storage is in memory."""
        return address_of(tensor)

    def within(self, name: str) -> AbstractContextManager[object]:
        """A range in the profiler's trace."""
        return record_function(PREFIX + name)

    def beyond(self, known_bytes: int) -> int:
        """Nothing where the allocator keeps no count."""
        if self.device.type not in ("cuda", "xpu"):
            return 0
        return int(getattr(torch, self.device.type).memory_allocated(self.device)) - known_bytes

    def _read(self) -> None:
        results = self._profile.profiler.kineto_results  # type: ignore[union-attr]
        working = Working()
        for placed in self._attribution.walk(results.experimental_event_tree()):
            event, where = placed.event, placed.where
            if event.tag == ALLOCATION:
                fields = event.extra_fields
                if fields.device.type == self.device.type and fields.ptr:
                    maker = working.at(event)
                    self.changes.append(Change(
                        event.start_time_ns, fields.ptr, fields.alloc_size, where.module, where.slot,
                        maker.name if maker is not None else "",
                    ))
            elif event.tag == OPERATOR:
                self._read_operator(event)
                if placed.is_operator and working.begins(event) and self.shapes is not None:
                    self.shapes += [shape_of(tensor, event.start_time_ns) for tensor in tensors_of(event)]
        # Stable: what the clock cannot tell apart stays in the order of the calls.
        self.changes.sort(key=lambda change: change.t_ns)
        self.ranges.sort(key=lambda r: r.start_ns)

    def _read_operator(self, event: Any) -> None:
        name: str = event.name
        if name.startswith(PREFIX):
            self.ranges.append(Range(name.removeprefix(PREFIX), event.start_time_ns, event.end_time_ns))
        elif name.startswith(MARK):
            self.kernels.add(name.removeprefix(MARK))
        elif name.startswith(_SCALED) and not name.endswith("_backward"):
            self.kernels.add(_kernel_of(name.removeprefix(_SCALED)))


def _kernel_of(operator: str) -> str:
    """The kernel behind an operator such as "flash_attention_for_cpu", by the name that kernels have here."""
    return operator.removeprefix("attention_").removesuffix("_for_mps").partition("_")[0]


def warm_up_profiler() -> None:
    """Start and stop the profiler once, so that its first real use costs what every later one does."""
    with AllocatorRecording(torch.device("cpu")):
        torch.empty(1)
