"""Slot `head`: a module x_BTD -> logits; what the heads over a vocabulary share.

B batch, T tokens, D width, V vocabulary.
"""

from __future__ import annotations

import dataclasses

from torch import Tensor, nn
from torch.nn import functional as F

from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques.costs import Linear, Work


@dataclasses.dataclass(frozen=True)
class HeadOptions:
    """What can be chosen for any head."""

    softcap: float | None = option(
        None, kind="float", label="soft cap", low=1.0, high=10_000.0, automatic="no cap",
        help="Bend logits z smoothly so that they stay within ±c: c · tanh(z / c). Gemma 2 uses 30.",
    )


class LinearHead(nn.Module):
    """x_BTD -> logits_BTV with a weight [V, D]. `multiplier` is on the logits, before the cap."""

    weight: nn.Parameter

    def __init__(self, softcap: float | None, multiplier: float) -> None:
        super().__init__()
        self.softcap, self.multiplier = softcap, multiplier

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Scores of all tokens of the vocabulary."""
        return self.project(x_BTD)

    def project(self, x_BTD: Tensor) -> Tensor:
        """The same; a loss calls it on as much of the batch as it likes."""
        logits_BTV = F.linear(x_BTD, self.weight)
        if self.multiplier != 1.0:
            logits_BTV = logits_BTV * self.multiplier
        return soft_cap(logits_BTV, self.softcap)


def linear_reference(module: LinearHead, x_BTD: Tensor) -> Tensor:
    """The dot product with every row."""
    logits_BTV = (x_BTD.unsqueeze(2) * module.weight).sum(dim=-1) * module.multiplier
    return logits_BTV if module.softcap is None else module.softcap * (logits_BTV / module.softcap).tanh()


def head_work(config: Config, shared: bool, answers: int = 1) -> Work:
    """One product with the table; `shared`: the table is counted elsewhere. `answers` at each token."""
    return Work((Linear("head", config.model.width, answers * config.vocab, shared=shared),))


def soft_cap(logits_BTV: Tensor, cap: float | None) -> Tensor:
    """c · tanh(z / c), or the logits themselves without a cap."""
    return logits_BTV if cap is None else (logits_BTV / cap).tanh() * cap
