"""Multi-token head: predict the next token and some of those after it.

What it is: from every place the model is asked for the n next tokens instead of one. The next token is predicted as
always. For each one further on a small layer of its own, h + SiLU(W h + b) with W and b beginning at zero, turns the
last vector into one for that distance; a table of token vectors makes logits of it. By default all of them share the
table of the next token, as the trunk and the output layer are shared in Gloeckle's paper, where the layer between is a
whole transformer block; with tables of their own they are the heads of Medusa. Training asks for more than it needs to
later: what must be known now to guess the token after next makes better vectors of the whole model, and the further
heads can be thrown away, or propose tokens for the next one to check.

Formula: loss = CE(next) + w · Σ over k = 2 … n of CE(token k places on);  z_k = E (h + SiLU(W_k h + b_k))

Each sum is divided by the targets that count for the next token; places whose k-th token lies beyond the end of the
sample are left out. The held-out loss and the accuracy are those of the next token alone, so they compare with any
other head; the training loss does not.

What it costs: (n - 1) · (d² + d) parameters, with tables of their own also (n - 1) · V · d; 2 · (n - 1) · (d² + V · d)
FLOPs per token more, and logits n times over, one after the other: `chunked_cross_entropy` takes that away again.

Choose it for larger models and for text where plans pay, such as code: in Gloeckle's experiments it was worth the more
the larger the model was. Rather not for small models, which have enough to do with the next token.

Paper: Gloeckle and others, "Better & Faster Large Language Models via Multi-token Prediction" (2024),
arXiv:2404.19737; Cai and others, "Medusa" (2024), arXiv:2401.10774; DeepSeek-V3 (2024), arXiv:2412.19437.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.claims import Bounded, Shares
from tfx_engine.techniques.costs import Linear, Work
from tfx_engine.techniques.head import (
    HeadOptions,
    LinearHead,
    Nats,
    capped_memory,
    linear_reference,
    logits_memory,
)
from tfx_engine.techniques.loss import Prediction
from tfx_engine.techniques.tape import Tape, Value
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options(HeadOptions):
    """What can be chosen."""

    tokens: int = option(
        4, kind="int", label="tokens", low=2, high=16, unit="tokens",
        help="How many tokens are predicted from each place, the next one among them, n.",
    )
    weight: float = option(
        1.0, kind="float", label="weight", low=0.0, high=10.0,
        help="Weight of each further token in the loss, w; the next one has 1.",
    )
    tied: bool = option(True, kind="bool", label="tied", help="The next token's table is the embedding's.")
    shared: bool = option(
        True, kind="bool", label="shared table", help="All tokens use the next one's table; else each has its own.",
    )


class FurtherToken(LinearHead):
    """What turns x_BTD into the vector for one distance. Its weight is a table of its own, or None: the next one's."""

    def __init__(self, vocab: int, width: int, softcap: float | None, multiplier: float, own: bool) -> None:
        super().__init__(softcap, multiplier)
        self.turn = nn.Linear(width, width)
        self.weight = nn.Parameter(torch.empty(vocab, width)) if own else None

    def turned(self, x_BTD: Tensor) -> Tensor:
        """x_BTD for this distance."""
        return x_BTD + F.silu(self.turn(x_BTD))


class MultiTokenHead(LinearHead):
    """x_BTD -> logits_BTV of the next token; `predictions` has all of them."""

    def __init__(self, options: Options, config: Config, embedding: nn.Module, multiplier: float) -> None:
        super().__init__(options.softcap, multiplier)
        vocab, width = config.vocab, config.model.width
        self.weight = embedding.weight if options.tied else nn.Parameter(torch.empty(vocab, width))
        self.share = options.weight
        self.further = nn.ModuleList(
            FurtherToken(vocab, width, options.softcap, multiplier, not options.shared)
            for _ in range(options.tokens - 1)
        )
        for further in self.further:
            further.turn.initialise_parameter = _at_zero

    def predictions(self, x_BTD: Tensor) -> Iterator[Prediction]:
        """The next token, and those after it."""
        yield Prediction(x_BTD)
        for shift, further in enumerate(self.further, start=1):
            head = self if further.weight is None else further
            yield Prediction(further.turned(x_BTD), shift, self.share, head)


def _at_zero(name: str, parameter: Tensor, generator: torch.Generator) -> bool:
    """At the beginning every distance has the vector of the next token."""
    parameter.zero_()
    return True


def check(options: Options, config: Config) -> Iterator[Problem]:
    """There must be places from which the furthest token lies within the sample."""
    if options.tokens > config.model.context:
        yield Problem(
            code="context-too-short", path="techniques.head.tokens",
            template="is {tokens}, but a sample has {context} tokens: none is so far on.",
            hint_template="Choose at most {context}.", args={"tokens": options.tokens, "context": config.model.context},
        )


def build(options: Options, config: Config, embedding: nn.Module, multiplier: float) -> nn.Module:
    """A head for several tokens."""
    return MultiTokenHead(options, config, embedding, multiplier)


reference = linear_reference


def work(options: Options, config: Config) -> Work:
    """A turn and a product with a table for each further token, after the next one's product."""
    width, vocab = config.model.width, config.vocab
    linears = [Linear("head", width, vocab, shared=options.tied)]
    for _ in range(options.tokens - 1):
        linears += [Linear("turn", width, width, bias=True, adaptable=False),
                    Linear("head", width, vocab, shared=options.shared)]  # fmt: skip
    return Work(tuple(linears))


def _capped(tape: Tape, options: Options, head: Linear, x: Value) -> Value:
    return capped_memory(tape, options, tape.plain_linear(head, x))


def memory(tape: Tape, options: Options, x: Value, nats: Nats) -> Value:
    """As many logits as there are tokens ahead."""
    total = nats(lambda x: logits_memory(tape, options, x), x)
    turn = next((linear for linear in tape.work.linears if linear.name == "turn"), None)
    for ahead in range(options.tokens - 1):
        if turn is not None:
            own = dataclasses.replace(turn, name=f"turn {ahead}")
            turned = tape.add(x, tape.bent(tape.plain_linear(own, x)))
            head = dataclasses.replace(tape.work.linears[0], name=f"head {ahead}")
            head = dataclasses.replace(head, shared=options.shared and options.tied)
            total = tape.add(total, nats(functools.partial(_capped, tape, options, head), turned))
    return total


TECHNIQUE = Technique(
    module=__name__,
    slot="head",
    order=2,
    title="Multi-token head",
    short="multi-token",
    summary="Predict the next token and some of those after it.",
    paper="Gloeckle et al. 2024, arXiv:2404.19737",
    guide=Guide(
        choose="the model is large and its text has plans in it, such as code.",
        avoid="the model is small: it has enough to do with the next token.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    check=check,
    work=work,
    effects=(
        Effect(quantity="parameters", sign="+", formula="(n - 1) · (width² + width), and a table each unless shared"),
        Effect(quantity="flops", sign="+", formula="6 · (n - 1) · (width² + vocabulary · width) per token and step"),
        Effect(quantity="activations", sign="+", formula="(n - 1) · (2 · width + 2 · vocabulary) per token"),
    ),
    kinds=("language",),
    claims=(Shares(when="tied"), Bounded("softcap", when="softcap")),
)
