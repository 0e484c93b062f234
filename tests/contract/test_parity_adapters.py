"""Adapters are what PEFT has, on a tiny transformers model with our weights: outputs, gradients, numbers of weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import IA3Config, LoraConfig, PrefixTuningConfig, get_peft_model
from torch import Tensor, nn
from torchao.quantization import to_nf4
from transformers import DynamicCache, OPTConfig, OPTForCausalLM

from tests.helpers.tiny import tiny_config
from tfx_engine.model.assemble import assemble, make_adapter
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.adapter import is_adapter
from tfx_engine.techniques.nf4 import bits_per_number, dequantise, quantise

pytestmark = [  # their own affair
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*past_key_values:FutureWarning"),
]
LINEARS = {
    "attention.query": "self_attn.q_proj", "attention.key": "self_attn.k_proj", "attention.value": "self_attn.v_proj",
    "attention.output": "self_attn.out_proj", "feedforward.up": "fc1", "feedforward.down": "fc2",
}
NORMS = {"attention_norm": "self_attn_layer_norm", "feedforward_norm": "final_layer_norm"}
SIZES = {"width": 12, "layers": 2, "heads": 3, "head_width": 4, "context": 7, "vocab": 11}
TECHNIQUES: dict[str, Any] = {"position": "learned", "head": "untied", "feedforward": {"width": 20}}


def ours_with(adapter: dict[str, Any]) -> tuple[nn.Module, Config]:
    config = tiny_config({**TECHNIQUES, "adapter": adapter}, model=SIZES, data={"task": "copy", "symbols": 5})
    model = assemble(config, "cpu", torch.float64)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.1, 0.4, generator=generator)
    return model, config


def theirs_like(model: nn.Module) -> OPTForCausalLM:
    """transformers' OPT, with GELU, and the base weights of ours."""
    config = OPTConfig(
        vocab_size=11, hidden_size=12, ffn_dim=20, num_hidden_layers=2, num_attention_heads=3, word_embed_proj_dim=12,
        max_position_embeddings=7, activation_function="gelu", dropout=0.0, tie_word_embeddings=False,
        attn_implementation="sdpa",
    )  # fmt: skip
    theirs = OPTForCausalLM(config).double().eval()
    decoder = theirs.model.decoder
    with torch.no_grad():
        decoder.embed_tokens.weight.copy_(model.embedding.weight)
        decoder.embed_positions.weight[2:].copy_(model.position.weight)
        theirs.lm_head.weight.copy_(model.head.weight)
        pairs = [(model.final_norm, decoder.final_layer_norm)]
        for ours, layer in zip(model.blocks, decoder.layers, strict=True):
            pairs += pairs_of(ours, layer)
            pairs += [(getattr(ours, a), getattr(layer, b)) for a, b in NORMS.items()]
        for mine, his in pairs:
            his.weight.copy_(mine.weight)
            his.bias.copy_(mine.bias)
    return theirs


def pairs_of(ours: nn.Module, layer: nn.Module) -> list[tuple[nn.Module, nn.Module]]:
    return [(ours.get_submodule(a), layer.get_submodule(b)) for a, b in LINEARS.items()]


def low_rank_parts(mine: nn.Module, his: nn.Module) -> list[tuple[Tensor, Tensor]]:
    parts = [(mine.adapter_A, his.lora_A["default"].weight), (mine.adapter_B, his.lora_B["default"].weight)]
    if his.lora_magnitude_vector:
        parts.append((mine.adapter_magnitude, his.lora_magnitude_vector["default"].weight))
    return parts


def scale_parts(mine: nn.Module, his: nn.Module) -> list[tuple[Tensor, Tensor]]:
    return [(mine.adapter_scale, his.ia3_l["default"])]


