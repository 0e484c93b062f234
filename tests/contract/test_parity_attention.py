"""Attention as others have it: the transformers library's own modules, weight for weight, in float64.

Theirs compute parts in float32 whatever they are given; `Exact` keeps them from it. B batch, T tokens, D width, K width
of a head.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from transformers import (
    DeepseekV2Config,
    DiffLlamaConfig,
    Gemma2Config,
    GptOssConfig,
    LlamaConfig,
    MistralConfig,
    Olmo2Config,
    Qwen2Config,
    Qwen3Config,
    Qwen3NextConfig,
)
from transformers.masking_utils import create_causal_mask, create_sliding_window_causal_mask
from transformers.models.deepseek_v2.modeling_deepseek_v2 import DeepseekV2Attention
from transformers.models.diffllama.modeling_diffllama import DiffLlamaAttention
from transformers.models.gemma2.modeling_gemma2 import Gemma2Attention
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssAttention
from transformers.models.llama.modeling_llama import LlamaAttention
from transformers.models.mistral.modeling_mistral import MistralAttention
from transformers.models.olmo2.modeling_olmo2 import Olmo2Attention
from transformers.models.qwen2.modeling_qwen2 import Qwen2Attention
from transformers.models.qwen3.modeling_qwen3 import Qwen3Attention
from transformers.models.qwen3_next.modeling_qwen3_next import Qwen3NextAttention

from tests.helpers.tiny import tiny_config
from tfx_engine.model.assemble import assemble
from tfx_engine.techniques.context import AttentionContext

WIDTH, HEADS, K, TOKENS = 12, 4, 6, 9
SIZES = {"width": WIDTH, "heads": HEADS, "head_width": K, "context": TOKENS, "layers": 2, "bias": False}
THEIRS = {"hidden_size": WIDTH, "num_attention_heads": HEADS, "head_dim": K, "num_hidden_layers": 2,
          "rms_norm_eps": 1e-6, "max_position_embeddings": TOKENS}  # fmt: skip
Take = Callable[[Any], Tensor]


class Exact(TorchFunctionMode):
    """What asks for float32 gets float64."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func is Tensor.float:
            return args[0].contiguous()  # float() makes a copy, too
        if kwargs.get("dtype") is torch.float32:
            kwargs["dtype"] = torch.float64
        return func(*(torch.float64 if a is torch.float32 else a for a in args), **kwargs)


@dataclasses.dataclass(frozen=True)
class Case:
    """Ours and theirs, and (our parameter's name, what of theirs it is)."""

    techniques: dict[str, Any]
    theirs: type[nn.Module]
    config: Any
    pairs: dict[str, Take]
    layer: int = 0
    rotated: int = K


def plain(*more: str, bias: tuple[str, ...] = ()) -> dict[str, Take]:
    """The four projections, and what is called alike in both."""
    names = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "o_proj"}
    pairs: dict[str, Take] = {f"{ours}.weight": lambda m, n=name: getattr(m, n).weight for ours, name in names.items()}
    pairs |= {f"{ours}.bias": lambda m, n=names[ours]: getattr(m, n).bias for ours in bias}
    if "norm" in more:
        pairs["scores.qk_norm.query_norm.weight"] = lambda m: m.q_norm.weight
        pairs["scores.qk_norm.key_norm.weight"] = lambda m: m.k_norm.weight
    return pairs


