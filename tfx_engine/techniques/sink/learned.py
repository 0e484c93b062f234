"""Learned sink: each head learns how easily it looks at nothing.

What it is: every head has one trained number s. It enters the softmax like the score of one more key, but has no value:
what falls to it is gone. Where all scores of a query lie below s, the head abstains; where one rises above, that key
takes over. With s at minus infinity it would be the plain softmax, with s = 0 the off-by-one softmax, where it begins
here.

It replaces what trained models do on their own, which is to use the first token as a place for weight that they do not
need. gpt-oss has such sinks in all its layers, half of which see only a short window: there the first token would soon
be out of sight, and the sink travels along.

Formula: wᵢⱼ = exp(sᵢⱼ) / (exp(s) + Σⱼ exp(sᵢⱼ)), with one s per head and layer.

What it costs: one parameter per head and layer. The sink is a key of zeros before the others, with its own column in a
mask that is written out, heads × T × (T + 1) numbers per layer, which also get a gradient. The fused kernels' own
causal mask cannot be used any more, and those that take no mask, or none that is trained, not at all; the run shows
which one was used.

Choose it together with a sliding window, or to repeat gpt-oss; and wherever weights on the first token are a nuisance,
as in generation that goes on without end. Rather not where training speed is everything: a gate on the attention's
output is another way to let a head be silent, and leaves the fused kernels as they are.

Paper: OpenAI, "gpt-oss-120b & gpt-oss-20b Model Card" (2025), arXiv:2508.10925; attention sinks: Xiao, Tian, Chen,
Han, Lewis, "Efficient Streaming Language Models with Attention Sinks" (2023), arXiv:2309.17453.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.tape import Tape, Weight
from tfx_engine.techniques.technique import NoOptions, Technique


class LearnedSink(nn.Module):
    """() -> logit_H."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.logit_H = nn.Parameter(torch.empty(heads))

    def forward(self) -> Tensor:
        """The trained numbers."""
        return self.logit_H

    def initialise_parameter(self, name: str, parameter: Tensor, generator: torch.Generator) -> bool:
        """Zero: the off-by-one softmax."""
        parameter.zero_()
        return True


def build(options: NoOptions, config: Config, heads: int) -> nn.Module:
    """The sink."""
    return LearnedSink(heads)


def reference(module: LearnedSink, scores_HTS: Tensor) -> Tensor:
    """Head by head, with one more term in the denominator [H, T, S]."""
    return torch.stack([
        scores_TS.exp() / (logit.exp() + scores_TS.exp().sum(dim=-1, keepdim=True))
        for logit, scores_TS in zip(module.logit_H, scores_HTS, strict=True)
    ])


def memory(tape: Tape, options: NoOptions) -> tuple[Weight, ...]:
    """One number for each head."""
    return tape.parameter("logit", tape.config.model.heads)


TECHNIQUE = Technique(
    module=__name__,
    slot="sink",
    order=2,
    title="Learned sink",
    short="learned",
    summary="Each head learns a number that competes with its scores, so that it may look at nothing.",
    paper="OpenAI 2025, arXiv:2508.10925",
    guide=Guide(
        choose="windows slide out of sight of the first token, or you repeat gpt-oss.",
        avoid="speed matters: the mask has to be written out, and it has a gradient.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    params=lambda options, config: config.model.layers * config.model.heads,
    effects=(
        Effect(quantity="parameters", sign="+", formula="layers × heads"),
        Effect(quantity="activations", sign="+", formula="per layer: a mask of heads × T × (T + 1) numbers"),
        Effect(quantity="time", sign="+", formula="one more key, no causal shortcut, a gradient of the mask"),
    ),
)