NAMES = [name.rpartition(".")[2] for name in LINEARS.values()]
CASES: dict[str, tuple[dict[str, Any], Any, Any]] = {
    "lora": ({"use": "lora", "rank": 3, "alpha": 5.0},
             LoraConfig(r=3, lora_alpha=5, target_modules=NAMES), low_rank_parts),
    "rslora": ({"use": "lora", "rank": 3, "alpha": 5.0, "rank_stabilised": True, "targets": ["query", "value"]},
               LoraConfig(r=3, lora_alpha=5, use_rslora=True, target_modules=["q_proj", "v_proj"]), low_rank_parts),
    "dora": ({"use": "dora", "rank": 3, "alpha": 5.0},
             LoraConfig(r=3, lora_alpha=5, use_dora=True, target_modules=NAMES), low_rank_parts),
    "ia3": ({"use": "ia3"},
            IA3Config(target_modules=["k_proj", "v_proj", "fc2"], feedforward_modules=["fc2"]), scale_parts),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_outputs_gradients_and_merged_weights_are_pefts(case: str) -> None:
    adapter, wanted, parts_of = CASES[case]
    ours, config = ours_with(adapter)
    theirs = get_peft_model(theirs_like(ours), wanted).double().eval()
    ours.eval()
    parts: list[tuple[Tensor, Tensor]] = []
    for block, layer in zip(ours.blocks, theirs.base_model.model.model.decoder.layers, strict=True):
        for mine, his in pairs_of(block, layer):
            if any(is_adapter(name) for name, _ in mine.named_parameters()):
                parts += parts_of(mine, his)
    with torch.no_grad():
        for mine, his in parts:
            his.copy_(mine.view_as(his))
    assert sum(p.numel() for p in ours.parameters() if p.requires_grad) == theirs.get_nb_trainable_parameters()[0]
    tokens_BT = torch.randint(11, (2, 7), generator=torch.Generator().manual_seed(2))
    slopes = torch.linspace(-1, 1, 2 * 7 * 11, dtype=torch.float64).view(2, 7, 11)
    logits, wanted_logits = ours(tokens_BT), theirs(tokens_BT).logits
    torch.testing.assert_close(logits, wanted_logits, rtol=1e-10, atol=1e-10)
    (logits * slopes).sum().backward()
    (wanted_logits * slopes).sum().backward()
    assert parts
    for mine, his in parts:
        torch.testing.assert_close(mine.grad, his.grad.view_as(mine), rtol=1e-10, atol=1e-10)
    make_adapter(config).merge(ours)
    merged = theirs.merge_and_unload()
    torch.testing.assert_close(ours(tokens_BT), merged(tokens_BT).logits, rtol=1e-9, atol=1e-9)
    for block, layer in zip(ours.blocks, merged.model.decoder.layers, strict=True):
        for mine, his in pairs_of(block, layer):
            torch.testing.assert_close(mine.weight, his.weight, rtol=1e-10, atol=1e-10)


def test_a_prefix_has_as_many_numbers_as_pefts() -> None:
    ours, _ = ours_with({"use": "prefix", "tokens": 5})
    wanted = PrefixTuningConfig(num_virtual_tokens=5, task_type="CAUSAL_LM")
    theirs = get_peft_model(theirs_like(ours), wanted)
    assert sum(p.numel() for p in ours.parameters() if p.requires_grad) == theirs.get_nb_trainable_parameters()[0]


def test_a_prefix_is_a_cache_of_keys_and_values_in_transformers() -> None:
    ours, _ = ours_with({"use": "prefix", "tokens": 5})
    theirs, cache = theirs_like(ours), DynamicCache()
    for layer, block in enumerate(ours.blocks):
        cache.update(*(x.detach() for x in block.attention.scores.prefix(2)), layer)
    tokens_BT = torch.randint(11, (2, 7), generator=torch.Generator().manual_seed(2))
    places_BT = torch.arange(7).expand(2, 7)
    wanted = theirs(tokens_BT, past_key_values=cache, position_ids=places_BT, cache_position=torch.arange(5, 12)).logits
    torch.testing.assert_close(ours(tokens_BT), wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shape", [(256, 64), (512, 192)])
def test_weights_in_four_bits_are_torchaos(shape: tuple[int, int]) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    packed = quantise(weight)
    ours, theirs = dequantise(packed, torch.float32), to_nf4(weight, 64, 256).get_original_weight()
    sizes = weight.view(-1, 64).abs().amax(dim=1).repeat_interleave(64).view(shape)
    other = (ours - theirs).abs() > 0.01 * sizes  # torchao's values have 4 digits: between two codes it may differ
    assert other.float().mean() < 0.002
    errors = [((x - weight).square().mean().sqrt() / weight.std()).item() for x in (ours, theirs)]
    assert errors[0] == pytest.approx(errors[1], rel=1e-3) and 0.085 < errors[0] < 0.1
    kept = sum(t.numel() * t.element_size() for t in (packed.codes, packed.sizes, packed.steps, packed.mean))
    assert 8 * kept / weight.numel() == bits_per_number(weight.numel()) < 4.13


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (65, 3), (7, 129)])
def test_four_bits_take_every_shape_and_keep_zeros_and_signs(shape: tuple[int, int]) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    weight[0, 0] = 0.0
    back = dequantise(quantise(weight), torch.float64)
    assert back.shape == shape and back.dtype == torch.float64
    assert back[0, 0] == 0 and (back.sign() * weight.sign() >= 0).all()
    assert (back - weight).abs().max() <= 0.17 * weight.abs().max()
    assert torch.equal(dequantise(quantise(torch.zeros(shape)), torch.float32), torch.zeros(shape))
