"""Recording of what attention weights are made of, beside whatever fused kernel the attention uses.

`Scores` looks at one attribute, `probe.recorder`, in its forward pass; it is None except inside `record_attention()`.
Shapes: B batch, H query heads, G key heads (H a multiple of G), T tokens, K head width, Q some of the T queries.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

Softcap = Callable[[Tensor], Tensor]


class Probed(NamedTuple):
    """What one attention computes its weights from: softcap(q · k * scale) + bias, over the allowed keys.

    Beside these there may be a sink, and keys of an adapter: they take weight and are in no map.
    """

    layer: str  # the layer's name, such as "block 1"
    q_BHTK: Tensor
    k_BGTK: Tensor
    scale: float
    softcap: Softcap | None
    bias_HTT: Tensor | None
    sink_H: Tensor | None
    is_causal: bool
    allowed: Callable[[], Tensor]  # bool [T, T]
    prefix_GPK: Tensor | None = None  # an adapter's keys before all others, which everybody sees


class AttentionRecord(NamedTuple):
    """The same for one sample, as copies."""

    layer: str
    q_HTK: Tensor
    k_GTK: Tensor
    scale: float
    softcap: Softcap | None
    bias_HTT: Tensor | None
    sink_H: Tensor | None
    is_causal: bool
    allowed_TT: Tensor | None  # None where the mask is causal
    prefix_GPK: Tensor | None = None

    def weights(self) -> Tensor:
        """The attention map, float32 [H, T queries, T keys]; each row adds up to 1, beside a sink or prefix to less."""
        return self.rows(range(self.q_HTK.shape[0]), range(self.q_HTK.shape[1]))

    def rows(self, heads: range, queries: range) -> Tensor:
        """Some of it: float32 [H, Q, T] for these heads and these queries."""
        shared = self.q_HTK.shape[0] // self.k_GTK.shape[0]
        picked = slice(heads.start, heads.stop), slice(queries.start, queries.stop)
        k_HTK = self.k_GTK[[h // shared for h in heads]].float()
        scores_HQT = self.q_HTK[picked].float() * self.scale @ k_HTK.transpose(1, 2)
        if self.softcap is not None:
            scores_HQT = self.softcap(scores_HQT)
        if self.bias_HTT is not None:
            scores_HQT = scores_HQT + self.bias_HTT[picked].float()
        scores_HQT = scores_HQT.masked_fill_(~self._allowed(queries), -torch.inf)
        beside = []
        if self.sink_H is not None:
            beside.append(self.sink_H[picked[0]].float()[:, None, None].expand(-1, len(queries), 1))
        if self.prefix_GPK is not None:
            prefix_HPK = self.prefix_GPK[[h // shared for h in heads]].float()
            scores_HQP = self.q_HTK[picked].float() * self.scale @ prefix_HPK.transpose(1, 2)
            beside.append(scores_HQP if self.softcap is None else self.softcap(scores_HQP))
        columns = sum(scores.shape[-1] for scores in beside)
        return torch.cat([*beside, scores_HQT], dim=-1).softmax(dim=-1)[..., columns:]

    def _allowed(self, queries: range) -> Tensor:
        """bool [Q, T]: for a causal mask without the whole square."""
        if self.allowed_TT is not None:
            return self.allowed_TT[queries.start : queries.stop]
        place_T = torch.arange(self.q_HTK.shape[1], device=self.q_HTK.device)
        return place_T <= place_T[queries.start : queries.stop, None]


class Recorder:
    """Keeps what one sample's attention needs, of every layer; what recompute runs a second time is recorded once."""

    def __init__(self, sample: int) -> None:
        self._sample = sample
        self._seen: set[str] = set()
        self.records: list[AttentionRecord] = []

    def record(self, probed: Probed) -> None:
        """Keep copies of the sample's q and k, so that the rest of the batch can be freed."""
        if probed.layer in self._seen:
            return
        self._seen.add(probed.layer)
        q_HTK, k_GTK = (t.detach()[self._sample].clone() for t in (probed.q_BHTK, probed.k_BGTK))
        kept = (probed.bias_HTT, probed.sink_H, probed.prefix_GPK)
        bias_HTT, sink_H, prefix_GPK = (None if t is None else t.detach() for t in kept)
        self.records.append(AttentionRecord(
            layer=probed.layer, q_HTK=q_HTK, k_GTK=k_GTK, scale=probed.scale, softcap=probed.softcap,
            bias_HTT=bias_HTT, sink_H=sink_H, is_causal=probed.is_causal,
            allowed_TT=None if probed.is_causal else probed.allowed(), prefix_GPK=prefix_GPK,
        ))


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
