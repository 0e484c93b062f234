"""The assembled model is the one that others have: torch's own encoder layer, weight for weight."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.helpers.tiny import tiny_config
from tfx_engine.model.assemble import assemble
from tfx_engine.techniques.context import AttentionContext


def encoder_layer_like(block: nn.Module, norm_first: bool, approximate: str) -> nn.TransformerEncoderLayer:
    """torch's layer with the weights of one of our blocks."""
    attention, feedforward = block.attention, block.feedforward
    layer = nn.TransformerEncoderLayer(
        d_model=attention.query.in_features, nhead=attention.heads, dim_feedforward=feedforward.up.out_features,
        dropout=0.0, activation=nn.GELU(approximate), batch_first=True, norm_first=norm_first, dtype=torch.float64,
    )  # fmt: skip
    pairs = [
        (layer.self_attn.out_proj, attention.output),
        (layer.linear1, feedforward.up), (layer.linear2, feedforward.down),
        (layer.norm1, block.attention_norm), (layer.norm2, block.feedforward_norm),
    ]  # fmt: skip
    with torch.no_grad():
        for theirs, ours in pairs:
            theirs.load_state_dict(ours.state_dict())
        projections = (attention.query, attention.key, attention.value)
        layer.self_attn.in_proj_weight.copy_(torch.cat([p.weight for p in projections]))
        layer.self_attn.in_proj_bias.copy_(torch.cat([p.bias for p in projections]))
    return layer


def gradient_of_input(module, x_BTD: Tensor, *more, **named) -> tuple[Tensor, Tensor]:
    x_BTD = x_BTD.clone().requires_grad_()
    y_BTD = module(x_BTD, *more, **named)
    y_BTD.square().sum().backward()
    return y_BTD.detach(), x_BTD.grad


@pytest.mark.parametrize("mask", ["causal", "bidirectional"])
@pytest.mark.parametrize(("placement", "norm_first"), [("pre_norm", True), ("post_norm", False)])
@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_a_block_is_torchs_encoder_layer(placement: str, norm_first: bool, mask: str, approximate: str) -> None:
    techniques = {"placement": placement, "mask": mask, "feedforward": {"approximate": approximate, "width": 13}}
    sizes = {"width": 12, "heads": 3, "head_width": None}
    model = assemble(tiny_config(techniques, model=sizes, data={"task": "recall"}), "cpu", torch.float64)
    with torch.no_grad():
        for parameter in model.blocks[0].parameters():
            parameter.normal_(0.2, 0.5, generator=torch.Generator().manual_seed(parameter.numel()))
    layer = encoder_layer_like(model.blocks[0], norm_first, approximate)
    x_BTD = torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    forbidden_TT = ~model.mask.allowed(5)
    ours = gradient_of_input(model.blocks[0], x_BTD, AttentionContext(model.mask, model.position))
    theirs = gradient_of_input(layer, x_BTD, src_mask=forbidden_TT)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    for name, ours_weight in (("linear1", model.blocks[0].feedforward.up), ("norm1", model.blocks[0].attention_norm)):
        torch.testing.assert_close(ours_weight.weight.grad, getattr(layer, name).weight.grad, rtol=1e-9, atol=1e-9)


def test_without_a_final_norm_post_norm_goes_straight_to_the_head() -> None:
    model = assemble(tiny_config({"placement": "post_norm"}), "cpu")
    assert isinstance(model.final_norm, nn.Identity)
    assert isinstance(assemble(tiny_config({"placement": "pre_norm"}), "cpu").final_norm, nn.LayerNorm)