def paired(weight_MD: Tensor) -> Tensor:
    """Heads in the order 1st half, 2nd half -> each with its partner: ours lie side by side."""
    return weight_MD.unflatten(0, (2, HEADS // 2, K)).transpose(0, 1).flatten(0, 2)


def halves(weight_MD: Tensor, part: int) -> Tensor:
    """Per head [query, gate] -> one of both."""
    return weight_MD.unflatten(0, (HEADS, 2, K))[:, part].flatten(0, 1)


def offset(weight: Tensor) -> Tensor:
    """Weights that are kept as their distance to 1."""
    return 1 + weight


def up(weight_ML: Tensor, part: slice) -> Tensor:
    """Per head [key, value] -> one of both."""
    return weight_ML.unflatten(0, (HEADS, -1))[:, part].flatten(0, 1)


LATENT, ROPE, VALUE, QUERY = 5, 4, 3, 7
DEEPSEEK = {
    "query.weight": lambda m: (m.q_b_proj or m.q_proj).weight,
    "latent.weight": lambda m: m.kv_a_proj_with_mqa.weight[:LATENT],
    "key_rotated.weight": lambda m: m.kv_a_proj_with_mqa.weight[LATENT:],
    "latent_norm.weight": lambda m: m.kv_a_layernorm.weight,
    "key.weight": lambda m: up(m.kv_b_proj.weight, slice(None, K)),
    "value.weight": lambda m: up(m.kv_b_proj.weight, slice(K, None)),
    "output.weight": lambda m: m.o_proj.weight,
}
DEEPSEEK_QUERY = {
    **DEEPSEEK, "query_latent.weight": lambda m: m.q_a_proj.weight,
    "query_norm.weight": lambda m: m.q_a_layernorm.weight,
}


def deepseek(query: int | None) -> Case:
    sizes = {"kv_lora_rank": LATENT, "qk_rope_head_dim": ROPE, "qk_nope_head_dim": K, "v_head_dim": VALUE,
             "q_lora_rank": query, "head_dim": ROPE, "num_key_value_heads": HEADS}  # fmt: skip
    ours = {"use": "latent", "latent_width": LATENT, "rope_width": ROPE, "value_width": VALUE, "query_latent": query}
    position = {"use": "rotary", "layout": "interleaved"}
    config = DeepseekV2Config(**{**THEIRS, **sizes})
    pairs = DEEPSEEK_QUERY if query else DEEPSEEK
    return Case({"attention": ours, "position": position}, DeepseekV2Attention, config, pairs, rotated=ROPE)


def grouped(groups: int, **more: Any) -> dict[str, Any]:
    return {"use": "grouped_query", "kv_heads": groups, **more}


WINDOW = {"use": "sliding", "size": 4}
ALTERNATE = {**WINDOW, "full_every": 2}
ALL = ("query", "key", "value", "output")
GROUPS = {**THEIRS, "num_key_value_heads": 2}
DIFFERENTIAL = {
    "query.weight": lambda m: paired(m.q_proj.weight), "key.weight": lambda m: paired(m.k_proj.weight),
    "value.weight": lambda m: paired(m.v_proj.weight), "output.weight": lambda m: m.o_proj.weight,
    "lambda_query_1": lambda m: m.lambda_q1, "lambda_key_1": lambda m: m.lambda_k1,
    "lambda_query_2": lambda m: m.lambda_q2, "lambda_key_2": lambda m: m.lambda_k2,
}
QWEN3_NEXT = {
    **plain(), "query.weight": lambda m: halves(m.q_proj.weight, 0),
    "scores.gate.projection.weight": lambda m: halves(m.q_proj.weight, 1),
    "scores.qk_norm.query_norm.weight": lambda m: offset(m.q_norm.weight),
    "scores.qk_norm.key_norm.weight": lambda m: offset(m.k_norm.weight),
}
GEMMA2 = {**GROUPS, "sliding_window": 4, "attn_logit_softcapping": 2.0, "query_pre_attn_scalar": K}
GPT_OSS = {**GROUPS, "sliding_window": 4, "attention_bias": True}
CASES = {
    "llama": Case({"attention": grouped(2)}, LlamaAttention, LlamaConfig(**GROUPS), plain()),
    "llama-multi-query": Case(
        {"attention": grouped(1)}, LlamaAttention, LlamaConfig(**{**THEIRS, "num_key_value_heads": 1}), plain()),
    "qwen2": Case({"attention": grouped(2, bias=True, output_bias=False)}, Qwen2Attention, Qwen2Config(**GROUPS),
                  plain(bias=ALL[:3])),
    "qwen3": Case({"attention": grouped(2), "qk_norm": "per_head"}, Qwen3Attention, Qwen3Config(**GROUPS),
                  plain("norm")),
    "olmo2": Case({"attention": grouped(2), "qk_norm": "full"}, Olmo2Attention, Olmo2Config(**GROUPS),
                  plain("norm")),
    "mistral": Case({"attention": grouped(2), "window": WINDOW}, MistralAttention,
                    MistralConfig(**GROUPS, sliding_window=4), plain()),
    "gemma2": Case({"attention": grouped(2), "softcap": {"use": "tanh", "cap": 2.0}, "window": ALTERNATE},
                   Gemma2Attention, Gemma2Config(**GEMMA2), plain()),
    "gemma2-full-layer": Case({"attention": grouped(2), "softcap": {"use": "tanh", "cap": 2.0}, "window": ALTERNATE},
                              Gemma2Attention, Gemma2Config(**GEMMA2), plain(), layer=1),
    "gpt-oss": Case({"attention": grouped(2, bias=True), "sink": "learned", "window": ALTERNATE}, GptOssAttention,
                    GptOssConfig(**GPT_OSS), {**plain(bias=ALL), "scores.sink.logit_H": lambda m: m.sinks}),
    "gpt-oss-full-layer": Case(
        {"attention": grouped(2, bias=True), "sink": "learned", "window": ALTERNATE}, GptOssAttention,
        GptOssConfig(**GPT_OSS), {**plain(bias=ALL), "scores.sink.logit_H": lambda m: m.sinks}, layer=1),
    "deepseek-v2": deepseek(QUERY), "deepseek-v2-lite": deepseek(None),
    "diffllama": Case({"attention": "differential"}, DiffLlamaAttention,
                      DiffLlamaConfig(**{**THEIRS, "num_key_value_heads": HEADS, "rms_norm_eps": 1e-5}), DIFFERENTIAL,
                      layer=1),
    "qwen3-next": Case({"attention": grouped(2), "qk_norm": "per_head", "gate": "per_element"}, Qwen3NextAttention,
                       Qwen3NextConfig(**GROUPS), QWEN3_NEXT),
}  # fmt: skip


def randomly(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0.1, 0.6, generator=generator)
    return module


def angles(width: int) -> Tensor:
    """[T, width / 2] in float64, of the base 10 000."""
    frequency = torch.tensor([10_000 ** (-2 * i / width) for i in range(width // 2)], dtype=torch.float64)
    return torch.arange(TOKENS, dtype=torch.float64)[:, None] * frequency


def their_positions(case: Case) -> Any:
    angle_TR = angles(case.rotated)
    if case.theirs is DeepseekV2Attention:
        return torch.polar(torch.ones_like(angle_TR), angle_TR)[None]
    if case.theirs is not GptOssAttention:
        angle_TR = torch.cat([angle_TR, angle_TR], dim=-1)
    return angle_TR.cos()[None], angle_TR.sin()[None]


def their_mask(case: Case, x_BTD: Tensor) -> Tensor:
    """As their models make it, for the plain form."""
    windowed = case.techniques.get("window") and (case.layer + 1) % case.techniques["window"].get("full_every", 99)
    make = create_sliding_window_causal_mask if windowed else create_causal_mask
    place_BT = torch.arange(TOKENS).expand(x_BTD.shape[0], -1)
    named = inspect.signature(make).parameters
    cache = "cache" if "cache" in named else "past_key_values"  # its name in versions before 5.24
    given = {"config": case.config, "inputs_embeds": x_BTD, "attention_mask": None, "position_ids": place_BT}
    return make(**given, **{cache: None})


def with_gradients(run: Callable[[Tensor], Tensor], x_BTD: Tensor, wanted: list[Tensor]) -> list[Tensor]:
    x_BTD = x_BTD.clone().requires_grad_()
    y_BTD = run(x_BTD)
    signs = torch.linspace(-1, 1, y_BTD.numel(), dtype=y_BTD.dtype).view_as(y_BTD)
    return [y_BTD.detach(), *torch.autograd.grad((y_BTD * signs).sum(), [x_BTD, *wanted])]


@pytest.mark.parametrize("name", CASES)
def test_attention_is_that_of_the_transformers_library(name: str) -> None:
    case = CASES[name]
    case.config._attn_implementation = "eager"
    with Exact():
        theirs = randomly(case.theirs(case.config, layer_idx=case.layer).double()).eval()
    techniques = {"position": {"use": "rotary", "layout": "half"}, **case.techniques}
    model = assemble(tiny_config(techniques, model=SIZES), "cpu", torch.float64)
    ours, context = model.blocks[case.layer].attention, AttentionContext(model.mask, model.position)
    own = dict(ours.named_parameters())
    assert own.keys() == case.pairs.keys(), "every parameter has its counterpart"
    with torch.no_grad():
        for key, take in case.pairs.items():
            own[key].copy_(take(theirs))
    x_BTD = torch.randn(2, TOKENS, WIDTH, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    positions, mask = their_positions(case), their_mask(case, x_BTD)

    def run_theirs(x: Tensor) -> Tensor:
        with Exact():
            return theirs(hidden_states=x, position_embeddings=positions, attention_mask=mask)[0]

    # Theirs may be one tensor where ours are several, so ours become what theirs are made of: leaves of both.
    leaves = {n: p for n, p in theirs.named_parameters() if p.requires_grad}
    wanted = with_gradients(run_theirs, x_BTD, list(leaves.values()))
    views = {key: take(theirs) for key, take in case.pairs.items()}
    actual = with_gradients(
        lambda x: torch.func.functional_call(ours, views, (x, context)), x_BTD, list(leaves.values()))
    for key, one, other in zip(["output", "input", *leaves], actual, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10, msg=lambda m, key=key: f"{key}: {m}")
    assert ours.scores.used and math.isfinite(sum(float(g.sum()) for g in actual))
