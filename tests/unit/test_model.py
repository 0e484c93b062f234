"""Assembly, layers, validation, devices, and what the attention probe records."""

from __future__ import annotations

import copy

import pytest
import torch

from tests.helpers.tiny import loss_of, tiny_config
from tfx_engine.data import make_task
from tfx_engine.model.assemble import assemble, make_optimizer, make_schedule
from tfx_engine.model.layers import layer_index, layer_names
from tfx_engine.model.validate import pick_device, validate
from tfx_engine.protocol.problems import ConfigError
from tfx_engine.techniques import probe
from tfx_engine.techniques.devices import count_devices, device_kind
from tfx_engine.techniques.initial import generator_for, seed_for
from tfx_engine.techniques.probe import record_attention


def test_tokens_go_in_and_logits_come_out() -> None:
    config = tiny_config()
    logits_BTV = assemble(config, "cpu")(torch.zeros(2, 4, dtype=torch.int64))
    assert logits_BTV.shape == (2, 4, 11) and logits_BTV.dtype == torch.float32


def test_a_model_of_any_size_can_be_counted_without_its_memory() -> None:
    sizes = {"width": 8192, "layers": 80, "heads": 64, "head_width": None, "context": 8192, "vocab": 128_000}
    model = assemble(tiny_config({"adapter": "lora"}, model=sizes), "meta")
    assert all(p.is_meta for p in model.parameters())
    assert sum(p.numel() for p in model.parameters()) > 60e9


def test_a_model_can_be_moved_and_copied_and_its_head_stays_tied() -> None:
    model = assemble(tiny_config({"adapter": "lora"}), "cpu")
    clone = copy.deepcopy(model).to(torch.float64)
    assert clone.head.weight is clone.embedding.weight and clone.head.weight is not model.head.weight
    assert clone(torch.zeros(1, 3, dtype=torch.int64)).dtype == torch.float64


def test_weights_load_into_another_model_by_name() -> None:
    one, other = (assemble(tiny_config(seed=seed), "cpu") for seed in (1, 2))
    other.load_state_dict(one.state_dict())
    tokens = torch.arange(6).view(1, 6)
    assert torch.equal(one(tokens), other(tokens))


@pytest.mark.parametrize(
    ("techniques", "last"),
    [({}, "head"), ({"placement": "post_norm"}, "block 2"), ({"placement": "post_norm", "head": "untied"}, "head")],
    ids=["final norm", "nothing after the blocks", "untied head"],
)
def test_every_parameter_belongs_to_one_layer(techniques: dict, last: str) -> None:
    model = assemble(tiny_config({"position": "learned", "adapter": "lora", **techniques}), "cpu")
    names, index = layer_names(model), layer_index(model)
    assert names[:3] == ["embedding", "block 1", "block 2"] and names[-1] == last
    assert set(index) == {name for name, _ in model.named_parameters()}
    assert set(index.values()) == set(range(len(names))), "no layer without parameters"
    assert names[index["position.weight"]] == "embedding"
    assert names[index["blocks.1.attention.query.adapter_A"]] == "block 2"


def test_blocks_of_two_digits_are_numbered_as_numbers() -> None:
    index = layer_index(assemble(tiny_config(model={"layers": 12}), "meta"))
    assert index["blocks.11.attention.query.weight"] == 12 and index["final_norm.weight"] == 13


def test_the_optimizer_decays_matrices_and_leaves_biases_and_norms_alone() -> None:
    config = tiny_config({"optimizer": {"use": "adamw", "weight_decay": 0.3}})
    groups = make_optimizer(config, assemble(config, "cpu")).param_groups
    assert [group["weight_decay"] for group in groups] == [0.3, 0.0]
    assert {p.dim() for p in groups[0]["params"]} == {2} and {p.dim() for p in groups[1]["params"]} == {1}
    assert all(group["fused"] for group in groups)


def test_the_schedule_counts_warm_up_and_measured_steps_together() -> None:
    config = tiny_config({"schedule": {"use": "cosine", "warmup_steps": 2, "final": 0.25}},
                         run={"warmup_steps": 3, "measure_steps": 7})  # fmt: skip
    factor = make_schedule(config)
    assert [factor(0), factor(1), factor(2), factor(9)] == [0.5, 1.0, 1.0, 0.25]


# ------------------------------------------------------------------------------------------- validation


@pytest.mark.parametrize("task", ["text", "copy"])
def test_a_bidirectional_model_is_not_trained_on_what_it_can_see(task: str) -> None:
    config = tiny_config({"mask": "bidirectional"}, data={"task": task}, model={"vocab": 256})
    (problem,) = validate(config)
    assert (problem.code, problem.path) == ("answer-leaks", "techniques.mask.use")
    assert task in problem.message and "causal" in problem.hint
    assert validate(tiny_config({"mask": "bidirectional"}, data={"task": "recall"})) == []


