"""Untied head: an output layer with weights of its own.

What it is: a linear layer without bias from the last vector to the scores of all tokens, trained apart from the
embedding. Input and output can then say different things of a token: the row in the embedding, what it brings along
when it is read; the row in the head, what has to be in the last vector for it to come next. The next token of "New" is
seldom something like "New".

Where a task asks for several answers at every token (`multi_lag`), the head has a table for each of them, one after the
other; a tied head cannot do that, because the embedding has one row per token only.

A bias on each token's score (Phi has one) and a transform before the table are to be had as in the tied head.

Formula: z = W x; with a soft cap c: z = c · tanh(z / c)

What it costs: V · d parameters with gradients and optimizer state (16 bytes each in float32 with AdamW), and 2 · V · d
FLOPs per token, as many as tied. In a model of width 256 with 50,000 tokens that is 12.8 million weights, nearly
three times as many as in six blocks.

Choose it when the table is small beside the blocks, as in large models: Llama, Mistral and Pythia have untied tables.
Choose the tied head when the vocabulary is large for the model. With initial weights by muP the logits are scaled down
with the width, whether tied or not.

Paper: the alternative to Press, Wolf, "Using the Output Embedding to Improve Language Models" (2016),
arXiv:1608.05859; used by Llama (2023), arXiv:2302.13971. Soft cap: Gemma 2 (2024), arXiv:2408.00118.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.claims import Bounded, OwnTable
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


class UntiedHead(LinearHead):
    """x_BTD -> logits_BTV with a weight of its own; where a task asks for several answers, logits_BTAV."""

    def __init__(self, options: TableOptions, config: Config, multiplier: float) -> None:
        rows = config.task.answers * config.vocab
        super().__init__(options.softcap, multiplier, options, config, rows)
        self.answers = config.task.answers
        self.weight = nn.Parameter(torch.empty(rows, config.model.width))

    def project(self, x_BTD: Tensor) -> Tensor:
        """Scores of all tokens of the vocabulary, for each answer."""
        logits = super().project(x_BTD)
        return logits if self.answers == 1 else logits.unflatten(-1, (self.answers, -1))


def build(options: TableOptions, config: Config, embedding: nn.Module, multiplier: float) -> nn.Module:
    """A head of its own."""
    return UntiedHead(options, config, multiplier)


def reference(module: UntiedHead, x_BTD: Tensor) -> Tensor:
    """The dot product with every row; the rows of one answer follow those of another."""
    logits = linear_reference(module, x_BTD)
    return logits if module.answers == 1 else torch.stack(logits.chunk(module.answers, dim=-1), dim=-2)


def memory(tape: Tape, options: TableOptions, x: Value, nats: Nats) -> Value:
    """All logits, by a table of its own."""
    return head_memory(tape, options, x, nats)


TECHNIQUE = Technique(
    module=__name__,
    slot="head",
    order=1,
    title="Untied head",
    short="untied",
    summary="An output layer with weights of its own.",
    paper="Press & Wolf 2016, arXiv:1608.05859 (the alternative)",
    guide=Guide(
        choose="the table is small beside the blocks, as in large models.",
        avoid="memory is short: it is one more table of vocabulary × width, times four with AdamW.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=TableOptions,
    params=head_params,
    work=lambda options, config: head_work(config, options, shared=False, answers=config.task.answers),
    effects=(
        Effect(quantity="parameters", sign="+", formula="vocabulary × width"),
        Effect(quantity="gradients", sign="+", formula="vocabulary × width × 4 bytes"),
        Effect(quantity="optimizer", sign="+", formula="vocabulary × width × 8 bytes with AdamW"),
    ),
    kinds=("language", "answers"),
    claims=(OwnTable(), Bounded("softcap", when="softcap")),
)
