"""float16 autocast: matrix products in 16 bits, weights in 32, and a loss that is scaled up so that gradients survive.

What it is: torch casts the inputs of matrix products and attention to float16 on the fly and keeps norms, softmax and
loss in float32, as with bfloat16. float16 has 11 significant bits, three more than bfloat16, but a narrow range: what
is smaller than 6e-8 becomes 0, what is larger than 65504 infinite. Gradients are often that small. So the loss is
multiplied by a large factor before the backward pass, and the gradients are divided by it, in float32, before anything
looks at them.

The factor begins at 65536. When a gradient overflows, the step is left out and the factor halved; after 2000 good steps
it is doubled. So the first steps of a run may move no weight; that is no fault.

Formula: y = f16(x) · f16(W), accumulated in float32; gradients = ∇(s · loss) / s

What it costs: activations of matrix products take 2 bytes instead of 4; a 16-bit copy of the weights lives during the
step. Looking for overflow reads all gradients once more. Weights, gradients and optimizer state stay float32.

Choose it on cards that have fast float16 and no bfloat16, as NVIDIA's Volta and Turing. Rather not where bfloat16 is as
fast: it needs no scaling and leaves out no step. On a CPU it works and is slow. It cannot go with updates within the
backward pass, which would use gradients that are still scaled.

Paper: Micikevicius and others, "Mixed Precision Training" (2017), arXiv:1710.03740.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.amp import GradScaler

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.claims import Near
from tfx_engine.techniques.devices import device_kind
from tfx_engine.techniques.precision import PlainPrecision, Precision
from tfx_engine.techniques.tape import Widths
from tfx_engine.techniques.technique import NoOptions, Technique


class Float16Autocast(PlainPrecision):
    """torch.autocast to float16, and torch's scaler."""

    tolerance = 2.0**-9  # inputs and result are rounded to 11 bits each: a few times 2^-11
    product_format: str | None = "float16"

    def context(self, device_type: str) -> AbstractContextManager[Any]:
        """Casts matrix products on that kind of device."""
        return torch.autocast(device_type, torch.float16)

    def scaler(self, device_type: str) -> GradScaler | None:
        """Scales the loss by 65536 at first."""
        return GradScaler(device_type)


def build(options: NoOptions, config: Config) -> Precision:
    """The precision."""
    return Float16Autocast()


def check(options: NoOptions, config: Config) -> Iterator[Problem]:
    """Torch must have autocast to float16 for the device; on a CPU it is slow."""
    kind = device_kind(config)
    if not _casts(kind):
        yield Problem(
            code="not-on-this-device", path="techniques.precision.use", args={"kind": kind},
            template="cannot be had here: this torch does not cast to float16 on {kind!r}.",
            hint_template="Choose bfloat16_autocast or float32.",
        )
    elif kind == "cpu":
        yield Problem(
            code="slow-here", path="techniques.precision.use", level="warning",
            template="is emulated on most CPUs: its numbers are right, its speed says nothing.",
            hint_template="Choose bfloat16_autocast or float32 where speed matters.",
        )


def _casts(kind: str) -> bool:
    if not torch.amp.is_autocast_available(kind):
        return False
    try:
        with torch.autocast(kind, torch.float16):
            return torch.is_autocast_enabled(kind)
    except RuntimeError:
        return False


def reference(fn: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """The function in float32; `Float16Autocast.tolerance` says how far from it one layer may be."""
    return fn(*(x.float() for x in inputs))


def memory(options: NoOptions, config: Config) -> Widths:
    """Products in two bytes, weights in four."""
    return Widths(products=2)


TECHNIQUE = Technique(
    module=__name__,
    slot="precision",
    order=4,
    title="float16 autocast",
    short="float16",
    summary="Matrix products in 16 bits, weights in 32, and a scaled loss so that small gradients survive.",
    paper="Micikevicius et al. 2017, arXiv:1710.03740",
    guide=Guide(
        choose="the card has fast float16 and no bfloat16.",
        avoid="bfloat16 is as fast: it needs no scaling and leaves out no step.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    check=check,
    effects=(
        Effect(quantity="activations", sign="-", formula="2 bytes instead of 4 for what matrix products keep"),
        Effect(quantity="parameters", sign="0", formula="0; a 16-bit copy, 2 bytes per weight, counts as activations"),
        Effect(quantity="time", sign="-", formula="where the hardware has float16 units"),
    ),
    claims=(Near(loss=0.01, cosine=0.99),),
)
