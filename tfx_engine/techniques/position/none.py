"""No positions: the model is not told where a token stands.

What it is: nothing is added to the token vectors and nothing to the scores. With a causal mask the model can still
learn order, because each token sees a different number of predecessors: a head that spreads its weight evenly over
what it sees already tells the first token from the hundredth, and later blocks can build on that. Without a causal mask
it cannot: attention treats its input as a bag, and a shuffled sentence gives the same output, shuffled. With the
bidirectional mask it can be tried, to see just that, and is warned of; the prefix mask, whose prefix would be such a
bag, is refused.

Formula: y = x, and score(i, j) = q_i · k_j / sqrt(k).

What it costs: nothing, in parameters, memory or time. What it takes is training: order has to be discovered before it
can be used, and a short run may end before that.

Choose it as the baseline against which the other positions show what they buy, or to study how well a causal model
generalises to lengths that it was not trained on. Kazemnejad and others report that on small reasoning tasks of growing
length decoders without positions did best; that was found on models and tasks of that kind, and nothing guarantees it
elsewhere: beyond the training length the loss of a language model without positions can rise as well. Rather not when
a model is to be good after few steps, or when it has no causal mask. Several recent models take a middle way and
leave positions out in some of their layers only; rotary positions have an option for that.

Paper: Haviv, Ram, Press, Izsak, Levy, "Transformer Language Models without Positional Encodings Still Learn
Positional Information" (2022), arXiv:2203.16634. Kazemnejad and others, "The Impact of Positional Encoding on Length
Generalization in Transformers" (2023), arXiv:2305.19466.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide, Rule
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.claims import TellsNoOrder
from tfx_engine.techniques.position import Position, Positioned
from tfx_engine.techniques.tape import Places, Tape
from tfx_engine.techniques.technique import NoOptions, Technique


def check(options: NoOptions, config: Config) -> Iterator[Problem]:
    """Without a mask there is nothing left that hints at the order: that can be tried, and is said."""
    if config.use("mask") == "bidirectional":
        yield Problem(
            code="no-order", path="techniques.position.use", level="warning",
            template="leaves the model no way to tell the order of the tokens, as every token sees every other.",
            hint_template="Choose any other positions, unless you want to see just that.",
        )


def build(options: NoOptions, config: Config) -> Position:
    """A module that changes nothing."""
    return Position()


def reference(module: Position, x_BTD: Tensor, q_BHTK: Tensor, k_BGTK: Tensor, layer: int) -> Positioned:
    """The inputs themselves."""
    return Positioned(x_BTD.clone(), q_BHTK.clone(), k_BGTK.clone(), None)


def memory(tape: Tape, options: NoOptions) -> Places:
    """Nothing."""
    return Places()


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
    memory=memory,
    check=check,
    excludes=(
        Rule(
            slot="mask",
            names=("prefix",),
            reason="Without positions, where tokens see each other both ways, the model cannot tell their order.",
        ),
    ),
    effects=(Effect(quantity="parameters", sign="0", formula="0"),),
    claims=(TellsNoOrder(),),
)
