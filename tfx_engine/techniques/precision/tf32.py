"""TF32: float32 numbers whose matrix products are computed with 11 significant bits.

What it is: everything is kept in float32, but when two matrices are multiplied the matrix units of an NVIDIA card read
only the first 10 bits behind the point of each number and add the products up in float32. The range is that of float32,
so nothing overflows or vanishes, and nothing about a training has to be changed. It is a setting of torch
(`set_float32_matmul_precision("high")`) and holds for the whole run, the backward pass included.

Formula: y = tf32(x) · tf32(W), accumulated and kept in float32; tf32 keeps 1 + 10 of the 24 significant bits

What it costs: no memory more or less: 4 bytes per number, and 16 per weight with gradient and AdamW's state. Matrix
products become several times as fast on cards that have these units; everything else takes as long as before. Single
products are off by about 5e-4 of their size.

Choose it on an NVIDIA card of the Ampere generation (compute capability 8.0) or newer, where 16-bit formats are not
wanted: hardly any training can tell the difference. Rather not where results are compared with a CPU's to the last
digits, or where memory is short: bfloat16 is faster still and halves the activations. Elsewhere it is refused, as torch
would silently compute in something else.

Paper: Stosic, Micikevicius, "Accelerating AI Training with NVIDIA TF32 Tensor Cores" (2021), NVIDIA technical blog.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.claims import Near
from tfx_engine.techniques.precision import PlainPrecision, Precision, not_here
from tfx_engine.techniques.tape import Widths
from tfx_engine.techniques.technique import NoOptions, Technique

_HINT = tr_mark("Choose bfloat16_autocast or float32.")


class Tf32(PlainPrecision):
    """Torch's own setting."""

    tolerance = 2.0**-9  # both factors are rounded to 11 bits
    product_format: str | None = "tf32"
    products = "high"


def build(options: NoOptions, config: Config) -> Precision:
    """The precision."""
    return Tf32()


def check(options: NoOptions, config: Config) -> Iterator[Problem]:
    """Only these cards have the units for it."""
    if reason := not_here(config, (8, 0)):
        yield Problem(
            code="not-on-this-device", path="techniques.precision.use", template="cannot be had here: {reason}.",
            hint_template=_HINT, args={"reason": reason},
        )


def reference(fn: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """The function in float32; `Tf32.tolerance` says how far from it one layer may be."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        return fn(*inputs)
    finally:
        torch.set_float32_matmul_precision(before)


def memory(options: NoOptions, config: Config) -> Widths:
    """Four bytes for everything."""
    return Widths()


TECHNIQUE = Technique(
    module=__name__,
    slot="precision",
    order=3,
    title="TF32",
    short="TF32",
    summary="float32 numbers whose matrix products are computed with 11 significant bits.",
    paper="Stosic & Micikevicius 2021, NVIDIA technical blog",
    guide=Guide(
        choose="the card is an NVIDIA one of compute capability 8.0 or newer and 16-bit formats are not wanted.",
        avoid="memory is short, or results are compared with a CPU's to the last digits.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    check=check,
    effects=(
        Effect(quantity="activations", sign="0", formula="4 bytes per number"),
        Effect(quantity="time", sign="-", formula="matrix products several times as fast on the units for it"),
    ),
    claims=(Near(loss=0.005, cosine=0.995, size=0.05),),
)
