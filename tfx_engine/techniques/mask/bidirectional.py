"""Bidirectional mask: every token looks at every token.

What it is: no mask at all, as in encoders. A token's vector can depend on what follows it, so that a word may be
understood from the rest of its sentence and a patch of an image from all the others. That makes next-token prediction
pointless: the answer stands in the input, one place further on, and a model learns to copy it in a few steps. The loss
would fall to zero and mean nothing, so tasks of that kind are refused.

Formula: query i may look at every key j; nothing is added to the scores.

What it costs: the full T × T attention, about twice the useful work of the causal mask; fused kernels have nothing to
skip. FLOPs are counted for the full square with either mask, so the counted figures are equal and the time is not.
Text cannot be generated token by token as cheaply as with a causal mask: each new token would change the vectors of
all earlier ones.

Choose it when the whole input is known: classification, retrieval, filling gaps, images and sounds cut into frames.
Tasks with one answer per sample have it by default.

Rather not when the model predicts what comes next. Nor without positions: attention by itself sees a bag of tokens,
and only the causal mask hints at their order, so that combination is warned of. For a known beginning with a
continuation that is predicted, the prefix mask is bidirectional in the first part and causal after it.

Paper: Vaswani and others, "Attention Is All You Need" (2017), arXiv:1706.03762 (the encoder); Devlin and others,
"BERT" (2018), arXiv:1810.04805.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.claims import Shows
from tfx_engine.techniques.mask import Mask
from tfx_engine.techniques.technique import NoOptions, Technique


class BidirectionalMask(Mask):
    """The whole square."""

    def allowed(self, tokens: int, device: torch.device | str = "cpu") -> Tensor:
        """bool [T, T]: everything."""
        return torch.ones(tokens, tokens, dtype=torch.bool, device=device)


def check(options: NoOptions, config: Config) -> Iterator[Problem]:
    """Refuse tasks whose answer is the next token of the input."""
    if config.task.next_token:
        yield Problem(
            code="answer-leaks", path="techniques.mask.use",
            template="'bidirectional' lets every token see the next one, which is the answer of the task {task!r}.",
            hint_template="Choose the mask 'causal', or the task 'recall'.", args={"task": config.data.task},
        )


def build(options: NoOptions, config: Config) -> Mask:
    """The mask."""
    return BidirectionalMask(is_full=True)


def reference(tokens: int) -> Tensor:
    """bool [T, T], entry by entry."""
    return torch.tensor([[True for _ in range(tokens)] for _ in range(tokens)])


TECHNIQUE = Technique(
    module=__name__,
    slot="mask",
    order=1,
    title="Bidirectional",
    short="bidirectional",
    summary="Every token looks at every token, also at those that follow it.",
    paper="Devlin et al. 2018, arXiv:1810.04805",
    guide=Guide(
        choose="the whole input is known: classification, retrieval, filling gaps.",
        avoid="the model predicts the next token: it would read the answer off its input.",
    ),
    build=build,
    reference=reference,
    check=check,
    effects=(Effect(quantity="time", sign="+", formula="no score is skipped"),),
    claims=(Shows(),),
)
