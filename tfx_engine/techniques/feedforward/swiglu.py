"""SwiGLU: one linear layer proposes, a second, bent by SiLU, decides how much of it passes, a third narrows.

What it is: the gated feed-forward of Llama, Mistral, Qwen and most language models since. Instead of bending its inner
numbers by themselves it multiplies them, one by one, with a gate computed from the same token. A product of two views
of a token can say "this and that", for which a plain feed-forward needs several inner numbers.

Formula: y = W₃ · (silu(W₁ x) ⊙ W₂ x), silu(z) = z · sigmoid(z)

W₁ is called gate, W₂ up, W₃ down here. There are three matrices instead of two, so that a fair comparison takes the
inner width f not 4 d but 2/3 of that, 8/3 · d, which has as many weights and FLOPs. It is rounded up to a convenient
multiple, 8 by default: hardware wants it so, and Llama 2 takes 256 (4096 becomes 11008).

What it costs, per block: 3 · d · f parameters, 6 · d · f FLOPs per token, and 4 · f kept activations per token, gate
before and after the bend, up, and their product. At f = 8/3 · d that is 10.7 · d numbers, where GELU at 4 · d keeps
8 · d: the same weights, a third more memory for activations.

Why it is better is not known; the paper says so itself ("we attribute their success ... to divine benevolence") and
reports a lower loss than ReLU and GELU at equal weights and time.

When to choose it: to train a language model of today, or to repeat one. When not: to repeat GPT-2 or BERT; where
activations fill the memory and recompute is no way out.

Paper: Shazeer, "GLU Variants Improve Transformer" (2020), arXiv:2002.05202.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.feedforward import (
    GatedLayers,
    GatedOptions,
    gated_layers,
    gated_memory,
    gated_work,
)
from tfx_engine.techniques.tape import Tape, Value
from tfx_engine.techniques.technique import Technique


def build(options: GatedOptions, config: Config) -> nn.Module:
    """A feed-forward of the model's width."""
    return gated_layers(options, config, F.silu)


def reference(module: GatedLayers, x_BTD: Tensor) -> Tensor:
    """The formula, written out."""
    z_BTF = module.gate(x_BTD)
    return module.down(z_BTF / (1 + torch.exp(-z_BTF)) * module.up(x_BTD))


def memory(tape: Tape, options: GatedOptions, x: Value) -> Value:
    """Keeps the gate, its curve, the other branch and their product."""
    return gated_memory(tape, x, tape.bent)


TECHNIQUE = Technique(
    module=__name__,
    slot="feedforward",
    order=1,
    title="SwiGLU",
    short="SwiGLU",
    summary="Two linear layers multiplied, one of them bent and a gate for the other, and a third that narrows.",
    paper="Shazeer 2020, arXiv:2002.05202",
    guide=Guide(
        choose="you train a language model of today: Llama, Mistral and Qwen have it.",
        avoid="activations fill the memory: with the same weights it keeps a third more than GELU.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=GatedOptions,
    work=gated_work,
    effects=(
        Effect(quantity="parameters", sign="+", formula="layers × (3 · width · inner width + biases)"),
        Effect(quantity="flops", sign="+", formula="per token and layer: 6 · width · inner width"),
        Effect(quantity="activations", sign="+", formula="per token and layer: 4 · inner width, 4 bytes each"),
    ),
)
