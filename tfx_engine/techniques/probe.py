"""Recording of queries and keys, beside whatever fused kernel the attention uses.

An attention module looks at one attribute, `probe.recorder`, in its forward pass; it is None except inside
`record_attention()`. Shapes: B batch, H heads, T tokens, K head width.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from tfx_engine.techniques.mask import Mask


class AttentionRecord(NamedTuple):
    """What one layer's attention computed its weights from, for one sample."""

    layer: str  # the layer's name, such as "block 1"
    q_HTK: Tensor
    k_HTK: Tensor
    scale: float  # the scores are q · k * scale
    mask: Mask

    def weights(self) -> Tensor:
        """The attention map, float32 [H, T queries, T keys]: softmax over the allowed keys, each row adds up to 1."""
        tokens, device = self.q_HTK.shape[1], self.q_HTK.device
        scores_HTT = self.q_HTK.float() @ self.k_HTK.float().transpose(1, 2) * self.scale
        forbidden_TT = ~self.mask.allowed(tokens, device)
        return scores_HTT.masked_fill(forbidden_TT, -torch.inf).softmax(dim=-1)


class Recorder:
    """Keeps one sample's q and k of every layer; what recompute runs a second time is recorded once."""

    def __init__(self, sample: int) -> None:
        self._sample = sample
        self._seen: set[str] = set()
        self.records: list[AttentionRecord] = []

    def record(self, layer: str, q_BHTK: Tensor, k_BHTK: Tensor, scale: float, mask: Mask) -> None:
        """Keep copies of the sample's q and k, so that the rest of the batch can be freed."""
        if layer in self._seen:
            return
        self._seen.add(layer)
        q_HTK, k_HTK = (t_BHTK.detach()[self._sample].clone() for t_BHTK in (q_BHTK, k_BHTK))
        self.records.append(AttentionRecord(layer, q_HTK, k_HTK, scale, mask))


recorder: Recorder | None = None


@contextlib.contextmanager
def record_attention(sample: int = 0) -> Iterator[list[AttentionRecord]]:
    """Forward passes inside fill the list with one record a layer, in the order in which the layers ran."""
    global recorder
    if recorder is not None:
        raise RuntimeError("attention is being recorded already")
    recorder = Recorder(sample)
    try:
        yield recorder.records
    finally:
        recorder = None
