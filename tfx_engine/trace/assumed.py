"""What is taken for granted where a step asks for numbers, which fake tensors do not have.

Gradients are finite, and the router of experts spreads the tokens as it is told to. Which attention kernel torch takes
is found out by letting it choose.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend
from torch.utils._python_dispatch import TorchDispatchMode

from tfx_engine.techniques.assumptions import assumed
from tfx_engine.trace.axes import Point
from tfx_engine.trace.mode import TraceMode
from tfx_engine.trace.results import Results
from tfx_engine.trace.routing import Routing
from tfx_engine.trace.shown import FewExperts, FewPieces, FewSteps

ASKS_FOR_DEVICE = torch.ops.prim.device.default  # by far the most frequent of all: to be answered at once
_ASKS_A_NUMBER = torch.ops.aten._local_scalar_dense.default
_LOOKS_FOR_INFINITY = torch.ops.aten._amp_foreach_non_finite_check_and_unscale_.default
_FUSED_LSTM = torch.ops.aten.mkldnn_rnn_layer.default
_WORKSPACE = 61  # bytes that the CPU's fused LSTM keeps for each number of its input: gates and states
_BACKENDS = {  # by how the names of torch's operators go on after "_scaled_dot_product_"
    "flash": SDPBackend.FLASH_ATTENTION, "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
}


class Answers(TraceMode):
    """Answers whoever asks for a number: it is one, but nothing is infinite. `results`: what is known of operators."""

    def __init__(self, pause: Callable[[], None]) -> None:
        super().__init__()
        self.results: Results | None = None
        self._pause = pause
        self._infinite: set[int] = set()  # storages that say whether a gradient is

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if operator is ASKS_FOR_DEVICE and isinstance(args[0], FakeTensor):
            return args[0].fake_device
        self._pause()
        if operator is _ASKS_A_NUMBER:
            return self._answer(args[0])
        if operator is _LOOKS_FOR_INFINITY:
            self._infinite.add(args[1].untyped_storage()._cdata)
        kwargs = kwargs or {}
        run = functools.partial(operator, *args, **kwargs)
        result = run() if self.results is None else self.results.of(operator, args, kwargs, run)
        if operator is _FUSED_LSTM:  # whose workspace is unknown to fake tensors
            return *result[:3], torch.empty(_WORKSPACE * args[0].numel(), dtype=torch.uint8, device=args[0].device)
        return result

    def _answer(self, tensor: Tensor) -> bool | int | float:
        if tensor.dtype == torch.bool:
            return False
        number = 0 if tensor.untyped_storage()._cdata in self._infinite else 1
        return float(number) if tensor.dtype.is_floating_point else number


class _Sees(TorchDispatchMode):
    """The name of the attention operator that ran last."""

    def __init__(self) -> None:
        super().__init__()
        self.used = ""

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        _, found, rest = operator.name().partition("_scaled_dot_product_")
        self.used = rest.partition("_")[0] if found else self.used
        return operator(*args, **(kwargs or {}))


def _choose(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, dropout: float, is_causal: bool, scale: float,
    enable_gqa: bool,
) -> int:
    """As `torch._fused_sdp_choice`, which under fake tensors knows no device."""
    with _Sees() as seen:
        F.scaled_dot_product_attention(q, k, v, bias, dropout, is_causal, scale=scale, enable_gqa=enable_gqa)
    return int(_BACKENDS.get(seen.used, SDPBackend.MATH).value)


def _lstm(cell: nn.LSTM, x_BTD: Tensor) -> tuple[Tensor, object]:
    """As torch does it on a CPU."""
    x_TBD = x_BTD.transpose(0, 1).contiguous()
    state_BH = x_BTD.new_zeros(x_BTD.shape[0], cell.hidden_size)
    weights = list(cell._flat_weights)
    if not cell.bias:
        weights += [torch.zeros_like(weights[0]), torch.zeros_like(weights[0])]  # of that shape: so torch does it
    y_TBH = torch.ops.aten.mkldnn_rnn_layer(
        x_TBD, *weights, state_BH, state_BH.clone(), False, [], 2, cell.hidden_size, 1, cell.bias, False, False, True,
    )[0]
    return y_TBH.transpose(0, 1), None


@contextlib.contextmanager
def assuming(routing: Routing, kind: str, point: Point, pause: Callable[[], None]) -> Iterator[Answers]:
    """Within, models are made of as much as a point says; within what it gives, nothing is asked in vain.

    `pause` is called before every operator.
    """
    if kind == "cpu":
        assumed.lstm, assumed.gru = _lstm, FewSteps(point)
    assumed.kernel, assumed.experts, assumed.pieces = _choose, FewExperts(routing, point), FewPieces(point)
    try:
        yield Answers(pause)
    finally:
        assumed.nothing()
