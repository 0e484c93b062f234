"""The operators of one training step, with what each reads, writes and multiplies, before anything runs.

The step is the training's own code under fake tensors; every operator that reaches the dispatcher is noted with the
shapes of its tensors, forward, backward and in the optimizer, and equal ones are put together.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from tfx_engine.data.task import blank_batch
from tfx_engine.estimate.time import Operator
from tfx_engine.measure.gradients import LayerNorms
from tfx_engine.measure.operators import is_working
from tfx_engine.model.assemble import assemble, make_pieces, make_precision
from tfx_engine.model.layers import layer_index, layer_names
from tfx_engine.protocol.config import Config
from tfx_engine.trace.fake import begin, settle
from tfx_engine.train.setup import make_training
from tfx_engine.train.step import Batch, Training, nothing, train_step

_DEPTHS = (2, 3)  # layers of the two traces that deeper models follow from
_PIECES = (1, 2)  # of a batch, likewise
_FORMATS = {torch.float32: "float32", torch.bfloat16: "bfloat16", torch.float16: "float16",
            torch.float8_e4m3fn: "float8", torch.float8_e5m2: "float8"}
_SCALED = ("scaled_dot_product", "flash_attention", "efficient_attention", "cudnn_attention")


class BrokenOff(Exception):
    """Nobody waits for the trace any more."""


@dataclasses.dataclass(frozen=True)
class Manners:
    """How a trace lets others go first: `pause` is called before every operator, and between the parts of a step
    `is_over` is asked, whether it may be broken off. Not within them: torch's own code does not always survive it."""

    pause: Callable[[], None] = lambda: None
    is_over: Callable[[], bool] = lambda: False

    def go_on(self) -> None:
        """Raises `BrokenOff` where nobody waits any more."""
        if self.is_over():
            raise BrokenOff


_RUTHLESS = Manners()


def operators_of(config: Config, device: torch.device, manners: Manners = _RUTHLESS) -> dict[Operator, float]:
    """How often each operator runs in a step. Of a deep model few layers are traced, and what a layer adds repeated;
    of a batch in many equal pieces likewise few.

    Raises `BrokenOff` where `manners` say so.
    """
    batch, pieces = config.run.batch, min(make_pieces(config), config.run.batch)
    if pieces <= _PIECES[1] or batch % pieces:
        return _of_pieces(config, None, device, manners)
    few, more = (_of_pieces(_with_batch(config, n * batch // pieces), n, device, manners) for n in _PIECES)
    return _further(few, more, (pieces - _PIECES[0]) / (_PIECES[1] - _PIECES[0]))


def _of_pieces(config: Config, pieces: int | None, device: torch.device, manners: Manners) -> dict[Operator, float]:
    layers = config.model.layers
    shallow, deep = _DEPTHS
    if layers <= deep:
        return dict(_traced(config, pieces, device, manners))
    few, more = (dict(_traced(_with_layers(config, n), pieces, device, manners)) for n in (shallow, deep))
    return _further(few, more, (layers - shallow) / (deep - shallow))


def _further(few: Mapping[Operator, float], more: Mapping[Operator, float], times: float) -> dict[Operator, float]:
    total = {o: few.get(o, 0) + times * (more.get(o, 0) - few.get(o, 0)) for o in few.keys() | more.keys()}
    return {operator: calls for operator, calls in total.items() if calls > 0}


def _with_batch(config: Config, batch: int) -> Config:
    return dataclasses.replace(config, run=dataclasses.replace(config.run, batch=batch))


def _with_layers(config: Config, layers: int) -> Config:
    return dataclasses.replace(config, model=dataclasses.replace(config.model, layers=layers))


def _traced(config: Config, pieces: int | None, device: torch.device, manners: Manners) -> Counter[Operator]:
    with fake_training(config, device, manners, pieces) as (training, batch):
        log = _Log(make_precision(config).product_format, manners)
        norms = LayerNorms(training.model, layer_index(training.model), len(layer_names(training.model)))
        on_gradients = norms.of_gradients if config.run.probes else nothing
        with log:
            train_step(training, batch, 1, log.within, on_gradients)
    return log.seen


@contextlib.contextmanager
def fake_training(
    config: Config, device: torch.device, manners: Manners = _RUTHLESS, pieces: int | None = None
) -> Iterator[tuple[Training, Batch]]:
    """A training and its batch under fake tensors, as after a first step: the optimizer has its state, tables are made.

    What runs within is fake too, and may raise `BrokenOff`.
    """
    model = assemble(config, "meta")
    manners.go_on()
    with FakeTensorMode(), _Pauses(manners):
        settle(model, device, make_precision(config).dtype)
        training = make_training(config, model, device)
        training = training if pieces is None else dataclasses.replace(training, pieces=pieces)
        batch = blank_batch(config, device)
        begin(training, batch)
        training.optimizer.zero_grad(set_to_none=True)
        model.after_step()
        manners.go_on()
        yield training, batch


class _Pauses(TorchDispatchMode):
    """Lets others go first."""

    def __init__(self, manners: Manners) -> None:
        super().__init__()
        self._manners = manners

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """The operation itself."""
        self._manners.pause()
        return operator(*args, **(kwargs or {}))


class _Log(TorchDispatchMode):
    """Counts the operators that run while it is on. `product_format`: in which products of float32 are computed."""

    def __init__(self, product_format: str | None, manners: Manners) -> None:
        super().__init__()
        self._manners = manners
        self.seen: Counter[Operator] = Counter()
        self._float32 = "tf32" if product_format == "tf32" else "float32"
        self._part = ""

    @contextlib.contextmanager
    def within(self, name: str) -> Iterator[None]:
        """A part of the step."""
        self._manners.go_on()
        before, self._part = self._part, name
        try:
            yield
        finally:
            self._part = before

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """The operation itself, noted."""
        result = operator(*args, **(kwargs or {}))
        if operator.namespace in ("aten", "torchao", "quantized_decomposed"):
            self._note(operator, args, kwargs or {}, result)
            if _is_watched():
                self.seen[Operator(operator.overloadpacket.__name__, "hook")] += 1
        return result

    def _note(self, operator: Any, args: Any, kwargs: Any, result: Any) -> None:
        name = operator.overloadpacket.__name__
        if not is_working(f"{operator.namespace}::{name}"):
            if _is_view(operator):
                self.seen[Operator(name, "view")] += 1
            return
        given = list(_tensors([*args, *kwargs.values()]))
        if not given and not isinstance(result, Tensor):
            return
        moved = _moved(operator, args, kwargs, result)
        format = _FORMATS.get(given[0].dtype if given else result.dtype, "")
        format = self._float32 if format == "float32" else format
        self.seen[_operator(name, format, [tuple(t.shape) for t in given], moved, self._part)] += 1


def _is_watched() -> bool:
    """Whether the operator came by way of a hook in Python, as those do whose results selective recompute keeps."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__") == "torch._ops":
        frame = frame.f_back
    return frame.f_code.co_name == "__torch_dispatch__"


def _operator(name: str, format: str, shapes: list[tuple[int, ...]], moved: int, part: str) -> Operator:
    match name:
        case "mm" | "bmm" | "_scaled_mm" | "_int_mm":
            return _product(name, format, *shapes[:2])
        case "addmm" | "baddbmm" | "_addmm_activation":
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
