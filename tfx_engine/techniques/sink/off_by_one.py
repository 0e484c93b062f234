"""Off-by-one softmax: a head may look at nothing.

What it is: one more term stands in the softmax's denominator, as if there were a further key whose score is always 0
and whose value is zero. The weights of a query then add up to less than one, and to almost nothing where all its scores
are far below 0. The plain softmax cannot do that: it must give its whole weight away even if nothing fits, and trained
models learn to dump it on some token that does little harm, mostly the first.

Those dumps are more than untidy. The token that takes them grows enormous activations, which are hard to round to few
bits, and a model that was trained with them loses its way when the first token falls out of the window. Giving the
unused weight a place of its own is the smallest possible repair: nothing is learned, nothing is added but a one.

Formula: wᵢⱼ = exp(sᵢⱼ) / (1 + Σⱼ exp(sᵢⱼ))

What it costs: no parameters. The extra key is put before the others, with its own column in a mask that is written
out, heads × T × (T + 1) numbers per layer; the fused kernels' own causal mask cannot be used any more, and those that
take no mask not at all. The run shows which kernel was used.

Choose it to see what a head does that may abstain, or to train models without outlying activations. Rather not to
repeat published models: those have either no sink or a learned one. A trained model cannot simply be switched over; it
has to be trained with it.

Paper: Miller, "Attention Is Off By One" (2023), an essay; the observation behind it: Xiao, Tian, Chen, Han, Lewis,
"Efficient Streaming Language Models with Attention Sinks" (2023), arXiv:2309.17453.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.technique import NoOptions, Technique


class OffByOne(nn.Module):
    """() -> logit_H: always 0."""

    logit_H: Tensor

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.register_buffer("logit_H", torch.zeros(heads, device="cpu"), persistent=False)

    def forward(self) -> Tensor:
        """Zeros."""
        return self.logit_H


def build(options: NoOptions, config: Config, heads: int) -> nn.Module:
    """The sink."""
    return OffByOne(heads)


def reference(module: OffByOne, scores_HTS: Tensor) -> Tensor:
    """The softmax with one more in its denominator [H, T, S]."""
    return scores_HTS.exp() / (1 + scores_HTS.exp().sum(dim=-1, keepdim=True))


TECHNIQUE = Technique(
    module=__name__,
    slot="sink",
    order=1,
    title="Off-by-one softmax",
    short="off by one",
    summary="One more in the softmax's denominator: a head may look at nothing.",
    paper="Miller 2023; Xiao et al. 2023, arXiv:2309.17453",
    guide=Guide(
        choose="heads pile their weight on the first token, and activations should have no outliers.",
        avoid="a trained model is to be continued, or speed matters: the mask has to be written out.",
    ),
    build=build,
    reference=reference,
    effects=(
        Effect(quantity="parameters", sign="0", formula="0"),
        Effect(quantity="activations", sign="+", formula="per layer: a mask of heads × T × (T + 1) numbers"),
        Effect(quantity="time", sign="+", formula="one more key, and no causal shortcut"),
    ),
)
