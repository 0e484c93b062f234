"""Whole models: Hugging Face's own, tiny and random, imported as a folder; the same logits and the same gradients.

Configuration and weights go through our importer, so a wrong key, a wrong name, a transposed matrix or a head out of
its place shows here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from tests.helpers.hugging_face import gradients_of, imported, in_dtype, randomised

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
# BLOOM's own code writes sqrt(2 / π) with eight digits.
INEXACT = {("bloom", torch.float64): 1e-8}
TOKENS = 11  # numbered from 3 on: some models leave out the tokens that pad
SIZES = {"vocab_size": 260, "attn_implementation": "eager"}
GPT2 = {**SIZES, "n_embd": 24, "n_layer": 2, "n_head": 3, "n_positions": 16}
LLAMA = {**SIZES, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
         "intermediate_size": 40, "max_position_embeddings": 64}
GEMMA = {**LLAMA, "num_hidden_layers": 4, "head_dim": 10, "sliding_window": 4}
DEEPSEEK = {
    **LLAMA, "num_key_value_heads": 4, "q_lora_rank": None, "kv_lora_rank": 10, "n_routed_experts": 4,
    "n_shared_experts": 2, "num_experts_per_tok": 2, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 6,
    "moe_intermediate_size": 12, "first_k_dense_replace": 0,
}
SHARED = {"hidden_size": 32, "num_hidden_layers": 2}
NEOX = {**SIZES, **SHARED, "num_attention_heads": 4, "intermediate_size": 40}
FALCON = {**SIZES, **SHARED, "num_attention_heads": 4}
BERT = {**SIZES, **SHARED, "num_attention_heads": 4, "intermediate_size": 40, "max_position_embeddings": 16}

MODELS: dict[str, Callable[[], nn.Module]] = {
    "gpt2": lambda: transformers.GPT2LMHeadModel(transformers.GPT2Config(**GPT2)),
    "gpt2, inner width, relu": lambda: transformers.GPT2LMHeadModel(transformers.GPT2Config(
        **GPT2, n_inner=40, activation_function="gelu", layer_norm_epsilon=1e-3)),
    "bloom": lambda: transformers.BloomForCausalLM(transformers.BloomConfig(
        **SIZES, hidden_size=24, n_layer=2, n_head=3)),
    "gpt_neox": lambda: transformers.GPTNeoXForCausalLM(transformers.GPTNeoXConfig(**NEOX)),
    "gpt_neox, in sequence, another base": lambda: transformers.GPTNeoXForCausalLM(transformers.GPTNeoXConfig(
        **NEOX, use_parallel_residual=False, rope_parameters={"rope_type": "default", "rope_theta": 500.0,
                                                              "partial_rotary_factor": 0.5})),
    "falcon": lambda: transformers.FalconForCausalLM(transformers.FalconConfig(**FALCON)),
    "falcon, groups and two norms": lambda: transformers.FalconForCausalLM(transformers.FalconConfig(
        **FALCON, new_decoder_architecture=True, num_kv_heads=2, bias=True)),
    "mpt": lambda: transformers.MptForCausalLM(transformers.MptConfig(
        vocab_size=260, d_model=24, n_heads=3, n_layers=2)),
    "phi": lambda: transformers.PhiForCausalLM(transformers.PhiConfig(
        **SIZES, **SHARED, intermediate_size=40, num_attention_heads=4)),
    "bert": lambda: transformers.BertForMaskedLM(transformers.BertConfig(**BERT)),
    "roberta": lambda: transformers.RobertaForMaskedLM(transformers.RobertaConfig(
        **BERT | {"max_position_embeddings": 18, "type_vocab_size": 1}, pad_token_id=1)),
    "distilbert": lambda: transformers.DistilBertForMaskedLM(transformers.DistilBertConfig(
        **SIZES, dim=24, n_layers=2, n_heads=3, hidden_dim=40, max_position_embeddings=16)),
    "llama": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**LLAMA)),
    "llama, tied, biases, free head width, llama3 scaling": lambda: transformers.LlamaForCausalLM(
        transformers.LlamaConfig(**LLAMA, tie_word_embeddings=True, attention_bias=True, mlp_bias=True, head_dim=10,
                                 rope_parameters={"rope_type": "llama3", "rope_theta": 50.0, "factor": 4.0,
                                                  "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                                  "original_max_position_embeddings": 16})),
    "llama, yarn": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(
        **LLAMA, rope_parameters={"rope_type": "yarn", "rope_theta": 50.0, "factor": 4.0,
                                  "original_max_position_embeddings": 16})),
    "llama, multi-head, linear scaling": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(
        **LLAMA | {"num_key_value_heads": 4},
        rope_parameters={"rope_type": "linear", "rope_theta": 50.0, "factor": 3.0})),
    "mistral": lambda: transformers.MistralForCausalLM(transformers.MistralConfig(**LLAMA, sliding_window=4)),
    "qwen2": lambda: transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**LLAMA)),
    "qwen3": lambda: transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**LLAMA, head_dim=10)),
    "olmo2": lambda: transformers.Olmo2ForCausalLM(transformers.Olmo2Config(**LLAMA)),
    "smollm3": lambda: transformers.SmolLM3ForCausalLM(transformers.SmolLM3Config(
        **LLAMA | {"num_hidden_layers": 4}, pad_token_id=0)),
    "gemma": lambda: transformers.GemmaForCausalLM(transformers.GemmaConfig(**LLAMA, head_dim=10)),
    "gemma2": lambda: transformers.Gemma2ForCausalLM(transformers.Gemma2Config(
        **GEMMA, attn_logit_softcapping=3.0, final_logit_softcapping=2.0, query_pre_attn_scalar=7)),
    "gemma3": lambda: transformers.Gemma3ForCausalLM(transformers.Gemma3TextConfig(
        **GEMMA, query_pre_attn_scalar=10, layer_types=["sliding_attention", "full_attention"] * 2)),
    "cohere": lambda: transformers.CohereForCausalLM(transformers.CohereConfig(**LLAMA)),
    "opt": lambda: transformers.OPTForCausalLM(transformers.OPTConfig(
        **SIZES, **SHARED, num_attention_heads=4, ffn_dim=40, word_embed_proj_dim=32, max_position_embeddings=16)),
    "opt, no biases, gelu": lambda: transformers.OPTForCausalLM(transformers.OPTConfig(
        **SIZES, **SHARED, num_attention_heads=4, ffn_dim=40, word_embed_proj_dim=32, max_position_embeddings=16,
        enable_bias=False, activation_function="gelu")),
    "mixtral": lambda: transformers.MixtralForCausalLM(transformers.MixtralConfig(**LLAMA, num_local_experts=3)),
    "qwen3_moe": lambda: transformers.Qwen3MoeForCausalLM(transformers.Qwen3MoeConfig(
        **LLAMA, head_dim=10, num_experts=5, num_experts_per_tok=2, moe_intermediate_size=12)),
    "diffllama": lambda: transformers.DiffLlamaForCausalLM(transformers.DiffLlamaConfig(
        **LLAMA | {"num_key_value_heads": 4})),
    "deepseek_v2": lambda: transformers.DeepseekV2ForCausalLM(transformers.DeepseekV2Config(**DEEPSEEK)),
    "deepseek_v2, query latent, yarn": lambda: transformers.DeepseekV2ForCausalLM(transformers.DeepseekV2Config(
        **DEEPSEEK | {"q_lora_rank": 14}, rope_parameters={
            "rope_type": "yarn", "rope_theta": 50.0, "factor": 4.0, "mscale": 0.7, "mscale_all_dim": 0.5,
            "original_max_position_embeddings": 16})),
    "vit": lambda: transformers.ViTForImageClassification(transformers.ViTConfig(
        **SHARED, num_attention_heads=4, intermediate_size=40, image_size=8, patch_size=2, num_channels=3,
        num_labels=5, attn_implementation="eager")),
    "gpt1": lambda: transformers.OpenAIGPTLMHeadModel(transformers.OpenAIGPTConfig(**GPT2)),
}


def close(actual: Tensor, wanted: Tensor, tolerance: float, what: str) -> None:
    scale = max(1.0, wanted.abs().max().item())
    torch.testing.assert_close(actual, wanted, rtol=tolerance, atol=tolerance * scale, msg=lambda m: f"{what}: {m}")


def backward(logits: Tensor) -> None:
    """From a sum over all logits, each with a weight of its own."""
    (logits * torch.linspace(-1, 1, logits.numel(), dtype=logits.dtype).view_as(logits)).sum().backward()


def inputs_of(given: dict[str, Tensor]) -> Tensor:
    """Tokens as they are; an image as patches of 2 x 2, row by row, each colour by colour."""
    if "input_ids" in given:
        return given["input_ids"]
    return nn.functional.unfold(given["pixel_values"], 2, stride=2).transpose(1, 2)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_the_imported_model_has_the_logits_and_every_gradient_of_its_original(
    name: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    generator = torch.Generator().manual_seed(2)
    given = {"input_ids": torch.randint(3, 260, (2, TOKENS), generator=generator)}
    if name.startswith("vit"):
        given = {"pixel_values": torch.randn(2, 3, 8, 8, generator=generator, dtype=torch.float64).to(dtype)}
    with in_dtype(dtype):
        theirs = randomised(MODELS[name](), dtype)
        logits: Any = theirs(**given).logits
        backward(logits)
    found, ours = imported(theirs, tmp_path / "model", dtype)
    lost = [problem.sentence() for problem in found.lost]
    assert not [sentence for sentence in lost if "dropout" not in sentence and "masked words" not in sentence]
    actual, tolerance = ours(inputs_of(given)), INEXACT.get((name, dtype), TOLERANCE[dtype])
    backward(actual)
    close(actual.detach(), logits.detach(), tolerance, "logits")
    wanted = gradients_of(theirs, tmp_path / "gradients")
    assert wanted.keys() == dict(ours.named_parameters()).keys()
    for parameter, tensor in ours.named_parameters():
        assert tensor.grad is not None, parameter
        close(tensor.grad, wanted[parameter], tolerance, f"gradient of {parameter}")
