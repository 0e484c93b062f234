"""No positions: the model is not told where a token stands.

What it is: nothing is added to the token vectors. With a causal mask the model can still learn order, because each
token sees a different number of predecessors. Without a mask it cannot: attention treats its input as a bag, so a
shuffled sentence gives the same output, shuffled.

Formula: y = x

What it costs: nothing. It is the baseline against which the other encodings show what they buy.

Paper: Haviv, Ram, Press, Izsak, Levy, "Transformer Language Models without Positional Encodings Still Learn
Positional Information" (2022), arXiv:2203.16634. Kazemnejad and others, "The Impact of Positional Encoding on Length
Generalization in Transformers" (2023), arXiv:2305.19466.
"""

from __future__ import annotations

from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide, Rule
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.position import Position, Positioned
from tfx_engine.techniques.technique import NoOptions, Technique


def build(options: NoOptions, config: Config) -> Position:
    """A module that changes nothing."""
    return Position()


def reference(module: Position, x_BTD: Tensor, q_BHTK: Tensor, k_BGTK: Tensor, layer: int) -> Positioned:
    """The inputs themselves."""
    return Positioned(x_BTD.clone(), q_BHTK.clone(), k_BGTK.clone(), None)


TECHNIQUE = Technique(
    module=__name__,
    slot="position",
    order=0,
    title="No positions",
    short="none",
    summary="The model is not told where a token stands; a causal mask alone hints at it.",
    paper="Haviv et al. 2022, arXiv:2203.16634",
    guide=Guide(
        choose="you want to see what positions are worth, or test how well a causal model does without them.",
        avoid="order matters and training is short: learning order from the mask alone takes many steps.",
    ),
    build=build,
    reference=reference,
    excludes=(
        Rule(
            slot="mask",
            names=("bidirectional",),
            reason="without positions and without a mask the model cannot tell any order of the tokens.",
        ),
    ),
    effects=(Effect(quantity="parameters", sign="0", formula="0"),),
)
