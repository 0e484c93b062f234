"""A classifier with a class token is the Vision Transformer of `transformers`, weight for weight."""

from __future__ import annotations

import pytest
import torch
from transformers import ViTConfig, ViTForImageClassification

from tests.helpers.tiny import tiny_config
from tfx_engine.data import make_task
from tfx_engine.model.assemble import assemble
from tfx_engine.model.transformer import Transformer

NAMES = {
    "final_norm": "vit.layernorm", "head": "classifier", "embedding": "vit.embeddings.patch_embeddings.projection",
    **{f"blocks.{i}.{ours}": f"vit.layers.{i}.{theirs}" for i in range(2) for ours, theirs in (
        ("attention_norm", "layernorm_before"), ("feedforward_norm", "layernorm_after"),
        ("attention.query", "attention.q_proj"), ("attention.key", "attention.k_proj"),
        ("attention.value", "attention.v_proj"), ("attention.output", "attention.o_proj"),
        ("feedforward.up", "mlp.fc1"), ("feedforward.down", "mlp.fc2"),
    )},
}  # fmt: skip


def by_our_names(theirs: ViTForImageClassification) -> dict[str, torch.Tensor]:
    """Their weights in our shapes."""
    state = theirs.state_dict()
    found = {f"{mine}.{kind}": state[f"{name}.{kind}"] for mine, name in NAMES.items() for kind in ("weight", "bias")}
    found["embedding.weight"] = found["embedding.weight"].flatten(1)
    found["embedding.class_token"] = state["vit.embeddings.cls_token"].flatten()
    found["position.weight"] = state["vit.embeddings.position_embeddings"][0]
    assert len(found) == len(state)
    return found


@pytest.fixture
def models() -> tuple[Transformer, ViTForImageClassification]:
    torch.manual_seed(0)
    theirs = ViTForImageClassification(ViTConfig(
        hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=20, image_size=8, patch_size=2,
        num_channels=1, num_labels=10, layer_norm_eps=1e-5, attn_implementation="sdpa",
    )).double().eval()  # fmt: skip
    techniques = {"position": "learned", "embedding": {"class_token": True}, "feedforward": {"width": 20}}
    model = {"width": 12, "heads": 3, "head_width": None}
    ours = assemble(tiny_config(techniques, model=model, data={"task": "digits"}), "cpu", torch.float64)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_(0.1, 0.4)
        weights = by_our_names(theirs)
        assert weights.keys() == dict(ours.named_parameters()).keys()
        ours.load_state_dict(weights)
    return ours.eval(), theirs


def test_scores_and_gradients_are_those_of_the_vision_transformer(models) -> None:
    ours, theirs = models
    frames_BTF, classes_B = make_task(tiny_config(data={"task": "digits"})).batch(0)
    frames_BTF = frames_BTF.double()
    images = frames_BTF.view(-1, 4, 4, 2, 2).transpose(2, 3).reshape(-1, 1, 8, 8)
    scores_BC, wanted_BC = ours(frames_BTF), theirs(pixel_values=images).logits
    torch.testing.assert_close(scores_BC, wanted_BC, rtol=1e-10, atol=1e-10)
    for scores in (scores_BC, wanted_BC):
        torch.nn.functional.cross_entropy(scores, classes_B).backward()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.copy_(parameter.grad)
    wanted = by_our_names(theirs)
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[name], rtol=1e-10, atol=1e-10)
