"""Class head: one score per class for the whole sample.

What it is: the output layer of a classifier. The vectors of all places are first pooled into one, and a linear layer
gives a score to each class. There are two ways to pool. The mean over all places lets every frame have a say from the
first step on. The class token, where the embedding puts one before the frames, is a place of its own for the answer:
the blocks learn what to bring there, and the head looks nowhere else. The Vision Transformer uses the class token; its
authors found the mean to do as well with a suitable learning rate.

The class token stands first, so it must be able to see what follows it: under a causal mask, or with a recurrent layer
in place of attention, it would know nothing of the sample, and that is refused. The mean works with any mask.

Formula: z = W m + b;  m = mean over t of x[t], or x[0]

What it costs: C · d + C parameters. Logits are C numbers per sample instead of V per token, so memory and FLOPs of the
head, 2 · C · d per sample, hardly count beside the blocks.

Choose it for tasks that ask for one answer per sample (`digits`, `audio`). For the next token choose a head over the
vocabulary: `tied` or `untied`.

Paper: Dosovitskiy and others, "An Image is Worth 16x16 Words" (2020), arXiv:2010.11929, where appendix D.3 compares the
two.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from fractions import Fraction

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.costs import Linear, Work, bias_of
from tfx_engine.techniques.head import Nats
from tfx_engine.techniques.loss import Prediction
from tfx_engine.techniques.tape import Tape, Value
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    pooling: str | None = option(
        None, kind="choice", label="pooling", choices=("mean", "class_token"),
        automatic="the class token, where the embedding has one; else the mean",
        help="From what the class is read: the mean over all places, or the class token alone.",
    )
    bias: bool | None = option(
        None, kind="bool", label="bias", automatic="as the model's linear layers",
        help="Add a trained number to the score of each class.",
    )


class ClassHead(nn.Module):
    """x_BTD -> logits_BC. `multiplier` is on the product, before the bias."""

    def __init__(self, classes: int, width: int, bias: bool, by_token: bool, multiplier: float) -> None:
        super().__init__()
        self.by_token, self.multiplier = by_token, multiplier
        self.weight = nn.Parameter(torch.empty(classes, width))
        self.bias = nn.Parameter(torch.empty(classes)) if bias else None

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Scores of all classes, for each sample."""
        return self.project(self.pooled(x_BTD))

    def pooled(self, x_BTD: Tensor) -> Tensor:
        """One vector for each sample, [B, D]."""
        return x_BTD[:, 0] if self.by_token else x_BTD.mean(dim=1)

    def predictions(self, x_BTD: Tensor) -> Iterator[Prediction]:
        """One for the whole sample."""
        yield Prediction(self.pooled(x_BTD))

    def project(self, x_BD: Tensor) -> Tensor:
        """Scores of what has been pooled."""
        if self.multiplier == 1.0:
            return F.linear(x_BD, self.weight, self.bias)
        logits_BC = F.linear(x_BD, self.weight) * self.multiplier
        return logits_BC if self.bias is None else logits_BC + self.bias


def _has_class_token(config: Config) -> bool:
    return bool(config.techniques["embedding"].options.get("class_token"))


def _by_token(options: Options, config: Config) -> bool:
    return _has_class_token(config) if options.pooling is None else options.pooling == "class_token"


def check(options: Options, config: Config) -> Iterator[Problem]:
    """The class token must be there, and see the sample."""
    if not _by_token(options, config):
        return
    if not _has_class_token(config):
        yield Problem(
            code="no-class-token", path="techniques.head.pooling",
            template="is 'class_token', but the embedding has none.",
            hint_template="Set techniques.embedding.class_token to true, or choose 'mean'.",
        )
    blind = next((slot for slot, use in (("mask", "causal"), ("mixer", config.use("mixer")))
                  if config.use(slot) == use and (slot, use) != ("mixer", "attention")), None)
    if blind is not None:
        yield Problem(
            code="class-token-is-blind", path="techniques.head.pooling",
            template="is the class token, which stands first: with {use!r} in {slot} it sees nothing of the sample.",
            hint_template="Choose 'mean', or {other!r} in {slot}.",
            args={"use": config.use(blind), "slot": blind, "other": {"mask": "bidirectional"}.get(blind, "attention")},
        )


def build(options: Options, config: Config, embedding: nn.Module, multiplier: float) -> nn.Module:
    """A head for the task's classes."""
    bias = bias_of(options.bias, config)
    return ClassHead(config.task.classes, config.model.width, bias, _by_token(options, config), multiplier)


def reference(module: ClassHead, x_BTD: Tensor) -> Tensor:
    """Sample by sample, class by class."""
    scores = []
    for x_TD in x_BTD:
        pooled_D = x_TD[0] if module.by_token else sum(x_TD) / len(x_TD)
        scores.append(torch.stack([(row_D * pooled_D).sum() * module.multiplier for row_D in module.weight]))
    logits_BC = torch.stack(scores)
    return logits_BC if module.bias is None else logits_BC + module.bias


def work(options: Options, config: Config) -> Work:
    """One product for each sample."""
    bias, share = bias_of(options.bias, config), Fraction(1, config.model.context)
    return Work((Linear("head", config.model.width, config.task.classes, bias, share=share),))


def memory(tape: Tape, options: Options, x: Value, nats: Nats) -> Value:
    """One vector of a sample is read."""
    pooled = tape.make(x, numbers=tape.batch * tape.config.model.width)
    return nats(lambda pooled: tape.linear("head", pooled), pooled)


TECHNIQUE = Technique(
    module=__name__,
    slot="head",
    order=3,
    title="Class head",
    short="classes",
    summary="One score per class for the whole sample, from the mean over all places or from a class token.",
    paper="Dosovitskiy et al. 2020, arXiv:2010.11929",
    guide=Guide(
        choose="the task asks for one answer for the whole input.",
        avoid="the task asks for an answer at every token.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    check=check,
    work=work,
    effects=(
        Effect(quantity="parameters", sign="-", formula="classes × width, where a table has vocabulary × width"),
        Effect(quantity="activations", sign="-", formula="classes numbers per sample, not vocabulary per token"),
    ),
    kinds=("classes",),
)
