"""No offload: activations wait for the backward pass on the device that made them.

What it is: what torch does by itself. Nothing travels between the device's memory and the host's during a step.

Formula: kept activations stay where they are.

What it costs: the device's memory, and no time.

Paper: the baseline of Rhu and others, "vDNN" (2016), arXiv:1602.08124.
"""

from __future__ import annotations

import contextlib

from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.technique import NoOptions, Technique


def build(options: NoOptions, config: Config) -> type[contextlib.nullcontext[None]]:
    """No context."""
    return contextlib.nullcontext


def reference(block: nn.Module, x_BTD: Tensor, context: AttentionContext) -> Tensor:
    """The block as it is."""
    return block(x_BTD, context)


TECHNIQUE = Technique(
    module=__name__,
    slot="offload",
    order=0,
    title="No offload",
    short="none",
    summary="Activations wait for the backward pass on the device that made them.",
    paper="Rhu et al. 2016, arXiv:1602.08124 (the baseline)",
    guide=Guide(
        choose="the model fits into the device's memory.",
        avoid="activations fill the device's memory while the host's lies idle.",
    ),
    build=build,
    reference=reference,
    effects=(Effect(quantity="activations", sign="0", formula="all on the device"),),
)
