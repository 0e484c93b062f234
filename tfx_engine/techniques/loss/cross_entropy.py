"""Cross-entropy: the surprise at the right answer.

What it is: the negative logarithm of the probability that the model gives to the target, in nats, as a mean over the
targets that count. It is 0 for a model that is always sure and right, and ln V for one that knows nothing: 5.55 for
bytes. Divided by ln 2 it is bits, the length of the text when a perfect coder uses the model's probabilities; divided
also by the bytes of a token it can be compared between tokenizers. exp(loss) is the perplexity.

Label smoothing spreads a share ε of the target over all tokens, so that the model is not driven to certainty; losses
with and without it cannot be compared, and neither can perplexities. The z-loss keeps the logarithm of the softmax's
denominator Z near zero, so that logits do not drift away together, which the softmax does not notice but 16-bit numbers
do. The held-out loss is always the plain cross-entropy, so that runs stay comparable.

Formula: loss = -log softmax(z)[target];  smoothed: (1 - ε) of it + ε / V of all tokens;  z-loss: + c · log² Z

What it costs: logits of the whole vocabulary for every token, in float32 whatever the model computes in, and what the
softmax keeps for the backward pass: 2 · V numbers per token. With a vocabulary of 50,000 and 8 × 1024 tokens that is
3.3 GB, more than all blocks of a small model keep.

Choose it as long as the logits fit: it is the plainest and the fastest. Where they fill the memory,
`chunked_cross_entropy` gives the same loss without them. It serves classes as well as tokens.

Paper: Szegedy and others (2015), arXiv:1512.00567 (smoothing); Chowdhery and others, "PaLM" (2022), arXiv:2204.02311
(z-loss).
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.loss import (
    Loss,
    LossOptions,
    nats_memory,
    predictions,
    reference_of,
    shifted,
    sum_of_nats,
)
from tfx_engine.techniques.ranges import doing
from tfx_engine.techniques.tape import Tape, Value
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class CrossEntropy:
    """The loss over the whole vocabulary at once."""

    options: LossOptions
    implementation: str = "whole logits"
    is_one_graph: bool = True

    def __call__(self, head: nn.Module, x_BTD: Tensor, targets_BT: Tensor, counted: Tensor) -> Tensor:
        """Nats, in float32 or better."""
        total = x_BTD.new_zeros((), dtype=torch.promote_types(x_BTD.dtype, torch.float32))
        for prediction in predictions(head, x_BTD):
            with doing("head"):
                logits = (prediction.head or head).project(prediction.x_BTD)
            nats = sum_of_nats(logits, shifted(targets_BT, prediction.shift), self.options)
            total = total + prediction.weight * nats
        return total / counted


def build(options: LossOptions, config: Config) -> Loss:
    """The loss."""
    return CrossEntropy(options)


reference = reference_of


def memory(tape: Tape, options: LossOptions, x: Value) -> Value:
    """All logits at once."""
    nats: Value = tape.use("head", x, lambda project, x: nats_memory(tape, options, project(x)))
    return nats


TECHNIQUE = Technique(
    module=__name__,
    slot="loss",
    order=0,
    title="Cross-entropy",
    short="cross-entropy",
    summary="The surprise at the right answer, in nats.",
    paper="Szegedy et al. 2015, arXiv:1512.00567",
    guide=Guide(
        choose="you want the standard.",
        avoid="the vocabulary is large and its logits fill the memory.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=LossOptions,
    effects=(Effect(quantity="activations", sign="+", formula="2 · vocabulary numbers per token"),),
)
