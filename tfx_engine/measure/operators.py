"""What one operator did, from the shapes that the profiler noted: matrix FLOPs, numbers written, bytes moved.

Only operators that do work themselves count, each once: not those that are made of others (a linear layer is a
transposition and a product), not views, not bare allocations, and nothing within another working operator.

- FLOPs: matrix products and attention alone, a multiply-add being two, attention over the full square, its backward
  pass twice its forward: as the closed form counts (`estimate.flops`).
- elements: numbers that any other operator wrote; each took at least one operation.
- bytes: what had to pass through memory if every operator reads its inputs and writes its outputs once: all of its
  tensors as far as they differ (an expanded dimension is read once), those that it changes twice, and what it
  allocated and left. Caches make the real traffic smaller.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

from tfx_engine.measure.attribution import ALLOCATION

_BARE = frozenset({  # they give memory or a handle, and move nothing
    "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "resize_", "set_", "detach_", "alias",
    "lift_fresh", "resolve_conj", "resolve_neg", "_unsafe_view", "_reshape_alias",
    "item", "_local_scalar_dense", "is_nonzero", "record_stream",
    "_has_compatible_shallow_copy_type", "result_type", "_nested_tensor_size",
})
_SCALED = ("scaled_dot_product", "flash_attention", "efficient_attention", "cudnn_attention")


class Done(NamedTuple):
    """What an operator did. `elements` is 0 where `flops` are counted."""

    flops: int = 0
    elements: int = 0
    bytes: int = 0


@functools.cache
def is_working(name: str) -> bool:
    """Whether an operator of that name ("aten::mm") does work itself."""
    room, _, short = name.partition("::")
    if not short or short in _BARE or room in ("autograd", "torch", "profiler"):
        return False
    overloads = _overloads(name)
    if not overloads or all(_is_view(overload) for overload in overloads):
        return False
    return not any(_is_made_of_others(overload) for overload in overloads)


def _overloads(name: str) -> list[Any]:
    """Of an operator, those that a training calls: neither TorchScript's own nor those of named dimensions."""
    room, _, short = name.partition("::")
    packet: Any = getattr(getattr(torch.ops, room, None), short, None)
    found = [getattr(packet, overload) for overload in packet.overloads()] if hasattr(packet, "overloads") else []
    return [o for o in found if torch._C._dispatch_has_kernel(o.name()) and "Dimname" not in str(o._schema)]


def _is_view(overload: Any) -> bool:
    """It gives part of its input back under another shape."""
    returns = overload._schema.returns
    return bool(returns) and all(r.alias_info is not None and not r.alias_info.is_write for r in returns)


def _is_made_of_others(overload: Any) -> bool:
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(overload.name(), "CompositeImplicitAutograd"))


@functools.cache
def _changes(name: str) -> tuple[bool, ...]:
    """Which arguments an operator writes to, in any of its overloads of that name."""
    marks: list[bool] = []
    for overload in _overloads(name):
        for i, argument in enumerate(overload._schema.arguments):
            writes = argument.alias_info is not None and argument.alias_info.is_write
            marks += [False] * (i + 1 - len(marks))
            marks[i] = marks[i] or (writes and not argument.is_out)
    return tuple(marks)


class Working:
    """The outermost working operators of a walk, parents before children: what lies within one does not count again."""

    def __init__(self) -> None:
        self._events: dict[int, Any] = {}  # thread -> the newest one

    def begins(self, event: Any) -> bool:
        """Whether an operator does work and is within no other that does."""
        if self.at(event) is not None or not is_working(event.name):
            return False
        self._events[event.start_tid] = event
        return True

    def at(self, event: Any) -> Any:
        """The working operator that an event lies within, or None."""
        newest = self._events.get(event.start_tid)
        return newest if newest is not None and event.start_time_ns < newest.end_time_ns else None


def tensors_of(event: Any) -> Iterator[Any]:
    """The tensors that an operator was given, if shapes were recorded."""
    for given in event.extra_fields.inputs:
        yield from _tensors(given)


def done_by(event: Any) -> Done:
    """What the working operator of a profiler's event did; its shapes must have been recorded."""
    inputs = event.extra_fields.inputs
    written = _left_bytes(event)
    changed = _changes(event.name)
    moved = count = 0
    for i, given in enumerate(inputs):
        times = 2 if i < len(changed) and changed[i] else 1
        for tensor in _tensors(given):
            moved += times * _numbers(tensor) * tensor.dtype.itemsize
            count += (times - 1) * _numbers(tensor)
    flops = _flops(event.name.partition("::")[2], inputs)
    size = max((tensor.dtype.itemsize for given in inputs for tensor in _tensors(given)), default=4)
    return Done(flops, 0 if flops else count + written // size, moved + written)


def _tensors(given: Any) -> Iterator[Any]:
    if isinstance(given, list):
        for inner in given:
            yield from _tensors(inner)
    elif hasattr(given, "sizes") and hasattr(given.dtype, "itemsize"):
        yield given


def _numbers(tensor: Any) -> int:
    """How many different ones a tensor has: an expanded dimension has stride 0."""
    return math.prod(n for n, stride in zip(tensor.sizes, tensor.strides, strict=True) if stride)


def _left_bytes(event: Any) -> int:
    """What the operator allocated and did not free before it was over."""
    live: dict[int, int] = {}
    stack = list(reversed(event.children))
    while stack:
        child = stack.pop()
        if child.tag != ALLOCATION:
            stack += reversed(child.children)
        elif child.extra_fields.alloc_size > 0:
            live[child.extra_fields.ptr] = child.extra_fields.alloc_size
        else:
            live.pop(child.extra_fields.ptr, None)
    return sum(live.values())


def _flops(name: str, inputs: list[Any]) -> int:
    """Of a matrix product or an attention, by the shapes of its inputs; 0 of anything else."""
    shapes = [tuple(i.sizes) if hasattr(i, "sizes") else () for i in inputs]
    match name:
        case "mm" | "bmm" | "_scaled_mm" | "_int_mm" | "dot" | "mv":
            return _product(*shapes[:2])
        case "addmm" | "baddbmm" | "addmv" | "_addmm_activation" | "addbmm":
            return _product(*shapes[1:3])
    if any(word in name for word in _SCALED):
        at = 1 if "backward" in name else 0
        q, k, v = (tuple(shapes[i]) for i in range(at, at + 3))
        if len(q) < 4 or len(k) < 4 or len(v) < 4:
            return 0
        once = 2 * math.prod(q[:-1]) * k[-2] * (q[-1] + v[-1])
        return 2 * once if at else once
    return 0


def _product(left: tuple[int, ...], right: tuple[int, ...]) -> int:
    return 2 * math.prod(left) * (right[-1] if len(right) > 1 else 1)
