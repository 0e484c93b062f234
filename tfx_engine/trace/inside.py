"""What an operator that is written in Python runs within, which fake tensors do not show: they see its results.

N rows of a batch, n of them at once, D width, V vocabulary.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any

NATS_BY_CHUNKS = "torch_nn::_linear_cross_entropy_batch_chunked"

# Name, shapes of its tensors, bytes that it reads and writes, how often it runs.
Call = tuple[str, list[tuple[int, ...]], int, int]


@functools.cache
def name_of(operator: Any) -> str:
    """As "aten::mm"; empty for those of a higher order, which have no schema."""
    schema = getattr(operator, "_schema", None)
    return schema.name if schema is not None else ""


def calls_within(operator: Any, args: Sequence[Any]) -> Iterator[Call]:
    """The operators that one of Python runs on tensors of these sizes; nothing for all others."""
    if name_of(operator) != NATS_BY_CHUNKS:
        return
    x_ND, weight_VD, chunk, compute = args[0], args[1], args[8], args[12:14]
    chunks, rest = divmod(len(x_ND), chunk)
    for rows, times in ((chunk, chunks), (rest, 1)):
        if rows and times:
            for name, shapes, moved in _nats(rows, *weight_VD.shape, *compute):
                yield name, shapes, moved, times


def _nats(n: int, outputs: int, width: int, with_x: bool, with_weight: bool) -> Iterator[tuple[str, list[Any], int]]:
    """As `_linear_cross_entropy_batch_chunked_accumulator` in torch/nn/modules/linear_cross_entropy.py, in float32."""
    logits_nV, x_nD, weight_VD = (n, outputs), (n, width), (outputs, width)

    def elementwise(name: str, shape: tuple[int, ...], times: int) -> tuple[str, list[Any], int]:
        return name, [shape], times * 4 * math.prod(shape)

    yield "mm", [x_nD, weight_VD[::-1]], 0
    yield from (elementwise(name, logits_nV, times) for name, times in _OF_LOGITS)
    yield from (elementwise(name, (n,), times) for name, times in _OF_ROWS)
    if with_x:
        yield from (elementwise(name, x_nD, times) for name, times in (("index_select", 2), ("mul", 2)))
        yield "addmm", [x_nD, logits_nV, weight_VD], 0
    if with_weight:
        yield "addmm_", [weight_VD, logits_nV[::-1], x_nD], 0
        yield from (elementwise(name, x_nD, times) for name, times in (("mul", 2), ("index_add_", 3)))


_OF_LOGITS = (("amax", 1), ("sub_", 2), ("exp_", 2), ("sum", 1), ("mul", 2))
_OF_ROWS = (("gather", 3), ("dot", 2), ("add_", 2), ("div", 3), ("log_", 2), ("dot", 2), ("sub_", 2))
