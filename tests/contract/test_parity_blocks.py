"""Blocks and their parts are those of Hugging Face's models, weight for weight: outputs and every gradient.

Rotary positions stand still (cosine 1, sine 0) and query-key norms are taken out, so that only what belongs to the
block is compared; whole models are compared elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn
from transformers.models.cohere.modeling_cohere import CohereDecoderLayer, CohereLayerNorm
from transformers.models.gemma.modeling_gemma import GemmaMLP, GemmaRMSNorm
from transformers.models.gemma2.modeling_gemma2 import Gemma2DecoderLayer
from transformers.models.gpt_neox.modeling_gpt_neox import GPTNeoXLayer
from transformers.models.llama.modeling_llama import LlamaMLP, LlamaRMSNorm
from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock, load_balancing_loss_func
from transformers.models.nemotron.modeling_nemotron import NemotronMLP
from transformers.models.olmo2.modeling_olmo2 import Olmo2DecoderLayer

from tests.helpers.hugging_face import in_dtype
from tests.helpers.tiny import tiny_config
from tfx_engine.model.assemble import assemble
from tfx_engine.techniques.context import AttentionContext

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
WIDTH, HEADS, HEAD_WIDTH, INNER, TOKENS = 12, 3, 4, 20, 7
every_dtype = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)

HUGGING_FACE = {
    "hidden_size": WIDTH, "intermediate_size": INNER, "num_attention_heads": HEADS, "num_key_value_heads": HEADS,
    "num_hidden_layers": 1, "vocab_size": 11, "attn_implementation": "eager",
}  # fmt: skip
ATTENTION = {"query": "self_attn.q_proj", "key": "self_attn.k_proj", "value": "self_attn.v_proj",
             "output": "self_attn.o_proj"}  # fmt: skip
GATED = {"gate": "gate_proj", "up": "up_proj", "down": "down_proj"}


def model_with(dtype: torch.dtype, techniques: Mapping[str, Any], bias: bool = False) -> nn.Module:
    sizes = {"width": WIDTH, "heads": HEADS, "head_width": HEAD_WIDTH, "layers": 1, "bias": bias}
    model = assemble(tiny_config({"position": "none", **techniques}, model=sizes), "cpu", dtype)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.2, 0.4, generator=generator)
    return model


def copied(theirs: nn.Module, weights: Mapping[str, Tensor], dtype: torch.dtype) -> nn.Module:
    """Their module with our weights, under their names, and none left over."""
    missing, unknown = theirs.to(dtype).load_state_dict(dict(weights), strict=False)
    assert not unknown and not [name for name in missing if "inv_freq" not in name]
    return theirs.eval()


def outcome(module: nn.Module, function: Any, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """(output, gradient of the input); the module's gradients are filled."""
    x_BTD = torch.randn(2, TOKENS, WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)
    x_BTD.requires_grad_()
    y_BTD = function(x_BTD)
    y_BTD = y_BTD[0] if isinstance(y_BTD, tuple) else y_BTD
    (y_BTD * torch.linspace(-1, 1, y_BTD.numel(), dtype=dtype).view_as(y_BTD)).sum().backward()
    return y_BTD.detach(), x_BTD.grad


def close(one: Tensor, other: Tensor, dtype: torch.dtype, name: str) -> None:
    tolerance, scale = TOLERANCE[dtype], max(1.0, other.abs().max().item())
    torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance * scale, msg=lambda m: f"{name}: {m}")


def same(ours: nn.Module, ours_fn: Any, theirs: nn.Module, theirs_fn: Any, names: Mapping[str, str],
         dtype: torch.dtype) -> None:
    """Equal outputs and gradients; `names`: our parameter -> theirs."""
    with in_dtype(dtype):
        wanted = outcome(theirs, theirs_fn, dtype)
    actual = outcome(ours, ours_fn, dtype)
    gradients = {name: (dict(ours.named_parameters())[name].grad, dict(theirs.named_parameters())[other].grad)
                 for name, other in names.items()}  # fmt: skip
    pairs = {"output": (actual[0], wanted[0]), "input": (actual[1], wanted[1]), **gradients}
    for name, (one, other) in pairs.items():
        close(one, other, dtype, name)


def weights_of(module: nn.Module, names: Mapping[str, str]) -> dict[str, Tensor]:
    own = dict(module.named_parameters())
    assert own.keys() == names.keys(), "every parameter is compared"
    return {other: own[name].detach() for name, other in names.items()}


