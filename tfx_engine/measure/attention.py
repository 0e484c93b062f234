"""Attention maps of one sample: the softmax weights of every layer and head, recomputed from queries and keys.

They are computed beside whatever fused kernel the training uses, in evaluation mode without gradients, so that neither
the random numbers nor the weights of the training notice. Shapes: H heads, T queries (= keys), P pooled T.
"""

from __future__ import annotations

import dataclasses
from contextlib import AbstractContextManager

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tfx_engine.techniques.probe import AttentionRecord, record_attention

STORED_SIDE = 256  # a map with more queries is mean-pooled to at most so many
FULL_SIDE = 4096  # and one that was asked for alone to at most so many
_NUMBERS_AT_ONCE = 2**24  # float32 values of one piece of work: 64 MiB


@dataclasses.dataclass(frozen=True)
class AttentionMaps:
    """One capture. `pool`: side of the square of weights that one stored number is the mean of."""

    layers: list[np.ndarray]  # float16 [H, P, P] each
    layer_numbers: list[int]
    pool: int
    tokens: np.ndarray  # int32 [T]
    head: int | None = None


@torch.no_grad()
def capture_attention(
    model: nn.Module,
    inputs: Tensor,
    precision: AbstractContextManager[object],
    layer: int | None = None,
    head: int | None = None,
) -> AttentionMaps:
    """The maps of the batch's first sample: of all layers and heads, or of one head at full resolution.

    `inputs`: tokens_BT, or frames_BTF, whose tokens are then the numbers of their places.

    Raises ValueError where the model has no such layer or head.
    """
    with evaluating(model), precision, record_attention(sample=0) as records:
        model(inputs[:1])
    chosen = _chosen(records, layer, head)
    tokens = records[0].q_HTK.shape[1] if records else inputs.shape[1]
    tokens_T = torch.arange(tokens) if inputs.is_floating_point() else inputs[0]
    side = STORED_SIDE if head is None else FULL_SIDE
    pool = -(-tokens // side)
    maps = [_map(record, pool, head) for _, record in chosen]
    return AttentionMaps(
        layers=maps, layer_numbers=[number for number, _ in chosen], pool=pool,
        tokens=tokens_T.to("cpu", torch.int32).numpy(), head=head,
    )


def _chosen(records: list[AttentionRecord], layer: int | None, head: int | None) -> list[tuple[int, AttentionRecord]]:
    if layer is None:
        return list(enumerate(records))
    heads = records[layer].q_HTK.shape[0] if 0 <= layer < len(records) else 0
    if head is not None and not 0 <= head < heads:
        raise ValueError(f"there is no head {head + 1} in attention layer {layer + 1}")
    return [(layer, records[layer])]


def _map(record: AttentionRecord, pool: int, head: int | None) -> np.ndarray:
    """float16 [H, P, P] of one layer, a stretch of queries at a time so that long contexts stay within bounds."""
    heads, tokens, _ = record.q_HTK.shape
    wanted = range(heads) if head is None else range(head, head + 1)
    stretch = pool * max(1, _NUMBERS_AT_ONCE // (pool * tokens * len(wanted)))
    pieces = []
    for first in range(0, tokens, stretch):
        weights_HQT = record.rows(wanted, range(first, min(first + stretch, tokens)))
        if pool > 1:
            weights_HQT = F.avg_pool2d(weights_HQT, pool, ceil_mode=True, count_include_pad=False)
        pieces.append(weights_HQT.half().cpu())
    return torch.cat(pieces, dim=1).numpy()


class evaluating:
    """`with evaluating(model):` evaluation mode, and afterwards every module in the mode it was in."""

    def __init__(self, model: nn.Module) -> None:
        self._modes = [(module, module.training) for module in model.modules()]
        self._model = model

    def __enter__(self) -> None:
        self._model.eval()

    def __exit__(self, *error: object) -> None:
        for module, training in self._modes:
            module.training = training
