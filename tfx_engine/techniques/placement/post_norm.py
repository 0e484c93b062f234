"""Post-norm: the norm stands after the residual sum, as in the original transformer.

What it is: every block's output is normalised, so activations keep their size at any depth and no final norm is
needed. But each norm also stands in the gradient's way: gradients are large near the output at the start, and
training needs a gentle beginning (warm-up).

Formula, per block:
    x = Norm(x + Attention(x))
    x = Norm(x + FeedForward(x))

What it costs: two norms per block. At initialisation the gradient of the last feed-forward does not shrink with depth.

Paper: Vaswani and others, "Attention Is All You Need" (2017), arXiv:1706.03762; analysed by Xiong and others (2020),
arXiv:2002.04745.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.mask import Mask
from tfx_engine.techniques.technique import NoOptions, Technique


class PostNormBlock(nn.Module):
    """(x_BTD, mask) -> x_BTD."""

    def __init__(self, attention: nn.Module, feedforward: nn.Module, make_norm: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.attention = attention
        self.attention_norm = make_norm()
        self.feedforward = feedforward
        self.feedforward_norm = make_norm()

    def forward(self, x_BTD: Tensor, mask: Mask) -> Tensor:
        """Two residual sums, each normalised."""
        x_BTD = self.attention_norm(x_BTD + self.attention(x_BTD, mask))
        return self.feedforward_norm(x_BTD + self.feedforward(x_BTD))


class PostNorm:
    """The placement: the last block's norm is the last norm."""

    final_norm = False
    block = PostNormBlock


def build(options: NoOptions, config: Config) -> PostNorm:
    """The placement."""
    return PostNorm()


def reference(block: PostNormBlock, x_BTD: Tensor, mask: Mask) -> Tensor:
    """Step by step."""
    summed_BTD = block.attention(x_BTD, mask).add(x_BTD)
    after_attention_BTD = block.attention_norm(summed_BTD)
    summed_BTD = block.feedforward(after_attention_BTD).add(after_attention_BTD)
    return block.feedforward_norm(summed_BTD)


TECHNIQUE = Technique(
    module=__name__,
    slot="placement",
    order=1,
    title="Post-norm",
    short="post-norm",
    summary="The norm stands after the residual sum, as in the original transformer.",
    paper="Vaswani et al. 2017, arXiv:1706.03762",
    guide=Guide(
        choose="you rebuild the original transformer or BERT, shallow, with warm-up.",
        avoid="the model is deep or there is no warm-up: training may stall at a plateau.",
    ),
    build=build,
    reference=reference,
    effects=(
        Effect(quantity="parameters", sign="0", formula="no final norm"),
        Effect(quantity="gradients", sign="+", formula="norm of the last block's gradient does not fall with depth"),
    ),
)
