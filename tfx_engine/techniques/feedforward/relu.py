"""ReLU feed-forward: widen, cut off what is negative, narrow, for each token by itself.

What it is: the feed-forward of the original transformer. A linear layer to a larger width f, the simplest of all bends,
and a linear layer back. What is negative becomes zero and has no gradient, what is positive passes as it is.

Formula: y = W₂ · max(0, W₁ x)

Half of the inner numbers, and in trained models often nine tenths, are exactly zero for a given token. So it can be
said which of them took part, and hardware or code that skips zeros can save their columns of W₂; here they are
multiplied all the same. The reverse of it: an inner number that is negative for all tokens has no gradient any more and
does not come back. With weights drawn as usual and a norm before the layer that is rare, and grows with large learning
rates.

What it costs, per block: 2 · d · f parameters (and f + d biases), 4 · d · f FLOPs per token. Its output alone is kept
for the gradient beside what the linear layers need, and that is the input of the second one: f activations per token,
half of GELU's.

When to choose it: to repeat the original transformer or OPT; where memory for activations is short; where the sparse
pattern is what you want to look at. When not: as a default, since GELU and the gated forms are reported to reach a
somewhat lower loss with the same weights. Its square (ReLU squared) keeps the zeros and does better.

Paper: Vaswani and others, "Attention Is All You Need" (2017), section 3.3, arXiv:1706.03762.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.feedforward import PlainOptions, TwoLayers, two_layers, two_memory, two_work
from tfx_engine.techniques.tape import Tape, Value
from tfx_engine.techniques.technique import Technique


def build(options: PlainOptions, config: Config) -> nn.Module:
    """A feed-forward of the model's width."""
    return two_layers(options, config, F.relu)


def reference(module: TwoLayers, x_BTD: Tensor) -> Tensor:
    """The formula, written out."""
    z_BTF = module.up(x_BTD)
    return module.down(z_BTF * (z_BTF > 0))


def memory(tape: Tape, options: PlainOptions, x: Value) -> Value:
    """Keeps what comes out of the curve alone."""
    return two_memory(tape, x, lambda z: tape.bent(z, of_result=True))


TECHNIQUE = Technique(
    module=__name__,
    slot="feedforward",
    order=3,
    title="ReLU feed-forward",
    short="ReLU",
    summary="Two linear layers; what is negative between them is cut off.",
    paper="Vaswani et al. 2017, arXiv:1706.03762",
    guide=Guide(
        choose="you repeat the original transformer or OPT, or want activations that are exactly zero.",
        avoid="you only want the lowest loss: smooth and gated forms do somewhat better.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=PlainOptions,
    work=two_work,
    effects=(
        Effect(quantity="parameters", sign="+", formula="layers × (2 · width · inner width + biases)"),
        Effect(quantity="flops", sign="+", formula="per token and layer: 4 · width · inner width"),
        Effect(quantity="activations", sign="-", formula="per token and layer: inner width, half of GELU's"),
    ),
)
