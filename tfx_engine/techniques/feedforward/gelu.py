"""GELU feed-forward: widen, bend, narrow, for each token by itself.

What it is: a linear layer to a larger width f, the smooth gate GELU, and a linear layer back. Attention moves
information between tokens; this is where each token is worked on. It holds about two thirds of a block's weights. Each
of the f inner numbers can be read as a question put to the token's vector: one row of W₁ asks, the bend says how far
the answer is yes, and one column of W₂ is added to the stream to that extent.

Formula: y = W₂ · gelu(W₁ x), gelu(z) = z · Φ(z), Φ the normal distribution's. "tanh" is the approximation that GPT-2
used: z / 2 · (1 + tanh(sqrt(2 / π) · (z + 0.044715 z³))).

Unlike ReLU it has a gradient on both sides of zero, so no inner number is lost for good, and its slope is continuous.
The approximation differs from the exact form by less than 0.001; it is a matter of repeating a model to the last digit,
not of quality.

What it costs, per block: 2 · d · f parameters (and f + d biases), 4 · d · f FLOPs per token, and 2 · f kept activations
per token, before and after the bend.

When to choose it: to repeat GPT-2 (with tanh), BERT, ViT or Pythia, and as the plain baseline. When not: where
parameters are dear. Gated feed-forwards, SwiGLU and GEGLU, are reported to use the same number of them better.

Paper: Hendrycks, Gimpel, "Gaussian Error Linear Units" (2016), arXiv:1606.08415.
"""

from __future__ import annotations

import dataclasses

from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques.feedforward import (
    GELUS,
    PlainOptions,
    TwoLayers,
    tanh_gelu,
    two_layers,
    two_work,
    written_gelu,
)
from tfx_engine.techniques.tape import Tape, Value
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options(PlainOptions):
    """What can be chosen."""

    approximate: str = option(
        "none", kind="choice", label="approximation", choices=("none", "tanh"),
        help="none: the exact error function. tanh: the approximation of GPT-2.",
    )


def build(options: Options, config: Config) -> nn.Module:
    """A feed-forward of the model's width."""
    return two_layers(options, config, GELUS[options.approximate])


def reference(module: TwoLayers, x_BTD: Tensor) -> Tensor:
    """The formula, written out."""
    return module.down(written_gelu(module.up(x_BTD), "tanh" if module.bend is tanh_gelu else "none"))


def memory(tape: Tape, options: Options, x: Value) -> Value:
    """Keeps what goes into the curve, and what comes out."""
    return tape.linear("down", tape.bent(tape.linear("up", x)))


TECHNIQUE = Technique(
    module=__name__,
    slot="feedforward",
    order=0,
    title="GELU feed-forward",
    short="GELU",
    summary="Two linear layers with a smooth gate between them, for each token by itself.",
    paper="Hendrycks & Gimpel 2016, arXiv:1606.08415",
    guide=Guide(
        choose="you want the feed-forward of GPT-2, BERT and ViT.",
        avoid="parameters are dear: gated feed-forwards are reported to use the same number better.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    work=two_work,
    effects=(
        Effect(quantity="parameters", sign="+", formula="layers × (2 · width · inner width + biases)"),
        Effect(quantity="flops", sign="+", formula="per token and layer: 4 · width · inner width"),
        Effect(quantity="activations", sign="+", formula="per token and layer: 2 · inner width, 4 bytes each"),
    ),
)
