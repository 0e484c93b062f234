"""Sliding window: a token looks only at what is near.

What it is: in a layer with a window of W tokens, a query sees the W keys that are at most W - 1 tokens away, itself
included; under a causal mask these are itself and the W - 1 before it. What lies farther is not lost: each layer
carries news W - 1 tokens on, so after l layers something has reached a token from l · (W - 1) tokens back, though only
by way of others.

Many models therefore mix: most layers look near, and every second, sixth or so looks at everything. With `full_every`
= n, layers n, 2n, 3n ... (counted from 1) have no window. Mistral 7B windowed every layer (W = 4096); Gemma 2 and
gpt-oss alternate; Gemma 3 has five windows to one full layer.

Formula: query i may look at key j where the mask allows it and |i - j| < W.

What it costs: nothing in parameters. In generation only W keys and values need be kept in such a layer. In training it
saves time only where the kernel skips what is forbidden. The kernel `flex` does; the others compute the whole square
of scores and throw most of it away, and with the mask written out they may have to leave their fastest path. FLOPs are
counted for the full square, as is the custom.

Choose it for long contexts of which mostly the neighbourhood matters, with a full layer now and then. Rather not where
distant tokens matter in every layer, or for contexts hardly longer than the window: one as wide as the context hides
nothing at all.

Paper: Beltagy, Peters, Cohan, "Longformer: The Long-Document Transformer" (2020), arXiv:2004.05150; Jiang and others,
"Mistral 7B" (2023), arXiv:2310.06825. Mixed with full layers: Gemma Team, "Gemma 3" (2025), arXiv:2503.19786.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import torch
from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.claims import Hides, Shows
from tfx_engine.techniques.technique import Technique
from tfx_engine.techniques.window import Window


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    size: int | None = option(
        None, kind="int", label="size", low=1, high=10_000_000, unit="tokens", automatic="a quarter of the context",
        help="How many tokens a query sees, itself included.",
    )
    full_every: int | None = option(
        None, kind="int", label="full layer every", low=2, high=10_000, unit="layers", automatic="no layer",
        help="One layer in so many sees everything: 2 alternates, 6 is five windows to one full layer.",
    )


@dataclasses.dataclass(frozen=True)
class SlidingWindow:
    """A window in all layers, or in all but one in `full_every`."""

    tokens: int
    full_every: int | None

    def size(self, layer: int) -> int | None:
        """The last of each `full_every` layers sees everything."""
        return None if self.full_every is not None and (layer + 1) % self.full_every == 0 else self.tokens


def check(options: Options, config: Config) -> Iterator[Problem]:
    """Warn of a window that hides nothing."""
    context = config.model.context
    if options.size is not None and options.size >= context > 1:
        yield Problem(
            code="hides-nothing", path="techniques.window.size", level="warning",
            template="is {size}, which hides nothing in a context of {context} tokens.",
            hint_template="Choose less than {context}, or leave it out for a quarter of the context.",
            args={"size": options.size, "context": context},
        )


def build(options: Options, config: Config) -> Window:
    """The window for the model's context."""
    return SlidingWindow(options.size or max(1, config.model.context // 4), options.full_every)


def reference(tokens: int, layer: int, options: Options, config: Config) -> Tensor:
    """bool [T, T], entry by entry."""
    size = max(1, config.model.context // 4) if options.size is None else options.size
    if options.full_every and layer % options.full_every == options.full_every - 1:
        size = tokens
    return torch.tensor([[abs(i - j) < size for j in range(tokens)] for i in range(tokens)])


TECHNIQUE = Technique(
    module=__name__,
    slot="window",
    order=1,
    title="Sliding window",
    short="sliding",
    summary="A token looks only at what is near, in every layer or in most of them.",
    paper="Beltagy et al. 2020, arXiv:2004.05150",
    guide=Guide(
        choose="the context is long and mostly the neighbourhood matters; let a layer see everything now and then.",
        avoid="distant tokens matter in every layer, or the context is hardly longer than the window.",
    ),
    build=build,
    reference=reference,
    options=Options,
    check=check,
    effects=(
        Effect(quantity="parameters", sign="0", formula="0"),
        Effect(quantity="flops", sign="0", formula="counted for the full T × T square; only the kernel flex skips any"),
    ),
    claims=(Hides(), Shows()),
)