def test_techniques_data_and_device_are_all_asked() -> None:
    optimizer, schedule = {"use": "sgd", "nesterov": True, "momentum": 0.0}, {"use": "cosine", "warmup_steps": 5}
    config = tiny_config(
        {"optimizer": optimizer, "schedule": schedule}, data={"symbols": 12}, run={"device": "cuda:99"},
    )  # fmt: skip
    found = {p.path: p.sentence() for p in validate(config)}
    techniques = {"techniques.optimizer.nesterov", "techniques.schedule.warmup_steps"}
    assert set(found) == techniques | {"data.symbols", "run.device"}
    assert "fewer than 5" in found["techniques.schedule.warmup_steps"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cdua", "Did you mean 'cuda'?"), ("", "Choices: auto"), ("cuda:", "Choices: auto"), ("cuda:-1", "Choices"),
        ("CPU", "Choices: auto"), ("cuda:99999", "Choices"), ("meta", "Choices: auto"), ("cpu\n", "Choices"),
        ("cpu:1", "finds only: "), ("mps:7", "finds only: "), ("cuda:99", "Choose one of these, or 'auto'."),
    ],
)  # fmt: skip
def test_a_device_that_is_not_here_is_refused_with_what_is(name: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        pick_device(name)
    (problem,) = caught.value.problems
    assert problem.path == "run.device" and words in problem.sentence()


def test_auto_takes_the_first_kind_there_is() -> None:
    kinds = [kind for kind in ("cuda", "xpu", "mps", "cpu") if count_devices(kind)]
    assert pick_device("auto") == torch.device(kinds[0])
    assert pick_device("cpu").type == pick_device("cpu:0").type == "cpu"
    assert count_devices("abacus") == 0
    assert device_kind(tiny_config(run={"device": "auto"})) == pick_device("auto").type
    assert device_kind(tiny_config(run={"device": "cpu"})) == "cpu"


# ------------------------------------------------------------------------------------------- seeds


def test_seeds_are_the_same_on_every_machine_and_differ_by_every_part() -> None:
    assert seed_for(0, "data", 1) == 8002011560323636280
    assert len({seed_for(*parts) for parts in [(0, "a", 1), (0, "a", 2), (0, "b", 1), (1, "a", 1), (0, "a1")]}) == 5
    first, again = (torch.rand(3, generator=generator_for(5, "x")) for _ in range(2))
    assert torch.equal(first, again)


# ------------------------------------------------------------------------------------------- the probe


@pytest.mark.parametrize("mask", ["causal", "bidirectional"])
def test_recorded_weights_are_those_of_the_attention(mask: str) -> None:
    config = tiny_config({"mask": mask}, data={"task": "recall"}, model={"layers": 1})
    model = assemble(config, "cpu")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5, generator=torch.Generator().manual_seed(parameter.numel()))
    inputs_BT, _ = make_task(config).batch(0)
    attention, seen = model.blocks[0].attention, {}
    attention.value.register_forward_hook(lambda module, given, output: seen.update(values=output[1]))
    attention.output.register_forward_pre_hook(lambda module, given: seen.update(mixed=given[0][1]))
    with record_attention(sample=1) as records, torch.no_grad():
        model(inputs_BT)
    (record,) = records
    weights_HTT = record.weights()
    assert (record.layer, weights_HTT.shape, weights_HTT.dtype) == ("block 1", (3, 9, 9), torch.float32)
    torch.testing.assert_close(weights_HTT.sum(dim=-1), torch.ones(3, 9))
    if mask == "causal":
        assert (weights_HTT.triu(diagonal=1) == 0).all()
    values_HTK = seen["values"].view(9, 3, 5).transpose(0, 1)
    mixed_TM = (weights_HTT @ values_HTK).transpose(0, 1).reshape(9, 15)
    torch.testing.assert_close(mixed_TM, seen["mixed"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("recompute", ["none", "every_block"])
def test_every_layer_is_recorded_once_in_order_also_where_it_runs_twice(recompute: str) -> None:
    config = tiny_config({"recompute": recompute}, model={"layers": 3})
    model = assemble(config, "cpu")
    with record_attention() as records:
        loss_of(model, *make_task(config).batch(0)).backward()
    assert [record.layer for record in records] == ["block 1", "block 2", "block 3"]
    assert not any(record.q_HTK.requires_grad or record.k_GTK.requires_grad for record in records)
    assert records[0].q_HTK.untyped_storage().nbytes() == 3 * 9 * 5 * 4, "one sample is kept, not the batch"


def test_recording_changes_no_output_and_ends_with_its_block() -> None:
    config = tiny_config()
    model, (inputs_BT, _) = assemble(config, "cpu"), make_task(config).batch(0)
    with record_attention() as records:
        recorded = model(inputs_BT)
        with pytest.raises(RuntimeError, match="already"), record_attention():
            pass
    assert torch.equal(recorded, model(inputs_BT)) and len(records) == 2
    assert probe.recorder is None
    with pytest.raises(ZeroDivisionError), record_attention():
        _ = 1 / 0
    assert probe.recorder is None


def test_more_threads_than_a_machine_can_bear_are_refused() -> None:
    problems = validate(tiny_config(run={"threads": 4096}))
    assert [(p.path, p.code) for p in problems] == [("run.threads", "out-of-range")]
    assert validate(tiny_config(run={"threads": 1})) == []
