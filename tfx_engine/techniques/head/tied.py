"""Tied head: the embedding table is also the output layer.

What it is: the score of a token is the dot product of the last vector with that token's row in the embedding table. One
table is trained from both ends: from the input a row learns whenever its token is read, from the output at every
place, because every token's score takes part in the softmax. So rare tokens get far more signal than through the input
alone. It asks for something: what a token means when it is read and what speaks for it when it is to be written must
fit one vector.

Its numbers begin as those of the embedding. With a table that begins small, logits begin near zero and the first loss
near ln V, as it should be; a table that begins at deviation 1, as some libraries draw embeddings, would begin with
wild logits. A bias on each token's score, and a transform before the table (a linear layer, a GELU, a norm), are what
BERT has there; few later models do.

Formula: z = x · Wᵀ, W the embedding; with a soft cap c: z = c · tanh(z / c), which bends logits so that they stay
within ±c and hardly changes small ones.

What it costs: no parameters of its own (V with a bias, d² + 3 · d with a transform); 2 · V · d FLOPs per token. The
logits are V numbers per token, in float32 for the loss: with a large vocabulary they are the largest activation, and
`chunked_cross_entropy` is for that.

Choose it for small models, where a second table would be a large part of all weights: of GPT-2's 124 million parameters
38.6 million are the table. Where the table is a small part of the model, as in Llama or Mistral, an untied one costs
little and leaves both ends free. What is said of one end, such as freezing it, is said of both.

Paper: Press, Wolf, "Using the Output Embedding to Improve Language Models" (2016), arXiv:1608.05859. Soft cap: Gemma
2 (2024), arXiv:2408.00118.
"""

from __future__ import annotations

from torch import nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.claims import Bounded, Shares
from tfx_engine.techniques.head import (
    LinearHead,
    Nats,
    TableOptions,
    head_memory,
    head_params,
    head_work,
    linear_reference,
)
from tfx_engine.techniques.tape import Tape, Value
from tfx_engine.techniques.technique import Technique


class TiedHead(LinearHead):
    """x_BTD -> logits_BTV with the embedding's own weight."""

    def __init__(self, embedding: nn.Module, options: TableOptions, config: Config, multiplier: float) -> None:
        super().__init__(options.softcap, multiplier, options, config, config.vocab)
        self.weight = embedding.weight


def build(options: TableOptions, config: Config, embedding: nn.Module, multiplier: float) -> nn.Module:
    """A head that shares the embedding's table."""
    return TiedHead(embedding, options, config, multiplier)


reference = linear_reference


def memory(tape: Tape, options: TableOptions, x: Value, nats: Nats) -> Value:
    """All logits, by the embedding's table."""
    return head_memory(tape, options, x, nats)


TECHNIQUE = Technique(
    module=__name__,
    slot="head",
    order=0,
    title="Tied head",
    short="tied",
    summary="The embedding table is also the output layer.",
    paper="Press & Wolf 2016, arXiv:1608.05859",
    guide=Guide(
        choose="the model is small or the vocabulary large: it saves a whole table.",
        avoid="the model is large enough that input and output want different vectors.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=TableOptions,
    params=head_params,
    work=lambda options, config: head_work(config, options, shared=True),
    effects=(
        Effect(quantity="parameters", sign="-", formula="vocabulary × width fewer than untied"),
        Effect(quantity="flops", sign="0", formula="2 · vocabulary · width per token, as untied"),
    ),
    kinds=("language",),
    claims=(Shares(), Bounded("softcap", when="softcap")),
)
