"""What the authors of sinusoidal positions hoped for: one matrix shifts all of them. T tokens, D width.

"For any fixed offset k, PE(p + k) can be represented as a linear function of PE(p)" (arXiv:1706.03762, section 3.5).
That matrix is looked for by least squares over all places of the context; measured is what is left over.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from tfx_engine.model.assemble import assemble
from tfx_engine.protocol.config import Config


@torch.no_grad()
def measure(config: Config, options: Mapping[str, float], weights: Path | None) -> dict[str, float]:
    """`residual`: largest number that is left over; `squared_norm`: of the vector that is furthest from d / 2."""
    position = assemble(config, "cpu", torch.float64).position
    nothing_1TD = torch.zeros(1, config.model.context, config.model.width, dtype=torch.float64)
    table_TD = position(nothing_1TD)[0]
    shift = int(options["shift"])
    here, there = table_TD[:-shift], table_TD[shift:]
    matrix_DD = torch.linalg.lstsq(here, there, driver="gelsd").solution
    squared_T = table_TD.square().sum(dim=1)
    furthest = squared_T[(squared_T - config.model.width / 2).abs().argmax()]
    return {"residual": float((here @ matrix_DD - there).abs().max()), "squared_norm": float(furthest)}
