"""The skeleton of every transformer: tokens in, logits out; what happens between is the techniques' business.

B batch, T tokens, D width, V vocabulary, F numbers of a frame, C classes. `stream` is x_BTD, or several of them where
the residual has more.
"""

from __future__ import annotations

from torch import Tensor, nn

from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.mask import Mask
from tfx_engine.techniques.position import Position
from tfx_engine.techniques.recompute import Recompute
from tfx_engine.techniques.residual import Residual


class Transformer(nn.Module):
    """tokens_BT (int64) -> logits_BTV; of a classifier, frames_BTF -> logits_BC (see `protocol.tasks`).

    The loss is the training step's business; it begins at `hidden`.
    """

    def __init__(
        self, *, embedding: nn.Module, position: Position, embedding_norm: nn.Module, blocks: list[nn.Module],
        final_norm: nn.Module, head: nn.Module, mask: Mask, residual: Residual, recompute: Recompute,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.position = position
        self.embedding_norm = embedding_norm
        self.dropout = nn.Dropout(embedding.dropout)
        self.blocks = nn.ModuleList(blocks)
        self.final_norm = final_norm
        self.head = head
        self.mask = mask
        self.residual = residual
        self.recompute = recompute

    def forward(self, inputs: Tensor) -> Tensor:
        """Scores of the whole vocabulary for every token's successor; of a classifier, of all classes for the sample.

        `inputs`: tokens_BT, int64, or frames_BTF.
        """
        return self.head(self.hidden(inputs))

    def hidden(self, inputs: Tensor) -> Tensor:
        """What the head makes logits of: x_BTD. With a class token T is one more than there are frames."""
        x_BTD = self.dropout(self.embedding_norm(self.position(self.embedding(inputs))))
        context = AttentionContext(self.mask, self.position, x_BTD)
        stream = self.residual.enter(x_BTD)
        for index, block in enumerate(self.blocks):
            stream = self.recompute(index, block, stream, context)
        return self.final_norm(self.residual.leave(stream))

    def auxiliary_loss(self) -> Tensor | None:
        """The sum of what modules added to the loss in the last forward pass; None where there is nothing."""
        found = [loss for m in self.modules() if (loss := getattr(m, "auxiliary", None)) is not None]
        return sum(found[1:], start=found[0]) if found else None

    def after_step(self) -> None:
        """Let the modules that want to do something after each step do it."""
        for module in self.modules():
            if hasattr(module, "after_step") and module is not self:
                module.after_step()
