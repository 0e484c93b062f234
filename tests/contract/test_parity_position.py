"""Positions are those of the ecosystem: frequencies, rotations, biases and buckets, and the gradients through them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.gpt_neox import modeling_gpt_neox
from transformers.models.gptj import modeling_gptj
from transformers.models.llama import modeling_llama
from transformers.models.marian.modeling_marian import MarianSinusoidalPositionalEmbedding
from transformers.models.mpt.modeling_mpt import build_mpt_alibi_tensor
from transformers.models.t5.modeling_t5 import T5Attention

from tests.helpers.tiny import tiny_config
from tfx_engine.model.assemble import assemble
from tfx_engine.techniques.frequencies import frequencies
from tfx_engine.techniques.position import Position, rotary, t5_bias
from tfx_engine.techniques.position.alibi import slopes

TOKENS = 40


def position(name: str, *, heads: int = 4, head_width: int = 16, mask: str = "causal", **options: Any) -> Position:
    sizes = {"width": 24, "heads": heads, "head_width": head_width, "context": TOKENS, "vocab": 50}
    techniques = {"position": {"use": name, **options}, "mask": mask}
    return assemble(tiny_config(techniques, model=sizes, data={"task": "recall"}), "cpu", torch.float64).position


def queries_and_keys(head_width: int = 16) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    q, k = (torch.randn(2, heads, TOKENS, head_width, generator=generator, dtype=torch.float64) for heads in (4, 2))
    return q.requires_grad_(), k.requires_grad_()


def same_with_gradients(ours: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor], leaves: Any, digits: float) -> None:
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other.double(), rtol=digits, atol=digits)
    found = []
    for pair in (ours, theirs):
        total = sum((x.double() * torch.linspace(-1, 1, x.numel(), dtype=torch.float64).view_as(x)).sum() for x in pair)
        found.append(torch.autograd.grad(total, leaves))
    torch.testing.assert_close(*found, rtol=digits, atol=digits)


SCALINGS: list[tuple[str, dict[str, Any]]] = [
    ("linear", {"factor": 4.0}),
    ("dynamic", {"factor": 2.0}),
    ("yarn", {"factor": 8.0}),
    ("yarn", {"factor": 8.0, "beta_fast": 20.0, "beta_slow": 2.0, "truncate": False}),
    ("yarn", {"factor": 1.0}),
    ("yarn", {"factor": 4.0, "attention_factor": 1.25}),
    ("llama3", {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}),
    ("llama3", {"factor": 32.0, "low_freq_factor": 2.0, "high_freq_factor": 50.0}),
]
OUR_WORDS = {"low_freq_factor": "low_frequency_factor", "high_freq_factor": "high_frequency_factor"}


@pytest.mark.parametrize(("kind", "given"), SCALINGS, ids=str)
@pytest.mark.parametrize(("base", "fraction", "original"), [(10_000.0, 1.0, 8192), (500_000.0, 0.5, 64)])
def test_scaled_frequencies_are_those_of_transformers(
    kind: str, given: dict[str, Any], base: float, fraction: float, original: int
) -> None:
    rope = {"rope_type": kind, "rope_theta": base, "partial_rotary_factor": fraction, **given}
    if kind != "dynamic":
        rope["original_max_position_embeddings"] = original
    config = LlamaConfig(hidden_size=512, num_attention_heads=4, max_position_embeddings=original, rope_parameters=rope)
    named = {OUR_WORDS.get(name, name): value for name, value in given.items()}
    options = rotary.Options(base=base, fraction=fraction, scaling=kind, **named)
    for tokens in (original // 2, 3 * original):
        theirs, their_size = ROPE_INIT_FUNCTIONS[kind](config, torch.device("cpu"), seq_len=tokens)
        ours, size = frequencies(options, int(128 * fraction), original, tokens)
        torch.testing.assert_close(ours, theirs.double(), rtol=2e-6, atol=0)
        assert size == pytest.approx(their_size, rel=1e-12)


def test_ntk_is_dynamic_at_the_length_where_its_stretch_is_the_factor() -> None:
    dynamic = frequencies(rotary.Options(scaling="dynamic", factor=3.0), 32, 100, 200)[0]
    torch.testing.assert_close(frequencies(rotary.Options(scaling="ntk", factor=4.0), 32, 100, 100)[0], dynamic)


def their_cos_sin(width: int) -> tuple[Tensor, Tensor]:
    """[1, T, width], each number twice, the second half like the first: in float64, as ours."""
    radians = 10_000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angle = (torch.arange(TOKENS, dtype=torch.float64)[:, None] * radians)[None]
    return torch.cat([angle, angle], dim=-1).cos(), torch.cat([angle, angle], dim=-1).sin()


@pytest.mark.parametrize(("module", "fraction"), [(modeling_llama, 1.0), (modeling_gpt_neox, 0.25)])
def test_half_layout_is_that_of_llama_and_gpt_neox(module: Any, fraction: float) -> None:
    q, k = queries_and_keys()
    ours = position("rotary", fraction=fraction).rotate(q, k, 0)
    theirs = module.apply_rotary_pos_emb(q, k, *their_cos_sin(int(16 * fraction)))
    same_with_gradients(ours, theirs, (q, k), 1e-10)


def test_interleaved_layout_is_that_of_gpt_j() -> None:
    q, k = queries_and_keys()
    sin, cos = modeling_gptj.create_sinusoidal_positions(TOKENS, 16)[None].double().chunk(2, dim=-1)
    theirs = tuple(modeling_gptj.apply_rotary_pos_emb(x.transpose(1, 2), sin, cos).transpose(1, 2) for x in (q, k))
    same_with_gradients(position("rotary", layout="interleaved").rotate(q, k, 0), theirs, (q, k), 1e-5)


def test_llamas_own_module_turns_as_ours_does_in_float32() -> None:
    config = LlamaConfig(hidden_size=64, num_attention_heads=4, max_position_embeddings=TOKENS,
                         rope_parameters={"rope_type": "default", "rope_theta": 500_000.0})  # fmt: skip
    q, k = (x.detach().float().requires_grad_() for x in queries_and_keys())
    cos_sin = modeling_llama.LlamaRotaryEmbedding(config)(q, torch.arange(TOKENS)[None])
    theirs = modeling_llama.apply_rotary_pos_emb(q, k, *cos_sin)
    ours = position("rotary", base=500_000.0).rotate(q, k, 0)
    same_with_gradients((ours[0].double(), ours[1].double()), theirs, (q, k), 1e-5)


def test_both_layouts_are_one_rotation_of_numbers_in_another_order() -> None:
    q, k = queries_and_keys()
    order = torch.arange(16).view(8, 2).t().flatten()  # where "half" has what "interleaved" has
    half = position("rotary").rotate(q[..., order], k[..., order], 0)
    interleaved = position("rotary", layout="interleaved").rotate(q, k, 0)
    assert all(torch.equal(a, b[..., order]) for a, b in zip(half, interleaved, strict=True))


@pytest.mark.parametrize("heads", [1, 2, 3, 8, 12, 16, 20])
def test_alibi_is_blooms_and_mpts_up_to_what_a_softmax_does_not_see(heads: int) -> None:
    generator = torch.Generator().manual_seed(heads)
    scores = torch.randn(heads, 9, 9, generator=generator, dtype=torch.float64).requires_grad_()
    future = torch.ones(9, 9, dtype=torch.bool).triu(1)
    bloom = build_alibi_tensor(torch.ones(1, 9), heads, torch.float32).double()
    mpt = build_mpt_alibi_tensor(heads, 9).double()
    ours = position("alibi", heads=heads).bias(9, scores.device, scores.dtype)
    results = [(scores + bias).masked_fill(future, -torch.inf).softmax(dim=-1) for bias in (ours, bloom, mpt)]
    gradients = [torch.autograd.grad(r.square().sum(), scores)[0] for r in results]
    for other, gradient in zip(results[1:], gradients[1:], strict=True):
        torch.testing.assert_close(results[0], other, rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(gradients[0], gradient, rtol=1e-6, atol=1e-7)


def test_alibi_has_mpts_largest_exponent() -> None:
    theirs = build_mpt_alibi_tensor(6, 2, alibi_bias_max=5)[:, 0, 0].neg()
    torch.testing.assert_close(torch.tensor(slopes(6, 5.0)), theirs)


@pytest.mark.parametrize("both_ways", [True, False])
@pytest.mark.parametrize(("buckets", "maximum"), [(32, 128), (8, 16), (16, 20), (64, 1000), (6, 9), (4, 3), (36, 32)])
def test_every_distance_falls_into_t5s_bucket(buckets: int, maximum: int, both_ways: bool) -> None:
    distance = torch.arange(-3000, 3001)
    ours = t5_bias.bucket(distance, t5_bias.Options(buckets, maximum), both_ways)
    theirs = T5Attention._relative_position_bucket(distance, both_ways, buckets, maximum)
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("mask", ["causal", "bidirectional"])
def test_the_relative_bias_is_t5s(mask: str) -> None:
    ours = position("t5_bias", buckets=8, max_distance=20, mask=mask)
    torch.nn.init.normal_(ours.weight, generator=torch.Generator().manual_seed(1))
    table = torch.nn.Embedding.from_pretrained(ours.weight.detach().clone(), freeze=False)
    their = SimpleNamespace(
        relative_attention_bias=table, is_decoder=mask == "causal", relative_attention_num_buckets=8,
        relative_attention_max_distance=20, _relative_position_bucket=T5Attention._relative_position_bucket,
    )  # fmt: skip
    bias = ours.bias(TOKENS, table.weight.device, torch.float64)
    wanted = T5Attention.compute_bias(their, TOKENS, TOKENS)[0]
    assert torch.equal(bias, wanted)
    slope = torch.linspace(-1, 1, bias.numel(), dtype=torch.float64).view_as(bias)
    (bias * slope).sum().backward()
    (wanted * slope).sum().backward()
    torch.testing.assert_close(ours.weight.grad, table.weight.grad, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("width", [24, 7])
def test_concatenated_sinusoids_are_marians(width: int) -> None:
    theirs = MarianSinusoidalPositionalEmbedding(TOKENS, width)
    theirs.weight.data = theirs.create_weight()
    config = tiny_config({"position": {"use": "sinusoidal", "layout": "concat"}}, model={"width": width})
    ours = assemble(config, "cpu").position(torch.zeros(1, TOKENS, width))
    torch.testing.assert_close(ours[0], theirs.weight, rtol=1e-6, atol=1e-6)
