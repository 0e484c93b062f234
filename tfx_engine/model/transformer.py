"""The skeleton of every transformer: tokens in, logits out; what happens between is the techniques' business.

B batch, T tokens, D width, V vocabulary.
"""

from __future__ import annotations

from torch import Tensor, nn

from tfx_engine.techniques.mask import Mask
from tfx_engine.techniques.recompute import Recompute


class Transformer(nn.Module):
    """tokens_BT (int64) -> logits_BTV. The loss is the training step's business."""

    def __init__(
        self, *, embedding: nn.Module, position: nn.Module, blocks: list[nn.Module], final_norm: nn.Module,
        head: nn.Module, mask: Mask, recompute: Recompute,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.position = position
        self.dropout = nn.Dropout(embedding.dropout)
        self.blocks = nn.ModuleList(blocks)
        self.final_norm = final_norm
        self.head = head
        self.mask = mask
        self.recompute = recompute

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """Scores of the whole vocabulary, for every token's successor."""
        x_BTD = self.dropout(self.position(self.embedding(tokens_BT)))
        for index, block in enumerate(self.blocks):
            x_BTD = self.recompute(index, block, x_BTD, self.mask)
        return self.head(self.final_norm(x_BTD))
