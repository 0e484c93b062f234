"""ReLU squared: widen, cut off what is negative and square the rest, narrow.

What it is: the ReLU feed-forward with its bend squared. It was not invented but found: a search over small changes of
the transformer's code, judged by how soon a language model reaches a given loss, came back with it as its most useful
change. Nemotron uses it in large models, and so do the fastest recipes for small ones.

Formula: y = W₂ · max(0, W₁ x)²

Squaring makes the slope continuous at zero and lets strong answers count for more than weak ones: an inner number that
is twice as large adds four times as much. It can be read as a gated form whose gate and value share their weights,
relu(z) · z, which is why it comes near SwiGLU without a third matrix. The zeros of ReLU stay exactly zero.

What it costs, per block: 2 · d · f parameters (and f + d biases), 4 · d · f FLOPs per token, and about 2 · f kept
activations per token: the rectified numbers for the square's gradient and the squares for the second layer.

What to watch: squares grow fast. The output's size goes with the square of W₁, so too large a learning rate shows here
sooner than with GELU, and in 16 bits with a short exponent (float16) large numbers overflow. A norm before the layer
and clipping of gradients keep it in bounds.

When to choose it: small and middle models trained from scratch, where two matrices are simpler than three. When not: to
repeat a published model with another bend, or in float16.

Paper: So and others, "Primer: Searching for Efficient Transformers for Language Modeling" (2021), arXiv:2109.08668.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.feedforward import PlainOptions, TwoLayers, two_layers, two_memory, two_work
from tfx_engine.techniques.tape import Tape, Value
from tfx_engine.techniques.technique import Technique


def relu_squared(z: Tensor) -> Tensor:
    """max(0, z)²."""
    return F.relu(z).square()


def build(options: PlainOptions, config: Config) -> nn.Module:
    """A feed-forward of the model's width."""
    return two_layers(options, config, relu_squared)


def reference(module: TwoLayers, x_BTD: Tensor) -> Tensor:
    """A gate that shares its weights with what it gates."""
    z_BTF = module.up(x_BTD)
    return module.down(z_BTF.clamp(min=0) * z_BTF)


def memory(tape: Tape, options: PlainOptions, x: Value) -> Value:
    """Keeps what comes out of the curve, and its square."""
    return two_memory(tape, x, lambda z: tape.bent(tape.bent(z, of_result=True), back=2))


TECHNIQUE = Technique(
    module=__name__,
    slot="feedforward",
    order=4,
    title="ReLU squared",
    short="ReLU²",
    summary="Two linear layers; what is negative between them is cut off, the rest squared.",
    paper="So et al. 2021, arXiv:2109.08668",
    guide=Guide(
        choose="you train a small model from scratch and want nearly SwiGLU with two matrices.",
        avoid="you compute in float16, or repeat a model with another bend.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=PlainOptions,
    work=two_work,
    effects=(
        Effect(quantity="parameters", sign="+", formula="layers × (2 · width · inner width + biases)"),
        Effect(quantity="flops", sign="+", formula="per token and layer: 4 · width · inner width"),
        Effect(quantity="activations", sign="+", formula="per token and layer: 2 · inner width, 4 bytes each"),
    ),
)
