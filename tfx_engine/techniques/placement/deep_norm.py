"""DeepNorm: post-norm whose stream is scaled up and whose weights begin scaled down, so that it can be very deep.

What it is: post-norm fails in deep models because the first updates change the output too much, and the more the
deeper. DeepNorm bounds that change by a constant. It gives the stream a weight α > 1 against the branch, so that each
norm lets most of it through, and begins with smaller weights where branches act on it: values, attention output and
feed-forward are multiplied by β < 1, queries and keys are not.

Formula, per block:
    x = Norm(α · x + Attention(x))
    x = Norm(α · x + FeedForward(x))

For a model that is only a decoder or only an encoder, of L blocks: α = (2 L)^(1/4), β = (8 L)^(-1/4). At 12 blocks α is
2.21 and β 0.32; at 1000 they are 6.69 and 0.106.

What it costs: nothing beside post-norm: two norms per block, none at the end. α and β are constants. They belong
together: α without β leaves the branches too loud, β without α too quiet, so either both are derived from the depth or
both are given.

The paper begins from Xavier's normal distribution: `init = "xavier"`. With another `init` β multiplies what that one
gives. It multiplies linear layers only, by their part: of a gated feed-forward all three and of a mixture every expert
but not the router; of latent attention the layer that makes the values but not the one before it that makes the latent;
of differential attention values and output. A gate on attention and the recurrent cells of an LSTM in the attention's
place keep theirs. These are our readings: the paper knows multi-head attention and two feed-forward layers.

When to choose it: when you want post-norm's form and depth: the paper trains 1000 layers. Warm-up is still wise. When
not: shallow models, where plain post-norm does, or where pre-norm or peri-norm are accepted anyway; with weights that
were trained under another placement.

Paper: Wang and others, "DeepNet: Scaling Transformers to 1,000 Layers" (2022), arXiv:2203.00555.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.adapter import is_adapter
from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.placement import Parts, Placement, TwoBranches, norm_after
from tfx_engine.techniques.tape import Tape, Value
from tfx_engine.techniques.technique import Technique

_LOUD = (["value"], ["output"])  # what attention adds to the stream passes through these


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    alpha: float | None = option(
        None, kind="float", label="α", low=0.1, high=100.0, automatic="(2 · layers)^(1/4)",
        help="Weight of the stream against the branch in each sum.",
    )
    beta: float | None = option(
        None, kind="float", label="β", low=0.001, high=10.0, automatic="(8 · layers)^(-1/4)",
        help="Factor on the initial weights of values, attention output and feed-forward.",
    )


def check(options: Options, config: Config) -> Iterator[Problem]:
    """α and β only work together."""
    given, missing = ("alpha", "beta") if options.beta is None else ("beta", "alpha")
    if (options.alpha is None) != (options.beta is None):
        yield Problem(
            code="belongs-together", path=f"techniques.placement.{missing}",
            template="must be given where {given} is: one without the other is not DeepNorm.",
            hint_template="Give both, or leave both out: then they follow from the number of layers.",
            args={"given": given},
        )


class DeepNormBlock(nn.Module):
    """(stream, context) -> stream."""

    def __init__(self, parts: Parts, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha
        self.attention_norm = parts.make_norm()
        self.attention = parts.attention
        self.attention_residual = parts.make_connection("attention")
        self.feedforward_norm = parts.make_norm()
        self.feedforward = parts.feedforward
        self.feedforward_residual = parts.make_connection("feedforward")

    def forward(self, stream: Tensor, context: AttentionContext) -> Tensor:
        """Two residual branches, each sum normalised, the stream counting α times."""
        stream = self.attention_residual(stream, lambda x_BTD: self.attention(x_BTD, context), self.alpha)
        stream = self.attention_norm(stream)
        return self.feedforward_norm(self.feedforward_residual(stream, self.feedforward, self.alpha))


@dataclasses.dataclass
class DeepNorm(TwoBranches):
    """The placement: every block ends with a norm, so none stands before the head."""

    alpha: float
    beta: float
    final_norm = False

    def block(self, parts: Parts) -> nn.Module:
        """A block with this α."""
        return DeepNormBlock(parts, self.alpha)

    def gain(self, name: str) -> float:
        """β for the weights through which a branch reaches the stream."""
        path = name.split(".")
        if path[-1] != "weight" or is_adapter(name) or "router" in path:
            return 1.0
        return self.beta if "feedforward" in path or path[-2:-1] in _LOUD else 1.0


def build(options: Options, config: Config) -> Placement:
    """The placement for this depth."""
    layers = config.model.layers
    alpha = (2 * layers) ** 0.25 if options.alpha is None else options.alpha
    beta = (8 * layers) ** -0.25 if options.beta is None else options.beta
    return DeepNorm(alpha, beta)


def reference(block: DeepNormBlock, x_BTD: Tensor, context: AttentionContext) -> Tensor:
    """Step by step."""
    summed_BTD = block.attention(x_BTD, context).add(x_BTD, alpha=block.alpha)
    after_attention_BTD = block.attention_norm(summed_BTD)
    summed_BTD = block.feedforward(after_attention_BTD).add(after_attention_BTD, alpha=block.alpha)
    return block.feedforward_norm(summed_BTD)


def memory(tape: Tape, options: Options, stream: Value) -> Value:
    """A norm after each sum, whose first term is scaled."""
    alpha = (2 * tape.config.model.layers) ** 0.25 if options.alpha is None else options.alpha
    stream = tape.use("norm", tape.streams.join(tape, stream, lambda x: tape.use("mixer", x), alpha))
    out: Value = tape.use("norm", tape.streams.join(tape, stream, lambda x: tape.use("feedforward", x), alpha))
    return out


TECHNIQUE = Technique(
    module=__name__,
    slot="placement",
    order=5,
    title="DeepNorm",
    short="DeepNorm",
    summary="Post-norm for great depth: the stream counts α times, and the branches begin with smaller weights.",
    paper="Wang et al. 2022, arXiv:2203.00555",
    guide=Guide(
        choose="you want post-norm in a deep model.",
        avoid="the model is shallow, or its weights come from another placement.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    check=check,
    work=norm_after,
    effects=(
        Effect(quantity="parameters", sign="0", formula="no final norm, as post-norm"),
        Effect(quantity="gradients", sign="-", formula="the first updates change the output by a bounded amount"),
    ),
)
