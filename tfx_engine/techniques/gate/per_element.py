"""Gate per element: every column of what attention read has a gate of its own.

What it is: a linear layer as large as the query projection looks at the same input as the attention and makes one
number per head and column, which a sigmoid brings between 0 and 1. What was read is multiplied by it, column by column,
before the output projection. A token can so take from each head the part that it can use and hold back the rest.

The gate stands where two linear maps, values and output, would otherwise follow each other directly and could be
multiplied into one of low rank; with it the path is no longer linear. And since a head can be silenced after the
reading, it need not dump its weight on some harmless token: the attention sinks of trained models disappear, and with
them the outliers in the activations. In the authors' comparison of more than thirty variants this was the best place
and form, with lower loss and steadier training at high rates. Qwen3-Next uses it.

Formula: y = sigmoid(W x + b) ⊙ attention(x), with one factor per head and column.

What it costs, per block: d · h · v parameters (and h · v biases), a fifth projection of the size of the query's, with
2 · d · h · v FLOPs per token; activations grow by the gates and the result before them. It works behind every kernel,
since the scores know nothing of it.

Choose it for models that are trained for long and at high learning rates, and where sinks are in the way, as in
quantisation or generation over long contexts. Rather not without giving the baseline the same number of parameters: a
quarter more in the attention is part of what it gains. The gate per head costs almost nothing.

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
from tfx_engine.techniques.attention import split_heads
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


class PerElementGate(nn.Module):
    """(x_BTD, y_BHTV) -> y_BHTV."""

    def __init__(self, width: int, heads: int, value_width: int, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.projection = nn.Linear(width, heads * value_width, bias)

    def forward(self, x_BTD: Tensor, y_BHTV: Tensor) -> Tensor:
        """Each column of each head times its gate."""
        return y_BHTV * torch.sigmoid(split_heads(self.projection(x_BTD), self.heads))


def build(options: Options, config: Config, shape: HeadShape) -> nn.Module:
    """A gate for each column of the result."""
    bias = bias_of(options.bias, config)
    return PerElementGate(config.model.width, shape.result_heads, shape.result_width, bias)


def reference(module: PerElementGate, x_BTD: Tensor, y_BHTV: Tensor) -> Tensor:
    """Head by head."""
    gate_BTM = 1 / (1 + (-module.projection(x_BTD)).exp())
    v = y_BHTV.shape[-1]
    return torch.stack([y_BHTV[:, h] * gate_BTM[..., h * v : (h + 1) * v] for h in range(y_BHTV.shape[1])], dim=1)


def work(options: Options, config: Config) -> Work:
    """The gate's linear layer."""
    shape, bias = head_shape(config), bias_of(options.bias, config)
    outputs = shape.result_heads * shape.result_width
    return Work((Linear("gate", config.model.width, outputs, bias, adaptable=False),))


def memory(tape: Tape, options: Options, x: Value, y: Value) -> Value:
    """Keeps the gate, and what it lets through."""
    return tape.times(y, tape.bent(tape.linear("gate", x), of_result=True))


TECHNIQUE = Technique(
    module=__name__,
    slot="gate",
    order=2,
    title="Gate per element",
    short="per element",
    summary="Every column of what attention read has a gate of its own, which looks at the token.",
    paper="Qiu et al. 2025, arXiv:2505.06708",
    guide=Guide(
        choose="training is long and at high rates, or attention sinks and outliers are in the way.",
        avoid="parameters are dear: it is a fifth projection; the gate per head costs almost nothing.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    work=work,
    effects=(
        Effect(quantity="parameters", sign="+", formula="layers × heads · value width · (width + 1 with a bias)"),
        Effect(quantity="flops", sign="+", formula="per token and layer: 2 · width · heads · value width"),
        Effect(quantity="activations", sign="+", formula="per token and layer: the gates, and the result before them"),
    ),
)
