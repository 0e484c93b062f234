"""How fast single operators run on a device: those that are slower than memory is, and attention by its shape.

Operators that are not here move their bytes as fast as copies do, as far as anybody knows. Results are allocated anew
in every call, as they are in a training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from tfx_engine.measure.rounds import of_device

_SIDE = {"cpu": (1024, 512), "": (8192, 2048)}  # rows and columns of what operators work on
_TOKENS, _HEADS = {"cpu": 2048, "": 16384}, {"cpu": 4, "": 12}  # of the attention that is timed
CONTEXTS = {"cpu": (64, 256, 512), "": (256, 1024, 2048)}
HEAD_WIDTHS = (32, 64)

Timing = tuple[Callable[[], object], int]  # a call, and the bytes that it reads and writes
AttentionCall = tuple[int, int, bool, Callable[[], object], int]  # context, head width, is backward, a call, its FLOPs


def operator_calls(device: torch.device) -> dict[str, Timing]:
    """Calls of single operators by torch's name of them."""
    rows, columns = of_device(_SIDE, device)
    x, y = (torch.randn(rows, columns, device=device) for _ in range(2))
    n, aten = 4 * x.numel(), torch.ops.aten
    weight, bias = torch.ones(columns, device=device), torch.zeros(columns, device=device)
    normed, mean, rstd = aten.native_layer_norm(x, [columns], weight, bias, 1e-5)
    soft, targets = torch.softmax(x, -1), torch.zeros(rows, dtype=torch.long, device=device)
    heads = x.view(rows // 64, 64, 8, columns // 8)
    calls: dict[str, Timing] = {
        "add": (partial(torch.add, x, y), 3 * n), "mul": (partial(torch.mul, x, y), 3 * n),
        "gelu": (partial(F.gelu, x), 2 * n), "gelu_backward": (partial(aten.gelu_backward, y, x), 3 * n),
        "silu": (partial(F.silu, x), 2 * n), "silu_backward": (partial(aten.silu_backward, y, x), 3 * n),
        "tanh": (partial(torch.tanh, x), 2 * n), "sigmoid": (partial(torch.sigmoid, x), 2 * n),
        "exp": (partial(torch.exp, x), 2 * n), "rsqrt": (partial(torch.rsqrt, soft), 2 * n),
        "pow": (partial(torch.pow, x, 2), 2 * n), "where": (partial(torch.where, x > 0, x, y), 3 * n + n // 4),
        "sum": (partial(torch.sum, x, 0), n), "mean": (partial(torch.mean, x, -1), n),
        "native_layer_norm": (partial(aten.native_layer_norm, x, [columns], weight, bias, 1e-5), 2 * n),
        "native_layer_norm_backward": (
            partial(aten.native_layer_norm_backward, y, x, [columns], mean, rstd, weight, bias, [True] * 3), 3 * n),
        "_softmax": (partial(torch.softmax, x, -1), 2 * n),
        "_softmax_backward_data": (partial(aten._softmax_backward_data, y, soft, -1, torch.float32), 3 * n),
        "_log_softmax": (partial(torch.log_softmax, x, -1), 2 * n),
        "_log_softmax_backward_data": (partial(aten._log_softmax_backward_data, y, soft, -1, torch.float32), 3 * n),
        "native_dropout": (partial(torch.native_dropout, x, 0.1, True), 2 * n + n // 4),
        "clone": (partial(torch.clone, heads.transpose(1, 2), memory_format=torch.contiguous_format), 2 * n),
        "cat": (partial(torch.cat, (x, y), -1), 4 * n), "_to_copy": (partial(x.to, torch.bfloat16), n + n // 2),
        "embedding_dense_backward": (
            partial(aten.embedding_dense_backward, x, torch.arange(rows, device=device) % 256, 256, -1, False), 2 * n),
        "nll_loss_forward": (partial(F.nll_loss, x, targets), 4 * rows),
        "_foreach_norm": (lambda: torch._foreach_norm([x, y]), 2 * n),
    }
    del normed
    return {**calls, **_optimizer(device)}


def _optimizer(device: torch.device) -> dict[str, Timing]:
    """The fused update of 16 weights."""
    tensors = [[torch.rand(256, 512, device=device) for _ in range(16)] for _ in range(4)]
    steps = [torch.ones((), device=device) for _ in range(16)]
    weights, gradients, first, second = tensors

    def update() -> None:
        torch._fused_adamw_(weights, gradients, first, second, [], steps, lr=1e-6, beta1=0.9, beta2=0.95,
                            weight_decay=0.1, eps=1e-8, amsgrad=False, maximize=False)

    return {"_fused_adamw_": (update, 7 * 16 * 4 * 256 * 512)}


def attention_calls(device: torch.device, dtype: torch.dtype) -> Iterator[AttentionCall]:
    """Attention as torch chooses it by itself, forward and backward."""
    tokens, heads = of_device(_TOKENS, device), of_device(_HEADS, device)
    for context in of_device(CONTEXTS, device):
        for width in HEAD_WIDTHS:
            shape = (max(1, tokens // context), heads, context, width)
            q, k, v = (torch.randn(shape, device=device, dtype=dtype, requires_grad=True) for _ in range(3))
            flops = 4 * shape[0] * heads * context * context * width
            forward = partial(F.scaled_dot_product_attention, q.detach(), k.detach(), v.detach(), is_causal=True)
            yield context, width, False, forward, flops
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            yield context, width, True, partial(_backward, y, (q, k, v), torch.ones_like(y)), 2 * flops


def _backward(y: Tensor, inputs: tuple[Tensor, ...], gradient: Tensor) -> None:
    torch.autograd.grad(y, inputs, gradient, retain_graph=True)


def dispatch_call(device: torch.device) -> tuple[Callable[[], object], int]:
    """A training step of layers so small that starting their operators is all they cost, and how many operators."""
    layers = [torch.nn.Sequential(torch.nn.LayerNorm(8), torch.nn.Linear(8, 8), torch.nn.GELU()).to(device)
              for _ in range(12)]
    x = torch.ones(2, 8, device=device)
    parameters = [p for layer in layers for p in layer.parameters()]

    def step() -> None:
        y = x
        for layer in layers:
            y = y + layer(y)
        torch.autograd.grad(y.sum(), parameters)

    return step, len(layers) * (4 + 7)  # norm, product, GELU, sum; their gradients with those of weights and biases
