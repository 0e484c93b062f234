"""From queries, keys and values to what attention read: every slot that acts on the scores, in one place.

The order, for each layer: queries and keys are normed (`qk_norm`) and rotated (`position`); the scores q · k * scale
are capped (`softcap`); positions add their bias; mask and `window` forbid keys; the softmax may have a `sink`; the
result may be gated (`gate`). The `kernel` does the work. Attention techniques project, call `prepare`, `attend` and
`gated`, and know nothing of any of these.

Shapes: B batch, T tokens, H query heads, G key heads (H a multiple of G), K head width, V value width, P prefix.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tfx_engine.techniques import probe
from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.kernel import Kernel, Reach, Scoring
from tfx_engine.techniques.ranges import doing


@dataclasses.dataclass(frozen=True)
class HeadShape:
    """The heads of one attention layer."""

    heads: int
    key_heads: int
    width: int  # of queries and keys
    value_width: int
    scale: float | None = None  # on the products of queries and keys; None: what the slot `init` says
    results: int = 0  # heads of what the gate sees, where several maps make one of them; 0: as many as `heads`

    @property
    def result_heads(self) -> int:
        """Heads of what the gate sees."""
        return self.results or self.heads

    @property
    def result_width(self) -> int:
        """Width of each of them."""
        return self.heads * self.value_width // self.result_heads


MakeScores = Callable[[HeadShape], "Scores"]  # what an attention technique's `build` is given


class Scores(nn.Module):
    """The scores of layer number `layer` (from 0); modules that a configuration does not use are None."""

    def __init__(
        self, *, layer: int, scale: float, kernel: Kernel, window: int | None,
        softcap: Callable[[Tensor], Tensor] | None, qk_norm: nn.Module | None, sink: nn.Module | None,
        gate: nn.Module | None,
    ) -> None:
        super().__init__()
        self.layer, self.label, self.scale = layer, f"block {layer + 1}", scale
        self.kernel, self.window, self.softcap = kernel, window, softcap
        self.qk_norm, self.sink, self.gate = qk_norm, sink, gate
        self.prefix: nn.Module | None = None  # an adapter's: batch size -> keys_BGPK, values_BGPV before all others
        self.used = ""  # the kernel that the last forward pass really took

    def rotate(self, q_BHTK: Tensor, k_BGTK: Tensor, context: AttentionContext) -> tuple[Tensor, Tensor]:
        """Queries and keys, or the part of them that is to know its position, as this layer's positions turn them."""
        with doing("position"):
            return context.position.rotate(q_BHTK, k_BGTK, self.layer)

    def prepare(self, q_BHTK: Tensor, k_BGTK: Tensor, context: AttentionContext) -> tuple[Tensor, Tensor]:
        """Queries and keys as the scores see them."""
        if self.qk_norm is not None:
            q_BHTK, k_BGTK = self.qk_norm(q_BHTK, k_BGTK)
        return self.rotate(q_BHTK, k_BGTK, context)

    def attend(
        self, q_BHTK: Tensor, k_BGTK: Tensor, v_BGTV: Tensor, context: AttentionContext, part: str = ""
    ) -> Tensor:
        """y_BHTV. `part` tells several attentions of one layer apart in what probes record."""
        if probe.recorder is not None:
            probe.recorder.record(self._probed(q_BHTK, k_BGTK, context, part))
        bias, is_causal = self._bias(q_BHTK, context)
        if self.prefix is not None and bias is not None:
            keys_BGPK, values_BGPV = self.prefix(q_BHTK.shape[0])
            k_BGTK, v_BGTV, bias = _behind(keys_BGPK, values_BGPV, k_BGTK, v_BGTV, bias)
        if self.sink is not None and bias is not None:
            k_BGTK, v_BGTV, bias = _with_sink(self.sink(), k_BGTK, v_BGTV, bias)
        scoring = Scoring(
            scale=self.scale, is_causal=is_causal, bias=bias, softcap=self.softcap, reach=self._reach(q_BHTK, context)
        )
        with doing("kernel"):
            y_BHTV, self.used = self.kernel.attend(q_BHTK, k_BGTK, v_BGTV, scoring)
        return y_BHTV

    def gated(self, x_BTD: Tensor, y_BHTV: Tensor) -> Tensor:
        """The result of `attend` after the gate, which looks at the layer's input."""
        return y_BHTV if self.gate is None else self.gate(x_BTD, y_BHTV)

    def _bias(self, q_BHTK: Tensor, context: AttentionContext) -> tuple[Tensor | None, bool]:
        """(what is added to the scores, [T, T] or [H, T, T], -inf forbids; whether it is the causal mask instead).

        Where there is a sink or a prefix, it is always written out: the kernels' own mask knows only square scores.
        """
        window = self._window(q_BHTK)
        plain = window is None and self.sink is None and self.prefix is None and not context.is_biased(q_BHTK)
        if plain and context.mask.is_causal:
            return None, True
        if plain and context.mask.is_full:
            return None, False
        return context.written(q_BHTK, window), False

    def _reach(self, q_BHTK: Tensor, context: AttentionContext) -> Reach | None:
        """What of the bias is a mask that kernels know by name."""
        if not (context.mask.is_causal or context.mask.is_full):
            return None
        is_all = self.sink is None and not context.is_biased(q_BHTK)
        return Reach(context.mask.is_causal, self._window(q_BHTK), is_all)

    def _window(self, q_BHTK: Tensor) -> int | None:
        """The window, where it hides anything."""
        return self.window if self.window is not None and self.window < q_BHTK.shape[2] else None

    def _probed(self, q_BHTK: Tensor, k_BGTK: Tensor, context: AttentionContext, part: str) -> probe.Probed:
        tokens, window = q_BHTK.shape[2], self._window(q_BHTK)
        return probe.Probed(
            layer=self.label + part, q_BHTK=q_BHTK, k_BGTK=k_BGTK, scale=self.scale, softcap=self.softcap,
            bias_HTT=context.bias(q_BHTK), sink_H=None if self.sink is None else self.sink(),
            is_causal=context.mask.is_causal and window is None,
            allowed=lambda: context.allowed(tokens, q_BHTK.device, window),
            prefix_GPK=None if self.prefix is None else self.prefix(1)[0][0],
        )


