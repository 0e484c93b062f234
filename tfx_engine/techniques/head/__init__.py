"""Slot `head`: a module x_BTD -> logits; what the heads over a vocabulary share.

B batch, T tokens, D width, V vocabulary.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques.costs import Linear, Work
from tfx_engine.techniques.counts import norm_of
from tfx_engine.techniques.tape import Tape, Value, Weight


@dataclasses.dataclass(frozen=True)
class HeadOptions:
    """What can be chosen for any head."""

    softcap: float | None = option(
        None, kind="float", label="soft cap", low=1.0, high=10_000.0, automatic="no cap",
        help="Bend logits z smoothly so that they stay within ±c: c · tanh(z / c). Gemma 2 uses 30.",
    )


@dataclasses.dataclass(frozen=True)
class TableOptions(HeadOptions):
    """What can be chosen for a head with one table."""

    bias: bool = option(
        False, kind="bool", label="bias", help="Add a trained number to the score of each token. BERT and Phi do.",
    )
    transform: bool = option(
        False, kind="bool", label="transform",
        help="Before the table one more linear layer of the model's width, a GELU and a norm, as in BERT.",
    )
    multiplier: float = option(
        1.0, kind="float", label="multiplier", low=1e-6, high=1e6,
        help="A fixed factor on the logits. Command R has 0.0625.",
    )


class Transform(nn.Module):
    """x_BTD -> x_BTD before the table."""

    def __init__(self, width: int, norm: nn.Module) -> None:
        super().__init__()
        self.dense, self.norm = nn.Linear(width, width), norm

    def forward(self, x_BTD: Tensor) -> Tensor:
        """A layer, a bend, a norm."""
        return self.norm(F.gelu(self.dense(x_BTD)))


class LinearHead(nn.Module):
    """x_BTD -> logits_BTV with a weight [V, D]. `multiplier` is on the products, before bias and cap.

    `rows`: how many scores there are, where one of the options needs to know it.
    """

    weight: nn.Parameter

    def __init__(
        self, softcap: float | None, multiplier: float, options: TableOptions | None = None,
        config: Config | None = None, rows: int = 0,
    ) -> None:
        super().__init__()
        options = options or TableOptions()
        self.softcap, self.multiplier = softcap, multiplier * options.multiplier
        self.bias = nn.Parameter(torch.empty(rows)) if options.bias else None
        self.transform = Transform(config.model.width, norm_of(config)) if config and options.transform else None

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Scores of all tokens of the vocabulary."""
        return self.project(x_BTD)

    def project(self, x_BTD: Tensor) -> Tensor:
        """The same; a loss calls it on as much of the batch as it likes."""
        if self.transform is not None:
            x_BTD = self.transform(x_BTD)
        if self.multiplier == 1.0:
            return soft_cap(F.linear(x_BTD, self.weight, self.bias), self.softcap)
        logits_BTV = F.linear(x_BTD, self.weight) * self.multiplier
        logits_BTV = logits_BTV if self.bias is None else logits_BTV + self.bias
        return soft_cap(logits_BTV, self.softcap)


def linear_reference(module: LinearHead, x_BTD: Tensor) -> Tensor:
    """The dot product with every row."""
    if module.transform is not None:
        z_BTD = module.transform.dense(x_BTD)
        x_BTD = module.transform.norm(z_BTD * (1 + torch.erf(z_BTD / math.sqrt(2))) / 2)
    logits_BTV = (x_BTD.unsqueeze(2) * module.weight).sum(dim=-1) * module.multiplier
    if module.bias is not None:
        logits_BTV = logits_BTV + module.bias
    return logits_BTV if module.softcap is None else module.softcap * (logits_BTV / module.softcap).tanh()


def head_work(config: Config, options: HeadOptions, shared: bool, answers: int = 1) -> Work:
    """One product with the table; `shared`: the table is counted elsewhere. `answers` at each token."""
    width = config.model.width
    transform = (Linear("transform", width, width, bias=True),) if getattr(options, "transform", False) else ()
    return Work((*transform, Linear("head", width, answers * config.vocab, shared=shared)))


def head_params(options: TableOptions, config: Config) -> int:
    """The bias; the norm of the transform is counted with all others of its kind."""
    return config.task.answers * config.vocab if options.bias else 0


def soft_cap(logits_BTV: Tensor, cap: float | None) -> Tensor:
    """c · tanh(z / c), or the logits themselves without a cap."""
    return logits_BTV if cap is None else (logits_BTV / cap).tanh() * cap


Project = Callable[[Value], Value]  # what the head reads -> logits
Nats = Callable[[Project, Value], Value]  # of the head's projection, and of what it reads: the loss


def head_memory(tape: Tape, options: TableOptions, x: Value, nats: Nats) -> Value:
    """The memory of `LinearHead` and of the loss after it."""
    def project(x: Value) -> Value:
        if options.transform:
            x = tape.use("norm", tape.bent(tape.linear("transform", x)))
        return logits_memory(tape, options, x)

    return nats(project, x)


def logits_memory(tape: Tape, options: HeadOptions, x: Value, name: str = "head") -> Value:
    """The memory of `LinearHead.project` behind the transform."""
    outputs = tape.config.task.answers * tape.config.vocab
    bias = tape.parameter("bias", outputs) if getattr(options, "bias", False) else ()
    return capped_memory(tape, options, tape.linear(name, x), bias)


def capped_memory(tape: Tape, options: HeadOptions, logits: Value, bias: tuple[Weight, ...] = ()) -> Value:
    """The memory of what happens to the logits of a table."""
    if getattr(options, "multiplier", 1.0) != 1.0:
        logits = tape.scaled(logits)
    if bias:
        logits = tape.make(logits, weights=bias, passes=1)
    return tape.scaled(tape.bent(tape.scaled(logits), of_result=True)) if options.softcap else logits
