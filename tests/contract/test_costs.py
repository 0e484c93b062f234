"""What is declared is what is counted: parameters and FLOPs in closed form against the real model."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tests.contract.variants import sizes_for, variants
from tests.helpers.tiny import counted_parameters, loss_of, task_for, tiny_config
from tfx_engine.estimate import Flops, Parameters, count_parameters, flops_per_token
from tfx_engine.model.assemble import assemble
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.catalogue import discover
from tfx_engine.techniques.costs import Linear, Work
from tfx_engine.techniques.counts import block_parts, in_slot
from tfx_engine.techniques.lowrank import LowRankOptions, beside


def random_config(seed: int) -> Config:
    """A legal configuration whose cost depends on every option that changes costs."""
    pick = random.Random(seed).choice
    sample = random.Random(seed).sample
    targets = sample(["query", "key", "value", "output", "feedforward"], pick([1, 2, 5]))
    techniques: dict[str, Any] = {
        "position": pick(["none", "sinusoidal", "learned"]),
        "placement": pick(["pre_norm", "post_norm"]),
        "head": pick(["tied", "untied"]),
        "recompute": pick(["none", {"use": "every_block", "every": pick([1, 2, 3])}]),
        "adapter": pick(["none", {"use": "lora", "rank": pick([1, 3, 8]), "targets": targets}]),
        "feedforward": {"width": pick([None, 5, 12]), "bias": pick([None, True, False])},
        "attention": {"bias": pick([None, True, False])},
    }
    sizes = {"width": pick([6, 10, 16]), "heads": pick([1, 2, 3]), "head_width": pick([2, 5]),
             "layers": pick([1, 2, 3]), "context": pick([3, 7]), "bias": pick([True, False])}  # fmt: skip
    return tiny_config(techniques, model=sizes)


def random_attention(seed: int) -> Config:
    """The same, with every kind of attention and what belongs to it; a sink's extra key is no work of the model."""
    pick = random.Random(seed).choice
    kinds = [
        {"use": "grouped_query", "kv_heads": pick([1, 2, 4]), "output_bias": pick([True, False])}, "differential",
        {"use": "latent", "latent_width": 3, "query_latent": pick([None, 5]), "value_width": pick([2, 3])},
        "multi_head",
    ]  # fmt: skip
    techniques = {
        "attention": kinds[seed % 4], "gate": pick(["none", "per_head", "per_element"]),
        "qk_norm": pick(["none", "per_head", "full", "l2"]) if seed % 4 != 2 else "none",
        "window": pick(["none", "sliding"]), "recompute": pick(["none", "every_block"]),
        "adapter": pick(["none", {"use": "lora", "targets": pick([["query"], ["value", "feedforward"], ["output"]])}]),
    }
    return tiny_config(techniques, model={"heads": 4, "layers": pick([1, 2]), "bias": pick([True, False])})


@pytest.mark.parametrize("draw", [random_config, random_attention])
@pytest.mark.parametrize("seed", range(40))
def test_parameters_in_closed_form_are_those_of_the_model(seed: int, draw: Callable[[int], Config]) -> None:
    config = draw(seed)
    assert count_parameters(config) == counted_parameters(config)


CASES = [(slot, name, given) for slot, name in sorted(discover()) for given in variants(slot, name)]


@pytest.mark.parametrize(("slot", "name", "given"), CASES, ids=lambda value: str(value))
def test_every_technique_declares_the_parameters_that_it_brings(slot: str, name: str, given: dict[str, Any]) -> None:
    task = {"task": task_for(slot, name, "recall")}
    config = tiny_config({slot: {"use": name, **given}}, data=task, model=sizes_for(slot, name))
    assert count_parameters(config) == counted_parameters(config)


@pytest.mark.parametrize("draw", [random_config, random_attention])
@pytest.mark.parametrize("seed", range(40))
def test_flops_in_closed_form_are_those_that_torch_counts(seed: int, draw: Callable[[int], Config]) -> None:
    config = draw(seed)
    model = assemble(config, "cpu")
    tokens_BT = torch.randint(config.vocab, (2, config.model.context), generator=torch.Generator().manual_seed(0))
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as forward:
        model(tokens_BT)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as whole:
        loss_of(model, tokens_BT, tokens_BT).backward()
    expected = flops_per_token(config)
    assert forward.get_total_flops() == expected.forward * tokens_BT.numel()
    assert whole.get_total_flops() == expected.hardware * tokens_BT.numel()


