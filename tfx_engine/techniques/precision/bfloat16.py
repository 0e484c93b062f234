"""Pure bfloat16: weights, gradients, optimizer state and activations, everything in 16 bits.

What it is: the whole model is kept in bfloat16, which has the range of float32 and 8 significant bits. Nothing is cast
on the fly, no second copy exists. Sums inside matrix products, softmax and loss are still taken in float32.

The price is paid at the weights. Around 1, neighbouring bfloat16 numbers lie 1/128 apart, so an update smaller than
half of that is rounded away: a weight of 1 with a learning rate of 1e-3 does not move at all, one of 0.01 does. Late in
a training, when steps become small, more and more weights stand still. With float32 weights and 16-bit products
(bfloat16 autocast) this does not happen.

Formula: W ← bf16(W + ΔW); every number is rounded to 8 significant bits

What it costs: 2 bytes per number: 2 for a weight, 2 for its gradient, 4 for AdamW's two moments, 8 per weight in place
of 16. Activations take half as much as in float32. Fast where the hardware has bfloat16 units.

Choose it where 16 bytes per weight do not fit, above all where the weights hardly move or are frozen: beside an adapter
only the adapter's few numbers suffer from the rounding. Rather not for training from scratch with small learning rates,
nor for comparing losses: its loss is worse for a reason that has nothing to do with the technique in question.

Paper: Kalamkar and others, "A Study of BFLOAT16 for Deep Learning Training" (2019), arXiv:1905.12322; Zamirai and
others, "Revisiting BFloat16 Training" (2020), arXiv:2010.06192, on updates that vanish.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.claims import Near
from tfx_engine.techniques.precision import PlainPrecision, Precision
from tfx_engine.techniques.tape import Widths
from tfx_engine.techniques.technique import NoOptions, Technique


class Bfloat16(PlainPrecision):
    """Weights in bfloat16; nothing to switch on."""

    tolerance = 2.0**-6  # inputs, weights and result are rounded to 8 bits each: a few times 2^-8
    product_format: str | None = "bfloat16"
    dtype = torch.bfloat16


def build(options: NoOptions, config: Config) -> Precision:
    """The precision."""
    return Bfloat16()


def reference(fn: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """The function in float32; `Bfloat16.tolerance` says how far from it one layer may be."""
    if isinstance(fn, nn.Module):
        fn = fn.float()
    return fn(*(x.float() for x in inputs))


def memory(options: NoOptions, config: Config) -> Widths:
    """Two bytes for everything."""
    return Widths(weights=2)


TECHNIQUE = Technique(
    module=__name__,
    slot="precision",
    order=2,
    title="Pure bfloat16",
    short="pure bf16",
    summary="Weights, gradients, optimizer state and activations, everything in 16 bits.",
    paper="Kalamkar et al. 2019, arXiv:1905.12322",
    guide=Guide(
        choose="16 bytes per weight do not fit, or the weights are frozen beside an adapter.",
        avoid="you train from scratch or compare losses: small updates are rounded away.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    effects=(
        Effect(quantity="parameters", sign="-", formula="2 bytes per weight instead of 4"),
        Effect(quantity="gradients", sign="-", formula="2 bytes per weight instead of 4"),
        Effect(quantity="optimizer", sign="-", formula="half of what it is in float32"),
        Effect(quantity="activations", sign="-", formula="2 bytes per number instead of 4"),
        Effect(quantity="time", sign="-", formula="where the hardware has bfloat16 units"),
    ),
    claims=(Near(),),
)
