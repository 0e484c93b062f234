"""No offload: activations wait for the backward pass on the device that made them.

What it is: what torch does by itself. Nothing travels between the device's memory and the host's during a step, except
the batch on its way in and a few numbers on their way out.

Formula: kept activations stay where they are

What it costs: the device's memory, and no time. A device reads its own memory at hundreds to thousands of gigabytes per
second, and the host's through a bus at a few tens. So what does not fit is the more expensive the further away it is
put, and it is worth asking first whether it must be kept at all: computing something again is often quicker than
fetching it.

On a CPU there is no difference: the device's memory is the host's. The same is true of Apple's GPUs, which share it.

When to choose it: whenever the model fits into the device's memory, and on every device that has none of its own. When
not: if activations fill the device's memory while the host's lies idle, and recompute, which costs about a fifth more
work, is not enough. Before that look at what else there is. The order that costs least is usually: fused attention
instead of written-out scores, a loss that does not write out its logits, 16-bit numbers, selective recompute, recompute
of whole blocks, 8-bit optimizer states if the state is what is large, and only then the host's memory.

Paper: the baseline of Rhu and others, "vDNN: Virtualized Deep Neural Networks for Scalable, Memory-Efficient Neural
Network Design" (2016), arXiv:1602.08124.
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