def block_names(norms: Mapping[str, str], feedforward: Mapping[str, str], place: str = "mlp") -> dict[str, str]:
    names = {**{f"attention.{o}": t for o, t in ATTENTION.items()}, **norms,
             **{f"feedforward.{o}": f"{place}.{t}" for o, t in feedforward.items()}}  # fmt: skip
    return {f"{ours}.weight": f"{theirs}.weight" for ours, theirs in names.items()}


def still() -> tuple[Tensor, Tensor]:
    return torch.ones(1, TOKENS, HEAD_WIDTH), torch.zeros(1, TOKENS, HEAD_WIDTH)


def causal(dtype: torch.dtype) -> Tensor:
    return torch.full((TOKENS, TOKENS), -torch.inf, dtype=dtype).triu(1)[None, None]


def same_block(model: nn.Module, theirs: nn.Module, names: Mapping[str, str], dtype: torch.dtype) -> None:
    block = model.blocks[0]
    cos, sin = (t.to(dtype) for t in still())
    same(block, lambda x: block(x, AttentionContext(model.mask, model.position, x)), theirs,
         lambda x: theirs(x, attention_mask=causal(dtype), position_embeddings=(cos, sin)), names, dtype)  # fmt: skip


@every_dtype
def test_peri_norm_with_offset_rms_norm_and_geglu_is_gemma_2s_layer(dtype: torch.dtype) -> None:
    feedforward = {"use": "geglu", "approximate": "tanh", "width": INNER}
    norm = {"use": "rms_norm", "epsilon": 1e-6, "unit_offset": True}
    model = model_with(dtype, {"placement": "peri_norm", "feedforward": feedforward, "norm": norm})
    norms = {"attention_norm": "input_layernorm", "attention_output_norm": "post_attention_layernorm",
             "feedforward_norm": "pre_feedforward_layernorm", "feedforward_output_norm": "post_feedforward_layernorm"}
    names = block_names(norms, GATED)
    config = transformers.Gemma2Config(
        **HUGGING_FACE, head_dim=HEAD_WIDTH, query_pre_attn_scalar=HEAD_WIDTH, attn_logit_softcapping=None
    )
    theirs = copied(Gemma2DecoderLayer(config, 0), weights_of(model.blocks[0], names), dtype)
    same_block(model, theirs, names, dtype)


@every_dtype
def test_residual_post_norm_with_swiglu_is_olmo_2s_layer(dtype: torch.dtype) -> None:
    techniques = {"placement": "res_post_norm", "norm": {"use": "rms_norm", "epsilon": 1e-5},
                  "feedforward": {"use": "swiglu", "width": INNER}}  # fmt: skip
    model = model_with(dtype, techniques)
    norms = {"attention_norm": "post_attention_layernorm", "feedforward_norm": "post_feedforward_layernorm"}
    names = block_names(norms, GATED)
    layer = Olmo2DecoderLayer(transformers.Olmo2Config(**HUGGING_FACE, rms_norm_eps=1e-5), 0)
    layer.self_attn.q_norm = layer.self_attn.k_norm = nn.Identity()
    same_block(model, copied(layer, weights_of(model.blocks[0], names), dtype), names, dtype)


@every_dtype
def test_a_parallel_block_with_one_norm_is_coheres_layer(dtype: torch.dtype) -> None:
    techniques = {"placement": "parallel", "norm": {"use": "layer_norm", "bias": False},
                  "feedforward": {"use": "swiglu", "width": INNER}}  # fmt: skip
    model = model_with(dtype, techniques)
    names = block_names({"attention_norm": "input_layernorm"}, GATED)
    layer = CohereDecoderLayer(transformers.CohereConfig(**HUGGING_FACE, layer_norm_eps=1e-5), 0)
    same_block(model, copied(layer, weights_of(model.blocks[0], names), dtype), names, dtype)


@every_dtype
def test_a_parallel_block_with_two_norms_is_gpt_neoxs_layer(dtype: torch.dtype) -> None:
    techniques = {"placement": {"use": "parallel", "norms": 2}, "feedforward": {"use": "gelu", "width": INNER}}
    model = model_with(dtype, techniques, bias=True)
    block = model.blocks[0]
    names = {f"{ours}.{kind}": f"{theirs}.{kind}" for kind in ("weight", "bias") for ours, theirs in (
        ("attention.output", "attention.dense"), ("attention_norm", "input_layernorm"),
        ("feedforward_norm", "post_attention_layernorm"), ("feedforward.up", "mlp.dense_h_to_4h"),
        ("feedforward.down", "mlp.dense_4h_to_h"))}  # fmt: skip
    own = dict(block.named_parameters())
    weights = {theirs: own[ours].detach() for ours, theirs in names.items()}
    for kind in ("weight", "bias"):  # head by head: query, key, value
        parts = [own[f"attention.{part}.{kind}"].detach().unflatten(0, (HEADS, HEAD_WIDTH))
                 for part in ("query", "key", "value")]  # fmt: skip
        weights[f"attention.query_key_value.{kind}"] = torch.cat(parts, dim=1).flatten(0, 1)
    config = transformers.GPTNeoXConfig(**HUGGING_FACE, use_parallel_residual=True, hidden_act="gelu")
    same_block(model, copied(GPTNeoXLayer(config, 0), weights, dtype), names, dtype)


