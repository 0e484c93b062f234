"""Multi-head attention: several small attentions side by side, each free to look for something else.

What it is: queries, keys and values are three linear views of the input, cut into h heads of width k. Each head
compares its queries with its keys, turns the scores into weights with a softmax, and mixes its values by them. The
heads' outputs stand side by side and one more linear layer mixes them. The width of a head is free: h · k need not be
the width of the model.

Formula, per head: softmax(Q Kᵀ / sqrt(k)) V, masked scores being -∞.

What it costs, per block: 4 · d · h · k parameters (and 3 · h · k + d biases), 8 · d · h · k FLOPs per token for the
four projections and 4 · T · h · k for scores and mixing. It runs through torch's fused attention, which never keeps the
T × T weights; the attention maps are recomputed from queries and keys, for one sample, beside it.

Paper: Vaswani and others, "Attention Is All You Need" (2017), section 3.2, arXiv:1706.03762.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques import probe
from tfx_engine.techniques.mask import Mask
from tfx_engine.techniques.technique import Technique

# B batch, T tokens, D width of the model, H heads, K width of a head


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    bias: bool | None = option(
        None, kind="bool", label="biases", automatic="as the model's biases",
        help="Biases in the four projections: query, key, value and output.",
    )


class MultiHeadAttention(nn.Module):
    """(x_BTD, mask) -> x_BTD. `label` names the layer in what probes record."""

    def __init__(self, width: int, heads: int, head_width: int, bias: bool) -> None:
        super().__init__()
        self.heads, self.head_width = heads, head_width
        self.label = ""
        self.query = nn.Linear(width, heads * head_width, bias)
        self.key = nn.Linear(width, heads * head_width, bias)
        self.value = nn.Linear(width, heads * head_width, bias)
        self.output = nn.Linear(heads * head_width, width, bias)

    def forward(self, x_BTD: Tensor, mask: Mask) -> Tensor:
        """Attend, through the fastest kernel that torch has here."""
        batch, tokens, _ = x_BTD.shape
        shape = (batch, tokens, self.heads, self.head_width)
        q_BHTK = self.query(x_BTD).view(shape).transpose(1, 2)
        k_BHTK = self.key(x_BTD).view(shape).transpose(1, 2)
        v_BHTK = self.value(x_BTD).view(shape).transpose(1, 2)
        if probe.recorder is not None:
            probe.recorder.record(self.label, q_BHTK, k_BHTK, 1 / math.sqrt(self.head_width), mask)
        y_BHTK = F.scaled_dot_product_attention(
            q_BHTK, k_BHTK, v_BHTK, attn_mask=mask.bias(tokens, x_BTD.device), is_causal=mask.is_causal
        )
        return self.output(y_BHTK.transpose(1, 2).reshape(batch, tokens, -1))


def build(options: Options, config: Config) -> nn.Module:
    """Attention of the model's width, heads and head width."""
    bias = config.model.bias if options.bias is None else options.bias
    return MultiHeadAttention(config.model.width, config.model.heads, config.head_width, bias)


def reference(module: MultiHeadAttention, x_BTD: Tensor, mask: Mask) -> Tensor:
    """Head by head, with the whole square of scores."""
    tokens, k = x_BTD.shape[1], module.head_width
    forbidden_TT = ~mask.allowed(tokens, x_BTD.device)
    q_BTM, k_BTM, v_BTM = module.query(x_BTD), module.key(x_BTD), module.value(x_BTD)
    heads_BTK = []
    for h in range(module.heads):
        columns = slice(h * k, (h + 1) * k)
        scores_BTT = q_BTM[..., columns] @ k_BTM[..., columns].transpose(1, 2) / math.sqrt(k)
        weights_BTT = scores_BTT.masked_fill(forbidden_TT, -torch.inf).softmax(dim=-1)
        heads_BTK.append(weights_BTT @ v_BTM[..., columns])
    return module.output(torch.cat(heads_BTK, dim=-1))


def params(options: Options, config: Config) -> int:
    """4 d h k per block, and 3 h k + d biases."""
    d, inner = config.model.width, config.model.heads * config.head_width
    bias = config.model.bias if options.bias is None else options.bias
    return config.model.layers * (4 * d * inner + (3 * inner + d if bias else 0))


TECHNIQUE = Technique(
    module=__name__,
    slot="attention",
    order=0,
    title="Multi-head attention",
    short="multi-head",
    summary="Several small attentions side by side, each free to look for something else.",
    paper="Vaswani et al. 2017, arXiv:1706.03762",
    guide=Guide(
        choose="you want the standard: every head has queries, keys and values of its own.",
        avoid="keys and values of long contexts must be kept for generation: they are largest here.",
    ),
    build=build,
    reference=reference,
    options=Options,
    params=params,
    effects=(
        Effect(quantity="parameters", sign="+", formula="layers × (4 · width · heads · head width + biases)"),
        Effect(
            quantity="flops", sign="+",
            formula="per token and layer: 8 · width · heads · head width + 4 · T · heads · head width",
        ),
        Effect(quantity="activations", sign="+", formula="per token and layer: x, q, k, v, output, 4 bytes each"),
    ),
)
