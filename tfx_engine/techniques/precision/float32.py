"""float32: every number has 32 bits, everywhere.

What it is: single precision, 24 significant bits, about 7 decimal digits. Torch's default, and the reference that the
other formats are compared with.

Formula: nothing is rounded beyond float32.

What it costs: 4 bytes per number; matrix units for 16-bit numbers stay idle.

Paper: IEEE 754-2019, binary32.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.precision import PlainPrecision, Precision
from tfx_engine.techniques.technique import NoOptions, Technique


class Float32(PlainPrecision):
    """Nothing to switch on."""


def build(options: NoOptions, config: Config) -> Precision:
    """The precision."""
    return Float32()


def reference(fn: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """The function itself."""
    return fn(*inputs)


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
    effects=(Effect(quantity="activations", sign="0", formula="4 bytes per number"),),
)
