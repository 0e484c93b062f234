"""Slot `attention`: a module (x_BTD, context) -> x_BTD through which tokens exchange information.

B batch, T tokens, D width of the model, H query heads, G key heads, K width of a head.
"""

from __future__ import annotations

from torch import Tensor, nn

from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.scores import HeadShape, MakeScores
from tfx_engine.techniques.scores_memory import attended, gated, prepared
from tfx_engine.techniques.tape import Tape, Value


class ProjectedAttention(nn.Module):
    """(x_BTD, context) -> x_BTD: one linear layer each for queries, keys, values and output."""

    def __init__(
        self, width: int, shape: HeadShape, bias: bool, output_bias: bool, make_scores: MakeScores
    ) -> None:
        super().__init__()
        self.shape, self.heads, self.head_width = shape, shape.heads, shape.width
        self.scores = make_scores(shape)
        self.query = nn.Linear(width, shape.heads * shape.width, bias)
        self.key = nn.Linear(width, shape.key_heads * shape.width, bias)
        self.value = nn.Linear(width, shape.key_heads * shape.value_width, bias)
        self.output = nn.Linear(shape.heads * shape.value_width, width, output_bias)

    def forward(self, x_BTD: Tensor, context: AttentionContext) -> Tensor:
        """Project, attend, project back."""
        q_BHTK = split_heads(self.query(x_BTD), self.shape.heads)
        k_BGTK = split_heads(self.key(x_BTD), self.shape.key_heads)
        v_BGTK = split_heads(self.value(x_BTD), self.shape.key_heads)
        q_BHTK, k_BGTK = self.scores.prepare(q_BHTK, k_BGTK, context)
        y_BHTK = self.scores.gated(x_BTD, self.scores.attend(q_BHTK, k_BGTK, v_BGTK, context))
        return self.output(join_heads(y_BHTK))


def split_heads(x_BTM: Tensor, heads: int) -> Tensor:
    """[B, T, heads · K] -> [B, heads, T, K]."""
    batch, tokens, _ = x_BTM.shape
    return x_BTM.view(batch, tokens, heads, -1).transpose(1, 2)


def join_heads(y_BHTK: Tensor) -> Tensor:
    """[B, H, T, K] -> [B, T, H · K]."""
    return y_BHTK.transpose(1, 2).flatten(2)


def projected_memory(tape: Tape, x: Value) -> Value:
    """The memory of `ProjectedAttention`."""
    q, k, v = (tape.linear(name, x) for name in ("query", "key", "value"))
    q, k = prepared(tape, q, k)
    return tape.linear("output", tape.joined(gated(tape, x, attended(tape, q, k, v))))
