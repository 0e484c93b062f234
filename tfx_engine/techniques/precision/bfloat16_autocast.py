"""bfloat16 autocast: matrix products in 16 bits, weights and sums in 32.

What it is: torch casts the inputs of matrix products and attention to bfloat16 on the fly and keeps norms, softmax and
loss in float32. bfloat16 has the range of float32, so no loss scaling is needed, and 8 significant bits: numbers are
rounded to between 2 and 3 decimal digits. Weights, gradients and optimizer state stay float32, so that also small
updates are added up; only what flows through the matrix products is rounded, and each number once, not again and again.

Formula: y = bf16(x) · bf16(W), accumulated in float32, rounded to bfloat16

What it costs: activations of matrix products take 2 bytes instead of 4; a 16-bit copy of the weights lives during the
step (2 bytes per weight). Fast where the hardware has bfloat16 units; a CPU without them becomes slower. Casting takes
time of its own, which small models do not win back.

Choose it for nearly every training on a card that has bfloat16 units: it is what large models are trained in. Rather
not on hardware without them, nor where results are compared with another program to more than two digits. Where even 16
bytes per weight do not fit, pure bfloat16 halves them, at the cost of updates that vanish.

Paper: Micikevicius and others, "Mixed Precision Training" (2017), arXiv:1710.03740; Kalamkar and others, "A Study of
BFLOAT16 for Deep Learning Training" (2019), arXiv:1905.12322.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.claims import Near
from tfx_engine.techniques.precision import PlainPrecision, Precision
from tfx_engine.techniques.tape import Widths
from tfx_engine.techniques.technique import NoOptions, Technique


class Bfloat16Autocast(PlainPrecision):
    """torch.autocast to bfloat16."""

    tolerance = 2.0**-6  # inputs and result are rounded to 8 bits each: a few times 2^-8
    product_format: str | None = "bfloat16"

    def context(self, device_type: str) -> AbstractContextManager[Any]:
        """Casts matrix products on that kind of device."""
        return torch.autocast(device_type, torch.bfloat16)


def build(options: NoOptions, config: Config) -> Precision:
    """The precision."""
    return Bfloat16Autocast()


def reference(fn: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """The function in float32; `Bfloat16Autocast.tolerance` says how far from it one layer may be."""
    return fn(*(x.float() for x in inputs))


def memory(options: NoOptions, config: Config) -> Widths:
    """Products in two bytes, weights in four."""
    return Widths(products=2)


TECHNIQUE = Technique(
    module=__name__,
    slot="precision",
    order=1,
    title="bfloat16 autocast",
    short="bfloat16",
    summary="Matrix products in 16 bits, weights and sums in 32.",
    paper="Micikevicius et al. 2017, arXiv:1710.03740",
    guide=Guide(
        choose="the device has bfloat16 units: recent NVIDIA and AMD cards, recent server CPUs.",
        avoid="the CPU has none: it emulates them and becomes slower.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    effects=(
        Effect(quantity="activations", sign="-", formula="2 bytes instead of 4 for what matrix products keep"),
        Effect(quantity="parameters", sign="0", formula="0; a 16-bit copy, 2 bytes per weight, counts as activations"),
        Effect(quantity="time", sign="-", formula="where the hardware has bfloat16 units"),
    ),
    claims=(Near(),),
)
