"""The operators of one training step, with what each reads, writes and multiplies, before anything runs.

Every operator of a step under fake tensors that reaches the dispatcher is noted with the shapes of its tensors,
forward, backward and in the optimizer, and equal ones are put together.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from tfx_engine.estimate.time import Operator
from tfx_engine.measure.operators import is_working
from tfx_engine.trace.axes import Axis
from tfx_engine.trace.inside import calls_within

_FORMATS = {torch.float32: "float32", torch.bfloat16: "bfloat16", torch.float16: "float16",
            torch.float8_e4m3fn: "float8", torch.float8_e5m2: "float8"}
_SCALED = ("scaled_dot_product", "flash_attention", "efficient_attention", "cudnn_attention")


Operators = Mapping[Operator, float]  # how often each runs in a step


class OperatorLog:
    """Counts the operators that it is told of. `product_format`: in which products of float32 are computed."""

    def __init__(self, product_format: str | None) -> None:
        self.seen: Counter[Operator] = Counter()
        self.weight = 1  # for how many of its like an operator stands
        self._float32 = "tf32" if product_format == "tf32" else "float32"
        self._part = ""

    @contextlib.contextmanager
    def within(self, name: str) -> Iterator[None]:
        """A part of the step."""
        before, self._part = self._part, name
        try:
            yield
        finally:
            self._part = before

    def note(self, operator: Any, args: Any, kwargs: Any, result: Any, caller: FrameType | None) -> None:
        """One operator that ran, and the frame of who called it; None where no Python did."""
        for name, shapes, moved, times in calls_within(operator, args):
            self.seen[_operator(name, self._float32, shapes, moved, self._part)] += times * self.weight
        if operator.namespace not in ("aten", "torchao", "quantized_decomposed"):
            return
        self._note(operator, args, kwargs, result)
        if _is_watched(caller):
            self.seen[Operator(operator.overloadpacket.__name__, "hook")] += self.weight

    def _note(self, operator: Any, args: Any, kwargs: Any, result: Any) -> None:
        name = operator.overloadpacket.__name__
        if not is_working(f"{operator.namespace}::{name}"):
            if _is_view(operator):
                self.seen[Operator(name, "view")] += self.weight
            return
        given = list(_tensors([*args, *kwargs.values()]))
        if not given and not isinstance(result, Tensor):
            return
        moved = _moved(operator, args, kwargs, result)
        format = _FORMATS.get(given[0].dtype if given else result.dtype, "")
        format = self._float32 if format == "float32" else format
        self.seen[_operator(name, format, [tuple(t.shape) for t in given], moved, self._part)] += self.weight


def repeated(few: Operators, longer: Sequence[tuple[Axis, Operators]]) -> Operators:
    """Those of `few`, and of each axis, as many times as it says, what its longer step has more.

    Operators that do more for a longer model, such as one that moves all weights, have only their bytes extended.
    """
    both: dict[Operator, float] = {}
    for o, calls in few.items():
        if least := min(calls, *(many.get(o, 0) for _, many in longer)):
            both[o] = least
    gone, new = _by_kind(few, both), [(axis.times, _by_kind(many, both)) for axis, many in longer]
    found = dict(both)
    for kind in dict.fromkeys([*gone, *(kind for _, kinds in new for kind in kinds)]):
        added = [(times, kinds.get(kind, {})) for times, kinds in new]
        if kind in gone:
            operator, calls = _longer(gone[kind], added)
            found[operator] = found.get(operator, 0) + calls
            continue
        for times, operators in added:
            for o, calls in operators.items():
                found[o] = found.get(o, 0) + times * calls
    return found


def _by_kind(operators: Operators, without: Operators) -> dict[tuple[str, str, str], dict[Operator, float]]:
    """What is left of them, by what they are."""
    kinds: dict[tuple[str, str, str], dict[Operator, float]] = {}
    for o, calls in operators.items():
        if calls > without.get(o, 0):
            kinds.setdefault((o.name, o.what, o.format), {})[o] = calls - without.get(o, 0)
    return kinds


def _longer(few: Operators, longer: Sequence[tuple[int, Operators]]) -> tuple[Operator, float]:
    """The operators of one kind that not all of some models have, as one operator of the model that is longer still."""

    def extended(what: Callable[[Operator], int]) -> float:
        a, *others = (sum(calls * what(o) for o, calls in side.items()) for side in (few, *(o for _, o in longer)))
        return a + sum(times * (b - a) for (times, _), b in zip(longer, others, strict=True))

    calls = extended(lambda o: 1)
    most = max((o for side in (few, *(o for _, o in longer)) for o in side), key=lambda o: o.bytes)
    flops, moved = (round(extended(what) / calls) for what in (lambda o: o.flops, lambda o: o.bytes))
    return dataclasses.replace(most, flops=flops, bytes=moved), calls


def _is_watched(frame: FrameType | None) -> bool:
    """Whether the operator came by way of a hook in Python, as those do whose results selective recompute keeps."""
    while frame is not None and frame.f_globals.get("__name__") == "torch._ops":
        frame = frame.f_back
    return frame is not None and frame.f_code.co_name == "__torch_dispatch__"


def _operator(name: str, format: str, shapes: list[tuple[int, ...]], moved: int, part: str) -> Operator:
    match name:
        case "mm" | "bmm" | "_scaled_mm" | "_int_mm":
            return _product(name, format, *shapes[:2])
        case "addmm" | "addmm_" | "baddbmm" | "_addmm_activation":
            return _product(name, format, *shapes[1:3])
    if any(word in name for word in _SCALED):
        backward = "backward" in name
        q, k, v = shapes[1:4] if backward else shapes[:3]
        flops = 2 * math.prod(q[:-1]) * k[-2] * (q[-1] + v[-1]) * (2 if backward else 1)
        what = "attention_backward" if backward else "attention"
        return Operator(name, what, format, (k[-2], q[-1]), flops, moved)
    what = "optimizer" if part == "optimizer" and not name.startswith("_foreach_norm") else "other"
    return Operator(name, what, format, (), 0, moved)


def _product(name: str, format: str, left: tuple[int, ...], right: tuple[int, ...]) -> Operator:
    sizes = (left[-2], left[-1], right[-1])
    return Operator(name, "product", format, sizes, 2 * math.prod(left) * right[-1], 0)


@functools.cache
def _is_view(operator: Any) -> bool:
    returns = operator._schema.returns
    return bool(returns) and all(r.alias_info is not None and not r.alias_info.is_write for r in returns)


# They read of a table what their indices say, and no more.
_PICKING = frozenset({"embedding", "gather", "index_select", "nll_loss_forward", "nll_loss2d_forward"})


def _moved(operator: Any, args: Any, kwargs: Any, result: Any) -> int:
    """Bytes read and written, if each tensor is read once, what is changed is written too, and results are written."""
    if operator.overloadpacket.__name__ in _PICKING:
        indices = sum(_bytes(t) for t in _tensors(args) if not t.is_floating_point())
        return 2 * (indices + sum(_bytes(t) for t in _tensors([result])))
    moved = 0
    known = set()
    for argument, given in zip(operator._schema.arguments, args, strict=False):
        times = 2 if argument.alias_info is not None and argument.alias_info.is_write else 1
        for tensor in _tensors([given]):
            moved += times * _bytes(tensor)
            known.add(id(tensor))
    moved += sum(_bytes(tensor) for tensor in _tensors(list(kwargs.values())))
    return moved + sum(_bytes(tensor) for tensor in _tensors([result]) if id(tensor) not in known)


def _bytes(tensor: Tensor) -> int:
    """Of the different numbers that it has: an expanded dimension has stride 0."""
    different = math.prod(n for n, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride)
    return int(different) * tensor.element_size()


def _tensors(given: Any) -> Iterator[Tensor]:
    for item in given:
        if isinstance(item, Tensor):
            yield item
        elif isinstance(item, (list, tuple)):
            yield from _tensors(item)
