"""Prefix mask: every token sees the whole beginning; after it, each sees only what came before.

What it is: the mask of a prefix language model. The first tokens, the prefix, look at each other in both directions, as
in an encoder; the rest is predicted token by token, as in a decoder, and sees the prefix as a whole. One stack of
blocks reads a question in the one way and writes its answer in the other.

Formula: query i may look at key j where j ≤ i or j < P, P being the length of the prefix.

What is asked: within the prefix every token sees its successor, so predicting it there means nothing. Where a task asks
for the next token, the first P - 1 targets therefore do not count, neither in training nor on held-out data: the last
token of the prefix is the first that has something to predict. Losses are means over fewer targets than with a causal
mask, at later places, and compare with those only at the same places. Tasks whose answers never stand in the input are
asked in full.

What it costs: nothing in parameters. Fused kernels know the causal mask by name, but not this one: it is written out as
T × T numbers, once per forward pass for all layers, and nothing is skipped. Of a sample with prefix P only T - P + 1
targets teach anything, though all tokens cost their time: that is the price of the look ahead.

Choose it when the input has a part that is given and a part that is produced: a question and its answer, a text and its
summary, an image before its caption. In the comparison of the T5 paper it did better than a plain language model, and
less well than an encoder with a decoder, which has twice the parameters. Rather not for plain text without such a part:
there a causal model learns from every token. Nor without positions, since within the prefix nothing else tells the
order.

Paper: Raffel and others, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer" (2019),
section 3.2, arXiv:1910.10683; Dong and others, "Unified Language Model Pre-training" (2019), arXiv:1905.03197.
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
from tfx_engine.techniques.claims import Hides, NoLeak, Shows
from tfx_engine.techniques.mask import Mask
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    length: int | None = option(
        None, kind="int", label="prefix", low=1, high=10_000_000, unit="tokens", automatic="half of the context",
        help="So many tokens at the beginning are seen by all; 1 is the causal mask.",
    )


class PrefixMask(Mask):
    """The lower triangle and the columns of the prefix."""

    def allowed(self, tokens: int, device: torch.device | str = "cpu") -> Tensor:
        """bool [T, T]: the lower triangle with the diagonal, and the first `seen_by_all` columns."""
        allowed_TT = torch.ones(tokens, tokens, dtype=torch.bool, device=device).tril_()
        allowed_TT[:, : self.seen_by_all] = True
        return allowed_TT


def check(options: Options, config: Config) -> Iterator[Problem]:
    """Refuse a prefix that leaves nothing after it."""
    most = config.model.context - 1
    if options.length is not None and options.length > most:
        yield Problem(
            code="out-of-range", path="techniques.mask.length",
            template="is {length} of {context} tokens: nothing is left to be predicted.",
            hint_template="Choose at most {most}, or the mask 'bidirectional'.",
            args={"length": options.length, "context": config.model.context, "most": most},
        )


def build(options: Options, config: Config) -> Mask:
    """The mask."""
    length = config.model.context // 2 if options.length is None else options.length
    return PrefixMask(is_causal=length == 1, seen_by_all=length)


def reference(tokens: int, options: Options, config: Config) -> Tensor:
    """bool [T, T], entry by entry."""
    length = options.length or config.model.context // 2
    return torch.tensor([[j <= i or j < length for j in range(tokens)] for i in range(tokens)])


TECHNIQUE = Technique(
    module=__name__,
    slot="mask",
    order=2,
    title="Prefix mask",
    short="prefix",
    summary="Every token sees the whole beginning; after it, each sees only what came before.",
    paper="Raffel et al. 2019, arXiv:1910.10683",
    guide=Guide(
        choose="part of the input is given and the rest is produced: a question and its answer.",
        avoid="every token is to be predicted: those of the prefix teach nothing.",
    ),
    build=build,
    reference=reference,
    options=Options,
    check=check,
    effects=(
        Effect(quantity="time", sign="+", formula="no score is skipped"),
        Effect(quantity="activations", sign="+", formula="T × T numbers, once for all layers"),
    ),
    claims=(Hides(), Shows(), NoLeak()),
)
