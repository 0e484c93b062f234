"""Adapters do what their pages say: where they begin, what they train, what merging gives, what they keep in memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.helpers.tiny import tiny_config, train
from tfx_engine.data import make_task
from tfx_engine.estimate import Parameters, count_parameters
from tfx_engine.measure.memory_split import resting_split
from tfx_engine.model.assemble import assemble, make_adapter, make_optimizer
from tfx_engine.model.validate import validate
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.adapter import count_numbers, is_adapter
from tfx_engine.techniques.nf4 import bits_per_number
from tfx_engine.techniques.probe import record_attention

MERGING = ["lora", "dora", "qlora", "ia3"]


def adapted(use: str, techniques: dict[str, Any] | None = None, model: dict[str, Any] | None = None, **options: Any
            ) -> Config:  # fmt: skip
    return tiny_config({**(techniques or {}), "adapter": {"use": use, **options}}, model=model or {})


def tokens_of(config: Config) -> Tensor:
    return make_task(config).batch(0)[0]


def trained(config: Config) -> nn.Module:
    model, task = assemble(config, "cpu"), make_task(config)
    train(model, config, [task.batch(step) for step in range(5)])
    return model


@pytest.mark.parametrize("use", MERGING)
def test_merged_it_gives_the_adapters_output_and_unmerging_is_exact(use: str) -> None:
    config = adapted(use)
    model, adapter, tokens = trained(config), make_adapter(config), tokens_of(config)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with torch.no_grad():
        wanted = model(tokens)
        for _ in range(2):  # a second time changes nothing
            adapter.merge(model)
        merged, names = model(tokens), {name for name, _ in model.named_parameters() if not is_adapter(name)}
        for _ in range(2):
            adapter.unmerge(model)
    torch.testing.assert_close(merged, wanted, rtol=1e-5, atol=1e-5)
    assert not torch.equal(merged, assemble(tiny_config(), "cpu")(tokens))
    assert names == {name for name, _ in assemble(tiny_config(), "cpu").named_parameters()}
    after = model.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(v, before[k]) for k, v in after.items())
    assert torch.equal(model(tokens), wanted)


@pytest.mark.parametrize("use", ["dora", "ia3", "freeze"])
def test_it_begins_at_the_frozen_model(use: str) -> None:
    config = adapted(use)
    tokens = tokens_of(config)
    torch.testing.assert_close(assemble(config, "cpu")(tokens), assemble(tiny_config(), "cpu")(tokens))


@pytest.mark.parametrize("use", ["dora", "qlora", "ia3", "prefix"])
def test_it_trains_its_own_weights_and_nothing_else(use: str) -> None:
    config = adapted(use)
    before, after = dict(assemble(config, "cpu").named_parameters()), dict(trained(config).named_parameters())
    for name, parameter in after.items():
        assert parameter.requires_grad == is_adapter(name)
        assert torch.equal(parameter, before[name]) != is_adapter(name), name


FROZEN: list[tuple[dict[str, Any], set[str]]] = [
    ({"train": ["head"]}, {"embedding.weight"}),
    ({"train": ["biases"], "count": 1}, {
        "blocks.1.attention.query.bias", "blocks.1.attention.key.bias", "blocks.1.attention.value.bias",
        "blocks.1.attention.output.bias", "blocks.1.feedforward.up.bias", "blocks.1.feedforward.down.bias",
        "blocks.1.attention_norm.bias", "blocks.1.feedforward_norm.bias", "final_norm.bias",
    }),
    ({"train": ["norms"], "blocks": "first", "count": 1}, {
        "blocks.0.attention_norm.weight", "blocks.0.attention_norm.bias", "blocks.0.feedforward_norm.weight",
        "blocks.0.feedforward_norm.bias", "final_norm.weight", "final_norm.bias",
    }),
    ({"train": ["embedding"], "blocks": "all"}, {"embedding.weight", "position.weight"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "names"), FROZEN, ids=lambda value: str(sorted(value) if isinstance(value, set) else value)[:40]
)
def test_freezing_trains_the_kinds_and_blocks_that_are_named(options: dict[str, Any], names: set[str]) -> None:
    model = assemble(adapted("freeze", {"position": "learned"}, **options), "cpu")
    assert {name for name, p in model.named_parameters() if p.requires_grad} == names


def test_freezing_what_is_not_there_is_refused() -> None:
    (problem, _) = validate(adapted("freeze", train=["residual"]))
    assert (problem.code, problem.level) == ("nothing-trained", "error")


@pytest.mark.parametrize("use", ["lora", "dora", "qlora"])
def test_a_begins_uniform_within_the_root_of_its_inputs_and_b_at_zero(use: str) -> None:
    model = assemble(adapted(use, model={"width": 128}, rank=32), "cpu")
    for name, weight in model.named_parameters():
        if name.endswith("adapter_A"):
            bound = weight.shape[1] ** -0.5  # as torch's and PEFT's Kaiming uniform with a = sqrt(5)
            assert 0.95 * bound < weight.abs().max() <= bound
            assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
        elif name.endswith("adapter_B"):
            assert not weight.any()


@pytest.mark.parametrize("use", ["lora", "dora", "qlora"])
def test_dropout_falls_on_the_detour_in_training_alone_and_leaves_the_mean(use: str) -> None:
    dropping, plain = (
        assemble(adapted(use, model={"width": 64}, dropout=p), "cpu").blocks[0].feedforward.up for p in (0.5, 0.0)
    )
    x = torch.rand(64, generator=torch.Generator().manual_seed(0)).expand(4000, -1)
    with torch.no_grad():
        for layer in (dropping, plain):
            layer.adapter_A.fill_(0.1), layer.adapter_B.fill_(0.5)
        assert torch.equal(dropping.eval()(x), plain.eval()(x))
        torch.manual_seed(0)
        change = dropping.train()(x) - plain(x)
    assert (change.std(dim=0) > 0).all(), "each token drops others"
    assert (change.mean(dim=0).abs() < 5 * change.std(dim=0) / 4000**0.5).all(), "in the mean it is the whole detour"


def test_b_learns_at_the_rate_of_lora_plus() -> None:
    config = adapted("lora", b_rate=16.0)
    optimizer = make_optimizer(config, assemble(config, "cpu"))
    rates = {p.shape[0] == 8: group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert rates[False] == pytest.approx(16 * rates[True])  # A has 8 rows, of B none has


LATENT: dict[str, Any] = {"attention": {"use": "latent", "query_latent": 4, "latent_width": 6}}
GATED = {**LATENT, "gate": "per_head"}


@pytest.mark.parametrize(
    ("targets", "layers"),
    [(["query"], {"query", "query_latent"}), (["key"], {"key", "key_rotated", "latent"}),
     (["value"], {"value", "latent"}), (["output", "feedforward"], {"output", "up", "down"})],
)  # fmt: skip
def test_targets_of_latent_attention_are_all_layers_of_that_role(targets: list[str], layers: set[str]) -> None:
    for use in ("lora", "dora"):
        model = assemble(adapted(use, GATED, targets=targets), "cpu")
        assert {name.split(".")[-2] for name, _ in model.named_parameters() if is_adapter(name)} == layers


@pytest.mark.parametrize("use", ["lora", "dora", "qlora", "ia3"])
def test_every_expert_of_a_mixture_is_adapted_and_counted(use: str) -> None:
    mixture = {"feedforward": {"use": "mixture_of_experts", "experts": 3, "top_k": 2, "shared": 1}}
    config = adapted(use, mixture, targets=["feedforward"])
    model = assemble(config, "cpu")
    paths = {name.rpartition(".")[0] for name, _ in model.named_parameters() if is_adapter(name)}
    experts = {name for name, module in model.named_modules() if name.endswith("down") and "feedforward" in name}
    assert experts and experts <= paths
    assert count_parameters(config) == Parameters(count_numbers(model), count_numbers(model, trained_only=True))


def test_a_target_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from tfx_engine.techniques import adapting
    from tfx_engine.techniques.lowrank import LowRankOptions

    parts = adapting.block_parts(tiny_config())
    monkeypatch.setattr(adapting, "block_parts", lambda config: [w for w in parts if w.slot == "feedforward"])
    (some,) = adapting.check_targets(LowRankOptions(), tiny_config())
    assert some.level == "warning" and "query, key, value, output" in some.message and "feedforward" in some.hint
    (all_,) = adapting.check_targets(LowRankOptions(targets=("query",)), tiny_config())
    assert all_.level == "error" and "query" in all_.message and "Choose feedforward" in all_.hint


def test_qlora_keeps_its_weights_in_four_bits() -> None:
    sizes = {"width": 64, "heads": 4, "head_width": 16, "bias": False}
    plain, packed = (assemble(adapted(use, model=sizes), "cpu") for use in ("lora", "qlora"))
    before, after = (resting_split(model, None, torch.device("cpu")) for model in (plain, packed))
    square, wide = 64 * 64, 64 * 256
    kept = 2 * (4 * square * bits_per_number(square) + 2 * wide * bits_per_number(wide)) / 8
    assert before["parameters"] - after["parameters"] == 2 * 4 * (4 * square + 2 * wide) - kept
    assert before["adapters"] == after["adapters"] and kept * 8 / (2 * (4 * square + 2 * wide)) < 4.2
    assert packed.blocks[0].attention.query.weight is None


def test_qlora_keeps_no_unpacked_weight_for_the_backward_pass() -> None:
    config = adapted("qlora", model={"width": 32, "heads": 2, "head_width": 16})
    model = assemble(config, "cpu")
    kept: set[tuple[int, ...]] = set()

    def keep(tensor: Tensor) -> Tensor:
        kept.add(tuple(tensor.shape))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(tokens_of(config)).sum()
    assert (32, 32) not in kept and (128, 32) not in kept


def test_a_prefix_is_seen_by_every_token_whatever_mask_and_window_say() -> None:
    techniques = {"window": {"use": "sliding", "size": 2}, "attention": {"use": "grouped_query", "kv_heads": 1}}
    config = adapted("prefix", techniques, tokens=3)
    model, tokens = assemble(config, "cpu", torch.float64), tokens_of(config)
    with torch.no_grad():
        before = model(tokens)
        model.blocks[0].attention.scores.prefix.adapter_values.add_(1.0)
        assert ((model(tokens) - before).abs().amax(dim=-1) > 1e-6).all()


@pytest.mark.parametrize("kernel", ["auto", "eager", "math"])
def test_every_kernel_reads_the_prefix_alike_and_the_maps_show_what_is_left(kernel: str) -> None:
    config = adapted("prefix", {"kernel": kernel}, tokens=3)
    model, tokens = assemble(config, "cpu"), tokens_of(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5, generator=torch.Generator().manual_seed(parameter.numel()))
        wanted = assemble(adapted("prefix", {"kernel": "auto"}, tokens=3), "cpu")
        wanted.load_state_dict(model.state_dict())
        torch.testing.assert_close(model(tokens), wanted(tokens), rtol=1e-5, atol=1e-5)
        with record_attention() as records:
            model(tokens)
    scores = model.blocks[0].attention.scores
    weights_HTT = records[0].weights()
    keys_HSK = torch.cat([scores.prefix(1)[0][0], records[0].k_GTK], dim=1)
    scores_HTS = records[0].q_HTK @ keys_HSK.transpose(1, 2) * scores.scale
    future = torch.ones(9, 9, dtype=torch.bool).triu(1)
    scores_HTS[..., 3:].masked_fill_(future, -torch.inf)
    torch.testing.assert_close(weights_HTT, scores_HTS.softmax(dim=-1)[..., 3:])
    assert (weights_HTT.sum(dim=-1) < 1).all()


def test_a_prefix_without_attention_is_refused() -> None:
    from tfx_engine.techniques.catalogue import discover

    recurrent = [name for slot, name in discover() if slot == "mixer" and name != "attention"]
    for name in recurrent:
        assert "nothing-adapted" in {p.code for p in validate(adapted("prefix", {"mixer": name}))}
