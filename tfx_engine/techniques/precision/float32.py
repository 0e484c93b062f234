"""float32: every number has 32 bits, everywhere.

What it is: single precision: a sign, 8 bits of exponent and 24 significant bits, about 7 decimal digits over a range
from 1e-38 to 3e38. It is torch's default, and the reference that the other formats are compared with: their tolerance
is the error, relative to it, that one layer may show. Products of matrices are float32 too; this technique switches
TF32 off, in which recent NVIDIA cards would otherwise be allowed to compute them with fewer bits.

Formula: every result is the nearest of the float32 numbers: y = x (1 + δ), |δ| ≤ 2⁻²⁴

What it costs: 4 bytes per number. A trained weight takes 16 with AdamW: 4 for itself, 4 for its gradient and 8 for two
moments; activations take twice as much as in 16 bits. Matrix units for shorter numbers stay idle, on a card that has
them a multiple of the speed.

Choose it as the reference: to find out whether something that looks wrong comes from rounding, to compare with another
program to many digits, and on CPUs, most of which have no fast shorter formats. Rather not on a card with 16-bit matrix
units, once the numbers are known to be right: bfloat16 autocast reaches the same loss in nearly every training, at half
the activations.

Paper: IEEE 754-2019, binary32.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.precision import PlainPrecision, Precision
from tfx_engine.techniques.tape import Widths
from tfx_engine.techniques.technique import NoOptions, Technique


class Float32(PlainPrecision):
    """Nothing to switch on."""


def build(options: NoOptions, config: Config) -> Precision:
    """The precision."""
    return Float32()


def reference(fn: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """The function itself."""
    return fn(*inputs)


def memory(options: NoOptions, config: Config) -> Widths:
    """Four bytes for everything."""
    return Widths()


TECHNIQUE = Technique(
    module=__name__,
    slot="precision",
    order=0,
    title="float32",
    short="float32",
    summary="Every number has 32 bits, everywhere.",
    paper="IEEE 754-2019, binary32",
    guide=Guide(
        choose="you want the reference, or the device has no fast 16-bit arithmetic.",
        avoid="the device has matrix units for bfloat16: it is several times slower there.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    effects=(Effect(quantity="activations", sign="0", formula="4 bytes per number"),),
)
