"""Gate per head: each head is turned up or down as a whole.

What it is: a small linear layer looks at the same input as the attention and makes one number per head, which a sigmoid
brings between 0 and 1. What the head read is multiplied by it. So a token can switch off a head that has nothing to say
to it, after the reading and not within the softmax.

Two things come of that. A head no longer needs a token to dump its weight on: it looks wherever it likes and is then
turned down, and the attention sinks of trained models disappear. And between values and output, which are two linear
maps in a row, there now stands something that is not linear. The authors, who compared more than thirty places and
forms of gates in large models, found a gate right behind the attention the best, with better loss and steadier
training; the form per element is the richer one, this one the cheaper.

Formula: y = sigmoid(W x + b) · attention(x), one factor for all columns of a head.

What it costs, per block: d · h parameters (and h biases), 2 · d · h FLOPs per token, and the gates and the attention's
output as activations. It works behind every kernel, since the scores know nothing of it.

Choose it as a cheap cure for attention sinks and for loss spikes at high learning rates. Rather not where a plain
baseline is needed, or for a repeat of models without it; where parameters are no matter, the gate per element does
more. Gates begin near one half, so outputs begin at about half their size.

Paper: Qiu and others, "Gated Attention for Large Language Models: Non-linearity, Sparsity, and Attention-Sink-Free"
(2025), arXiv:2505.06708.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques.costs import Linear, Work, bias_of
from tfx_engine.techniques.counts import head_shape
from tfx_engine.techniques.scores import HeadShape
from tfx_engine.techniques.tape import Tape, Value
from tfx_engine.techniques.technique import Technique

# B batch, T tokens, D width of the model, H heads, V width of a head's values


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    bias: bool | None = option(
        None, kind="bool", label="bias", automatic="as the model's biases", help="A bias in the gate's linear layer.",
    )


class PerHeadGate(nn.Module):
    """(x_BTD, y_BHTV) -> y_BHTV."""

    def __init__(self, width: int, heads: int, bias: bool) -> None:
        super().__init__()
        self.projection = nn.Linear(width, heads, bias)

    def forward(self, x_BTD: Tensor, y_BHTV: Tensor) -> Tensor:
        """Each head times its gate."""
        return y_BHTV * torch.sigmoid(self.projection(x_BTD)).transpose(1, 2).unsqueeze(-1)


def build(options: Options, config: Config, shape: HeadShape) -> nn.Module:
    """A gate for each head of the result."""
    return PerHeadGate(config.model.width, shape.result_heads, bias_of(options.bias, config))


def reference(module: PerHeadGate, x_BTD: Tensor, y_BHTV: Tensor) -> Tensor:
    """Head by head."""
    gate_BTH = 1 / (1 + (-module.projection(x_BTD)).exp())
    return torch.stack([y_BHTV[:, h] * gate_BTH[:, :, h, None] for h in range(y_BHTV.shape[1])], dim=1)


def work(options: Options, config: Config) -> Work:
    """The gate's linear layer."""
    heads = head_shape(config).result_heads
    return Work((Linear("gate", config.model.width, heads, bias_of(options.bias, config), adaptable=False),))


def memory(tape: Tape, options: Options, x: Value, y: Value) -> Value:
    """Keeps the gate, and what it lets through."""
    gate = tape.bent(tape.linear("gate", x), of_result=True)
    return tape.make(y, gate, saves=(y, gate), back=y.bytes)


TECHNIQUE = Technique(
    module=__name__,
    slot="gate",
    order=1,
    title="Gate per head",
    short="per head",
    summary="Each head's result is turned up or down as a whole, by a gate that looks at the token.",
    paper="Qiu et al. 2025, arXiv:2505.06708",
    guide=Guide(
        choose="heads pile their weight on the first token, or training is unstable, and parameters are dear.",
        avoid="you need a plain baseline; where parameters are no matter, the gate per element does more.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    work=work,
    effects=(
        Effect(quantity="parameters", sign="+", formula="layers × heads · (width + 1 with a bias)"),
        Effect(quantity="flops", sign="+", formula="per token and layer: 2 · width · heads"),
        Effect(quantity="activations", sign="+", formula="per token and layer: the gates, and the result before them"),
    ),
)