ADAPTERS: list[dict[str, Any]] = [
    {"use": "ia3"}, {"use": "ia3", "targets": ["feedforward"]}, {"use": "ia3", "targets": ["value"]},
    {"use": "prefix", "tokens": 4}, {"use": "qlora", "rank": 3},
    {"use": "dora", "rank": 2, "targets": ["key", "output"]},
    {"use": "freeze", "count": 1}, {"use": "freeze", "blocks": "first", "count": 1},
    {"use": "freeze", "train": ["head"]},
    {"use": "freeze", "train": ["norms"], "count": 2}, {"use": "freeze", "train": ["biases"], "blocks": "all"},
    {"use": "freeze", "train": ["attention", "biases"], "count": 1}, {"use": "freeze", "train": ["embedding"]},
]  # fmt: skip


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("adapter", ADAPTERS, ids=str)
def test_flops_with_an_adapter_are_those_that_torch_counts(adapter: dict[str, Any], seed: int) -> None:
    drawn = random_config(seed)
    techniques: dict[str, Any] = {slot: drawn.use(slot) for slot in ("position", "head")}
    sizes = {k: getattr(drawn.model, k) for k in ("width", "heads", "head_width", "context")}
    config = tiny_config({**techniques, "adapter": adapter}, model={**sizes, "layers": 3}, run={"batch": 2})
    check_flops(config)
    assert count_parameters(config) == counted_parameters(config)


def check_flops(config: Config) -> None:
    model = assemble(config, "cpu")
    shape = config.run.batch, config.model.context
    tokens_BT = torch.randint(config.vocab, shape, generator=torch.Generator().manual_seed(0))
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as forward:
        model(tokens_BT)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as whole:
        loss_of(model, tokens_BT, tokens_BT).backward()
    expected = flops_per_token(config)
    assert forward.get_total_flops() == round(expected.forward * tokens_BT.numel(), 3)
    assert whole.get_total_flops() == round(expected.hardware * tokens_BT.numel(), 3)


_LORA = {"use": "lora", "rank": 2, "targets": ["query", "value"]}
_HYPER, _STATIC = "hyper_connections", {"use": "hyper_connections", "streams": 3, "dynamic": False}
_NORMS = {"use": "freeze", "train": ["norms"], "blocks": "all"}
_MATMULS, _ATTENTION = ({"use": "selective", "keep": [kept]} for kept in ("matmuls", "attention"))
COMBINED: list[dict[str, Any]] = [
    {"recompute": "every_block", "placement": "parallel", "adapter": _LORA},
    {"recompute": _ATTENTION, "placement": {"use": "parallel", "norms": 2}, "adapter": _LORA},
    {"recompute": _ATTENTION, "placement": "parallel", "adapter": "ia3", "residual": _STATIC},
    {"recompute": _MATMULS, "residual": _HYPER, "adapter": {"use": "lora", "rank": 2}},
    {"recompute": _ATTENTION, "residual": _HYPER, "feedforward": "swiglu"},
    {"recompute": {"use": "selective", "operators": "addmm"}, "residual": _HYPER, "placement": "post_norm"},
    {"recompute": {"use": "selective", "operators": "addmm"}, "adapter": {"use": "lora", "rank": 2},
     "feedforward": "mixture_of_experts"},
    {"recompute": {"use": "selective", "operators": "mm"}, "adapter": {"use": "qlora", "rank": 2}},
    {"recompute": "every_block", "adapter": {"use": "dora", "rank": 2}, "attention": "latent"},
    {"recompute": _MATMULS, "adapter": {"use": "dora", "rank": 2}, "feedforward": "mixture_of_experts"},
    {"recompute": {"use": "selective", "operators": "addmm"}, "adapter": {"use": "dora", "rank": 2}},
    {"recompute": "every_block", "adapter": {"use": "freeze", "count": 1}, "placement": "deep_norm"},
    {"recompute": {"use": "every_block", "every": 2}, "adapter": {"use": "freeze", "count": 2}},
    {"recompute": "every_block", "adapter": _NORMS, "placement": "res_post_norm"},
    {"adapter": _NORMS, "placement": "deep_norm", "residual": _STATIC, "attention": "latent"},
    {"adapter": {"use": "freeze", "count": 1}, "placement": "parallel", "residual": _STATIC},
    {"recompute": "every_block", "feedforward": {"use": "mixture_of_experts", "shared": 1}, "placement": "peri_norm"},
]  # fmt: skip