@every_dtype
@pytest.mark.parametrize(("norm", "theirs"), [
    ({"use": "rms_norm", "epsilon": 1e-5}, lambda: LlamaRMSNorm(WIDTH, 1e-5)),
    ({"use": "rms_norm", "epsilon": 1e-6, "unit_offset": True}, lambda: GemmaRMSNorm(WIDTH, 1e-6)),
    ({"use": "layer_norm", "bias": False}, lambda: CohereLayerNorm(WIDTH, 1e-5)),
], ids=["llama", "gemma", "cohere"])  # fmt: skip
def test_norms_are_those_of_published_models(norm: dict[str, Any], theirs: Any, dtype: torch.dtype) -> None:
    ours = model_with(dtype, {"norm": norm}).final_norm
    names = {"weight": "weight"}
    other = copied(theirs(), weights_of(ours, names), dtype)
    same(ours, ours, other, other, names, dtype)


@every_dtype
@pytest.mark.parametrize(("feedforward", "make", "parts"), [
    ({"use": "swiglu"}, lambda: LlamaMLP(transformers.LlamaConfig(**HUGGING_FACE)), GATED),
    ({"use": "geglu", "approximate": "tanh"}, lambda: GemmaMLP(transformers.GemmaConfig(**HUGGING_FACE)), GATED),
    ({"use": "relu_squared"}, lambda: NemotronMLP(transformers.NemotronConfig(**HUGGING_FACE, mlp_bias=False)),
     {"up": "up_proj", "down": "down_proj"}),
], ids=["llama", "gemma", "nemotron"])  # fmt: skip
def test_feedforwards_are_those_of_published_models(
    feedforward: dict[str, Any], make: Any, parts: dict[str, str], dtype: torch.dtype
) -> None:
    ours = model_with(dtype, {"feedforward": {**feedforward, "width": INNER}}).blocks[0].feedforward
    names = {f"{own}.weight": f"{other}.weight" for own, other in parts.items()}
    theirs = copied(make(), weights_of(ours, names), dtype)
    same(ours, ours, theirs, theirs, names, dtype)


@every_dtype
@pytest.mark.parametrize("top_k", [1, 2, 4])
def test_a_mixture_of_experts_is_mixtrals(top_k: int, dtype: torch.dtype) -> None:
    options = {"use": "mixture_of_experts", "experts": 4, "top_k": top_k, "width": INNER, "balance_loss": 1.0,
               "z_loss": 0.0}  # fmt: skip
    ours = model_with(dtype, {"feedforward": options}).blocks[0].feedforward
    config = transformers.MixtralConfig(**HUGGING_FACE, num_local_experts=4, num_experts_per_tok=top_k)
    up = [torch.cat([e.gate.weight, e.up.weight]) for e in ours.experts]
    weights = {"gate.weight": ours.router.weight, "experts.gate_up_proj": torch.stack(up),
               "experts.down_proj": torch.stack([e.down.weight for e in ours.experts])}  # fmt: skip
    theirs = copied(MixtralSparseMoeBlock(config), {n: w.detach() for n, w in weights.items()}, dtype)
    logits: list[Tensor] = []
    theirs.gate.register_forward_hook(lambda m, given, result: logits.append(result[0]))
    same(ours, ours.train(), theirs, theirs, {"router.weight": "gate.weight"}, dtype)
    for e, expert in enumerate(ours.experts):
        wide = torch.cat([expert.gate.weight.grad, expert.up.weight.grad])
        close(wide, theirs.experts.gate_up_proj.grad[e], dtype, f"expert {e}, gate and up")
        close(expert.down.weight.grad, theirs.experts.down_proj.grad[e], dtype, f"expert {e}, down")
    wanted = load_balancing_loss_func((logits[0],), 4, top_k) / top_k  # theirs grows with the number of choices
    torch.testing.assert_close(ours.router.auxiliary.float(), wanted.float(), rtol=1e-5, atol=1e-6)
