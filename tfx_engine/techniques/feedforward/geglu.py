"""GEGLU: a gated feed-forward whose gate is bent by GELU.

What it is: one linear layer proposes inner numbers, a second, bent by GELU, decides how much of each passes, a third
narrows their product back to the model's width. It differs from SwiGLU in nothing but the bend, and behaves nearly the
same. Gemma 1 to 3 have it with the tanh approximation, and so has T5 in its version 1.1.

Formula: y = W₃ · (gelu(W₁ x) ⊙ W₂ x), gelu(z) = z · Φ(z), Φ the normal distribution's. "tanh" is the approximation
z / 2 · (1 + tanh(sqrt(2 / π) · (z + 0.044715 z³))).

W₁ is called gate, W₂ up, W₃ down here. As with every gated form there are three matrices instead of two; the inner
width is therefore 8/3 · d unless it is given, rounded up to a multiple of 8, which makes as many weights as a plain
feed-forward of 4 · d. Gemma goes its own way and takes eight times the width and more.

What it costs, per block: 3 · d · f parameters, 6 · d · f FLOPs per token, and 4 · f kept activations per token, gate
before and after the bend, up, and their product. The exact error function is somewhat dearer to compute than SiLU's
exponential; beside the matrix products neither counts for much.

The paper reports the lowest loss of all its variants for GEGLU and SwiGLU, so close together that the difference means
nothing.

When to choose it: to repeat Gemma (with tanh) or T5 1.1. When not: you are free to choose; then take SwiGLU, for which
there are more models to compare with and more fused kernels.

Paper: Shazeer, "GLU Variants Improve Transformer" (2020), arXiv:2002.05202.
"""

from __future__ import annotations

import dataclasses

from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques.feedforward import (
    GELUS,
    GatedLayers,
    GatedOptions,
    gated_layers,
    gated_memory,
    gated_work,
    tanh_gelu,
    written_gelu,
)
from tfx_engine.techniques.tape import Tape, Value
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options(GatedOptions):
    """What can be chosen."""

    approximate: str = option(
        "none", kind="choice", label="approximation", choices=("none", "tanh"),
        help="none: the exact error function. tanh: the approximation, as in Gemma.",
    )


def build(options: Options, config: Config) -> nn.Module:
    """A feed-forward of the model's width."""
    return gated_layers(options, config, GELUS[options.approximate])


def reference(module: GatedLayers, x_BTD: Tensor) -> Tensor:
    """The formula, written out."""
    gate_BTF = written_gelu(module.gate(x_BTD), "tanh" if module.bend is tanh_gelu else "none")
    return module.down(gate_BTF * module.up(x_BTD))


def memory(tape: Tape, options: Options, x: Value) -> Value:
    """Keeps the gate, its curve, the other branch and their product."""
    return gated_memory(tape, x, tape.bent)


TECHNIQUE = Technique(
    module=__name__,
    slot="feedforward",
    order=2,
    title="GEGLU",
    short="GEGLU",
    summary="Two linear layers multiplied, one of them bent by GELU as a gate for the other, and a third that narrows.",
    paper="Shazeer 2020, arXiv:2002.05202",
    guide=Guide(
        choose="you repeat Gemma or T5 1.1.",
        avoid="you are free to choose: SwiGLU does the same and is more common.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    work=gated_work,
    effects=(
        Effect(quantity="parameters", sign="+", formula="layers × (3 · width · inner width + biases)"),
        Effect(quantity="flops", sign="+", formula="per token and layer: 6 · width · inner width"),
        Effect(quantity="activations", sign="+", formula="per token and layer: 4 · inner width, 4 bytes each"),
    ),
)