@pytest.mark.parametrize("techniques", COMBINED, ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_flops_of_what_is_frozen_and_runs_again_are_those_that_torch_counts(
    techniques: dict[str, Any], bias: bool
) -> None:
    check_flops(tiny_config(techniques, model={"heads": 4, "layers": 3, "bias": bias}, run={"batch": 2}))


@pytest.mark.parametrize("adapter", [{"use": "none"}, {"use": "lora"}, *ADAPTERS], ids=str)
def test_layers_that_an_adapter_calls_alike_are_adapted_alike(adapter: dict[str, Any]) -> None:
    config = tiny_config({"adapter": adapter}, model={"layers": 5})
    technique, options = in_slot(config, "adapter")
    parts, first = [*block_parts(config), Work(slot="norm")], 0
    runs = technique.alike(options, config)
    for count in runs:
        found = {tuple(technique.adapts(options, config, layer, part) for part in parts)
                 for layer in range(first, first + count)}  # fmt: skip
        assert len(found) == 1
        first += count
    assert first == 5 and len(runs) <= 2


@pytest.mark.parametrize("train", [["head"], ["embedding"], ["biases"], ["head", "embedding", "biases"]], ids=str)
@pytest.mark.parametrize("techniques", [
    {"head": "multi_token"}, {"head": {"use": "multi_token", "shared": False}},
    {"head": {"use": "multi_token", "tied": False}}, {"head": {"use": "tied", "transform": True}},
    {"mixer": "gru"}, {"mixer": "lstm"},
], ids=str)  # fmt: skip
def test_what_freezing_leaves_is_counted(techniques: dict[str, Any], train: list[str]) -> None:
    config = tiny_config({**techniques, "adapter": {"use": "freeze", "train": train, "blocks": "all"}})
    assert count_parameters(config) == counted_parameters(config)


def gpt2(**techniques: Any) -> Config:
    chosen = {"position": "learned", "head": "tied", "feedforward": {"approximate": "tanh"}, **techniques}
    sizes = {"width": 768, "layers": 12, "heads": 12, "head_width": None, "context": 1024, "vocab": 50257}
    return tiny_config(chosen, model=sizes)


def test_gpt2_has_the_published_number_of_parameters() -> None:
    assert count_parameters(gpt2()) == counted_parameters(gpt2()) == Parameters(124_439_808, 124_439_808)


def test_gpt2_takes_the_flops_that_torch_counts_for_it() -> None:
    flops = flops_per_token(gpt2())
    assert flops.forward * 1024 == 291_648_307_200
    assert flops.model * 1024 == 874_944_921_600


def test_lora_on_gpt2_has_the_known_number_of_weights_and_a_third_fewer_flops() -> None:
    lora = gpt2(adapter={"use": "lora", "rank": 8})
    per_block = 8 * (4 * (768 + 768) + 2 * (768 + 3072))
    assert count_parameters(lora).trainable == 12 * per_block
    assert 0.6 < flops_per_token(lora).model / flops_per_token(gpt2()).model < 0.72


def trained(base: Callable[..., Config], adapter: str, **options: Any) -> int:
    config = base(adapter={"use": adapter, **options})
    assert count_parameters(config) == counted_parameters(config)
    return count_parameters(config).trainable


def test_adapters_of_gpt2_have_the_numbers_that_peft_gives_them() -> None:
    assert trained(gpt2, "lora", rank=8) == 12 * 8 * (4 * 2 * 768 + 2 * (768 + 3072))
    sizes = {"c_attn": (768, 2304), "c_proj": (768, 768), "up": (768, 3072), "down": (3072, 768)}
    fused = [Linear(name, *size) for name, size in sizes.items()]
    thin = [12 * sum(x.parameters for x in beside(LowRankOptions(rank=8), linear)) for linear in fused]
    assert thin[0] == 294_912 and sum(thin) == 1_179_648, "where query, key and value are one matrix"
    assert trained(gpt2, "ia3", targets=["query", "key", "value", "feedforward"]) == 64_512
    assert trained(gpt2, "prefix", tokens=20) == 368_640


def llama2_7b(**techniques: Any) -> Config:
    chosen = {"position": "rotary", "head": "untied", "norm": "rms_norm"}
    gated = {"feedforward": {"use": "swiglu", "width": 11008}}
    sizes = {"width": 4096, "layers": 32, "heads": 32, "head_width": None, "context": 4096, "vocab": 32000}
    return tiny_config({**chosen, **gated, **techniques}, model={**sizes, "bias": False})


def test_adapters_of_llama_have_the_numbers_that_peft_gives_them() -> None:
    assert trained(llama2_7b, "lora", rank=8, targets=["query", "value"]) == 4_194_304
    assert trained(llama2_7b, "lora", rank=8) == 19_988_480
    assert trained(llama2_7b, "lora", rank=16) == trained(llama2_7b, "qlora", rank=16) == 39_976_960
    assert trained(llama2_7b, "dora", rank=16) == 41_336_832
    assert trained(llama2_7b, "ia3") == 614_400


def test_recompute_costs_less_than_a_third_because_torch_stops_early() -> None:
    plain, again = flops_per_token(gpt2()), flops_per_token(gpt2(recompute="every_block"))
    assert again.model == plain.model
    assert 1.1 < again.hardware / plain.hardware < 4 / 3


def test_flops_add_up() -> None:
    assert (Flops(1, 2, 4).model, Flops(1, 2, 4).hardware) == (3, 7)
