"""Slot `accumulation`: how many pieces a batch goes through the model in.

`build(options, config)` gives the number of pieces; the step cuts the batch, and divides by all targets that count.
"""

from __future__ import annotations

from torch import Tensor

Batch = tuple[Tensor, Tensor]  # inputs_BT, targets_BT