class KernelUse(NamedTuple):
    """The kernel of one attention layer in the last forward pass."""

    layer: str
    used: str
    asked: str  # empty where torch was free to choose
    reason: str  # why the one that was asked for was not used


def kernel_use(model: nn.Module) -> list[KernelUse]:
    """Of every attention layer that has run, in order."""
    layers = [m for m in model.modules() if isinstance(m, Scores) and m.used]
    return [KernelUse(m.label, m.used, m.kernel.asked, m.kernel.reason) for m in layers]


def _behind(
    keys_BGPK: Tensor, values_BGPV: Tensor, k_BGTK: Tensor, v_BGTV: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Keys, values and bias with a prefix before them that every query may look at."""
    keys = torch.cat([keys_BGPK.to(k_BGTK.dtype), k_BGTK], dim=2)  # under autocast the others are in 16 bits
    values = torch.cat([values_BGPV.to(v_BGTV.dtype), v_BGTV], dim=2)
    return keys, values, F.pad(bias, (keys_BGPK.shape[2], 0))


def _with_sink(logit_H: Tensor, k_BGTK: Tensor, v_BGTV: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A key of zeros with a value of zeros, whose score is the logit: it takes weight and gives nothing."""
    k_BGTK, v_BGTV = F.pad(k_BGTK, (0, 0, 1, 0)), F.pad(v_BGTV, (0, 0, 1, 0))
    bias_HTS = bias.expand(logit_H.shape[0], *bias.shape[-2:])
    column_HT1 = logit_H.to(bias.dtype)[:, None, None].expand(-1, bias_HTS.shape[1], 1)
    return k_BGTK, v_BGTV, torch.cat([column_HT1, bias_HTS], dim=2)
