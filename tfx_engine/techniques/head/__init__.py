"""Slot `head`: a module (x_BTD) -> logits_BTV; what the heads share."""

from __future__ import annotations

import dataclasses

from torch import Tensor

from tfx_engine.protocol.options import option


@dataclasses.dataclass(frozen=True)
class HeadOptions:
    """What can be chosen for any head."""

    softcap: float | None = option(
        None, kind="float", label="soft cap", low=1.0, high=10_000.0, automatic="no cap",
        help="Bend logits z smoothly so that they stay within ±c: c · tanh(z / c). Gemma 2 uses 30.",
    )


def soft_cap(logits_BTV: Tensor, cap: float | None) -> Tensor:
    """c · tanh(z / c), or the logits themselves without a cap."""
    return logits_BTV if cap is None else (logits_BTV / cap).tanh() * cap
