"""What kernels allocate within an operator and give back before it returns, which fake tensors do not show.

Each rule was found by holding the events of torch's CPU allocator against a trace of the same step (torch 2.13, one and
two threads). Buffers that threads have each for themselves are counted once for every thread. The sizes of oneDNN's
blocks are those of a CPU with AVX-512; on another one they differ by some hundred kilobytes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from tfx_engine.trace.inside import NATS_BY_CHUNKS, name_of

# Arguments, result, threads -> bytes that exist beside the results at the fullest moment within the operator.
Rule = Callable[[Sequence[Any], Any, int], int]


def scratch_bytes(operator: Any, args: Sequence[Any], result: Any, kind: str, threads: int) -> int:
    """Of an operator on a device of a kind; of kernels only those of the CPU are known."""
    rule = _rule_of(operator, kind == "cpu")
    return 0 if rule is None else rule(args, result, threads)


@functools.cache
def _rule_of(operator: Any, is_cpu: bool) -> Rule | None:
    """By name where torch makes the operator only when it is first asked for."""
    return (_ON_CPU.get(operator.overloadpacket) if is_cpu else None) or _ANYWHERE.get(name_of(operator))


def _sum(args: Sequence[Any], result: Any, threads: int) -> int:
    """A sum in another type begins with a copy in that type."""
    x: Tensor = args[0]
    return x.numel() * result.element_size() if x.dtype != result.dtype else 0


def _index(args: Sequence[Any], result: Any, threads: int) -> int:
    """Places in 32 bits are looked up as ones in 64."""
    return sum(8 * places.numel() for places in args[1] if places is not None and places.dtype == torch.int32)


def _blocks(queries: int, keys: int) -> tuple[int, int]:
    """(queries, keys) of one block of the CPU's fused attention."""
    return 32 if queries < 192 else 64 if queries < 768 else 256, min(512, keys)


def _attention(args: Sequence[Any], result: Any, threads: int) -> int:
    """Scores of a block, two statistics of its queries, and what they have read so far; in 16 bits the scores again."""
    q_BHTK, k_BHSK, v_BHSV = args[:3]
    rows, columns = _blocks(q_BHTK.shape[2], k_BHSK.shape[2])
    rounded = 0 if q_BHTK.element_size() == 4 else 2 * rows * columns
    return threads * (4 * rows * (columns + 2 + v_BHSV.shape[3]) + rounded)


def _attention_backward(args: Sequence[Any], result: Any, threads: int) -> int:
    """Scores of a block and their gradients, in 16 bits once more, and a sum for each query."""
    _, q_BHTK, k_BHSK = args[:3]
    rows, columns = _blocks(q_BHTK.shape[2], k_BHSK.shape[2])
    size = 8 if q_BHTK.element_size() == 4 else 12
    return threads * size * rows * columns + 4 * rows


def _product(args: Sequence[Any], result: Any, threads: int) -> int:
    """What oneDNN packs and sums up in float32 of a product of 16-bit matrices."""
    a, b = args[-2:]
    if a.dtype not in (torch.bfloat16, torch.float16):
        return 0
    rows, inner, columns = a.shape[-2], a.shape[-1], b.shape[-1]
    block = -(-rows // -(-rows // 256))
    depth = min(inner, 512)
    if a.dtype == torch.float16:
        return threads * (1152 + 4 * 64 * block + 4 * depth * (64 + block))
    packed = 2 * 64 * depth
    if a.stride(-1) == 1 or a.stride(-2) != 1:
        return threads * (1024 + 4 * 64 * block + packed)
    wide = min(columns, 768) if inner > 512 else 64
    return threads * (1152 + 4 * wide * block + packed + 2 * block * (depth + (32 if depth == 512 else 0)))


def _nats_by_chunks(args: Sequence[Any], result: Any, threads: int) -> int:
    """The logits of a chunk of rows, two numbers of each of them and the rows of the table that are their targets; of
    all rows whether they count (in a byte, and as a number) and where. Of the chunk before a row of inputs for each,
    where there are fewer logits than that.
    """
    x_ND, weight_VD, chunk, policy = args[0], args[1], args[8], args[9]
    (rows, width), outputs = x_ND.shape, len(weight_VD)
    chunk = min(rows, chunk or rows)
    widths = outputs + width + 2 + (width if outputs < width and chunk < rows else 0)
    apart = 0 if policy == "compact" else outputs * width
    return (chunk * widths + apart) * x_ND.element_size() + rows * (1 + 8 + x_ND.element_size())


def _recurrence(args: Sequence[Any], result: Any, threads: int) -> int:
    """Packed weights, and what all gates of all tokens need."""
    x_TBD, w_in, w_state = args[:3]
    return w_in.numel() * 4 + w_state.numel() * 4 + 17 * x_TBD.numel()


_aten = torch.ops.aten
_ON_CPU: dict[Any, Rule] = {
    _aten.sum: _sum, _aten.index: _index,
    _aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    _aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
    _aten.mm: _product, _aten.bmm: _product,
    _aten.addmm: lambda args, result, threads: _product(args[:3], result, threads),
    _aten.mkldnn_rnn_layer: _recurrence, _aten.mkldnn_rnn_layer_backward: _recurrence,
}
# Written in Python, out of operators that allocate alike everywhere.
_ANYWHERE: dict[str, Rule] = {NATS_BY_CHUNKS: _nats_by_chunks}
