"""Frames in, classes out: as a Vision Transformer does it, and what does not go with such a task is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import tfx_engine.api as tfx
from tests.contract.comparing import check, normal, randomised
from tests.helpers.tiny import tiny_config
from tests.helpers.training import small_setup
from tfx_engine.estimate import count_parameters, flops_per_token
from tfx_engine.model.assemble import assemble
from tfx_engine.model.validate import validate
from tfx_engine.protocol.config import parse_config
from tfx_engine.protocol.problems import Problem
from tfx_engine.protocol.tasks import CLASSIFICATION, TASKS
from tfx_engine.runfile.reader import RunReader
from tfx_engine.techniques.catalogue import catalogue, technique_for
from tfx_engine.train.step import train_step
from tfx_workbench.runs.rundata import RunData

TOKEN = {"embedding": {"class_token": True}}


@pytest.mark.parametrize("task", CLASSIFICATION)
def test_the_task_alone_is_a_whole_configuration(task: str) -> None:
    config, problems = parse_config({"data": {"task": task}})
    assert not problems and not validate(config)
    uses = {slot: config.use(slot) for slot in ("embedding", "head", "mask")}
    assert uses == {"embedding": "frames", "head": "classes", "mask": "bidirectional"}
    again, problems = parse_config(config.as_dict())
    assert (again, problems) == (config, ()) and config.model.context == TASKS[task].frames


@pytest.mark.parametrize("techniques", [{}, TOKEN], ids=["mean", "class token"])
def test_frames_go_in_and_scores_of_classes_come_out(techniques: dict) -> None:
    model = assemble(tiny_config(techniques, data={"task": "digits"}), "cpu")
    frames_BTF = torch.rand(5, 16, 4)
    assert model(frames_BTF).shape == (5, 10)
    assert model.hidden(frames_BTF).shape == (5, 16 + bool(techniques), 7)


def test_positions_count_the_class_token() -> None:
    config = tiny_config({**TOKEN, "position": "learned"}, data={"task": "digits"})
    assert config.model.context == 17
    assert assemble(config, "cpu").position.weight.shape == (17, 7)
    _, (problem,) = parse_config({"data": {"task": "digits"}, "techniques": TOKEN, "model": {"context": 16}})
    assert (problem.path, problem.hint) == ("model.context", "Leave it out, or set it to 17.")


@pytest.mark.parametrize("pooling", [None, "class_token", "mean"])
def test_the_head_reads_the_class_token_or_the_mean(pooling: str | None) -> None:
    config = tiny_config({**TOKEN, "head": {"use": "classes", "pooling": pooling}}, data={"task": "digits"})
    technique, options = technique_for("head", config.techniques["head"])
    assert not list(technique.check(options, config))
    head = randomised(technique.build(options, config, None, 0.7))
    x_BTD = normal(2, 3, 17, 7)
    check(head, lambda x: technique.reference(head, x), head, x_BTD)
    changed_BTD = x_BTD.clone()
    changed_BTD[:, 5] += 1
    assert torch.equal(head(x_BTD), head(changed_BTD)) == (pooling != "mean")


def test_a_class_token_begins_at_zero_and_is_trained() -> None:
    setup = small_setup(TOKEN, data={"task": "digits"})
    token = setup.training.model.embedding.class_token
    assert not token.any()
    train_step(setup.training, setup.task.batch(0), 0)
    assert token.all()


MEAN = {**TOKEN, "head": {"pooling": "mean"}}


@pytest.mark.parametrize("techniques", [{}, TOKEN, MEAN, {"adapter": "lora"}], ids=str)
@pytest.mark.parametrize("task", CLASSIFICATION)
def test_costs_of_a_classifier_are_those_that_torch_counts(task: str, techniques: dict) -> None:
    setup = small_setup(techniques, data={"task": task})
    parameters = sum(p.numel() for p in setup.training.model.parameters())
    assert count_parameters(setup.config).total == parameters
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        train_step(setup.training, setup.task.batch(0), 0)
    assert counter.get_total_flops() == pytest.approx(flops_per_token(setup.config).hardware * setup.tokens_per_step)


def problems_of(data: dict[str, Any]) -> list[Problem]:
    config, problems = parse_config(data)
    return list(problems) or validate(config)


@pytest.mark.parametrize(
    ("task", "techniques", "path", "words"),
    [
        ("digits", {"head": "tied"}, "head.use", "ask for one class. Choose 'classes'"),
        ("digits", {"head": "multi_token"}, "head.use", "Choose 'classes'"),
        ("audio", {"embedding": "token"}, "embedding.use", "and ask for one class. Choose 'frames'"),
        ("audio", {"loss": "chunked_cross_entropy"}, "loss.use", "Choose 'cross_entropy'"),
        ("copy", {"head": "classes"}, "head.use", "give tokens and ask for one at each of them. Choose 'tied'"),
        ("copy", {"embedding": "frames"}, "embedding.use", "Choose 'token'"),
        ("multi_lag", {"head": "tied"}, "head.use", "several answers at each token. Choose 'untied'"),
        ("digits", {"head": {"pooling": "class_token"}}, "head.pooling", "the embedding has none"),
        ("digits", {**TOKEN, "mask": "causal"}, "head.pooling", "'causal' in mask it sees nothing"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused_with_the_nearest_that_does(task, techniques, path, words) -> None:
    (problem,) = problems_of({"data": {"task": task}, "techniques": techniques, "model": {"vocab": 256}})
    assert problem.path == f"techniques.{path}" and words in problem.sentence()


def test_the_nearest_that_does_is_legal_for_every_technique_and_task() -> None:
    for card in catalogue().techniques:
        for task in TASKS.values():
            if card.kinds and task.kind not in card.kinds:
                _, problems = parse_config({"data": {"task": task.name}, "techniques": {card.slot: card.name}})
                near = problems[0].args["near"]
                assert not parse_config({"data": {"task": task.name}, "techniques": {card.slot: near}})[1]


def test_a_causal_classifier_reads_the_mean() -> None:
    assert not problems_of({"data": {"task": "digits"}, "techniques": {"mask": "causal"}})


def test_a_run_keeps_its_accuracy_and_its_labels(tmp_path: Path) -> None:
    data = {"data": {"task": "digits"}, "model": {"width": 16, "heads": 2, "layers": 1}, "techniques": TOKEN,
            "run": {"batch": 32, "measure_steps": 4, "device": "cpu", "threads": 1}}  # fmt: skip
    path = tfx.run(tfx.load_config(data), tmp_path)
    with RunReader(path) as reader:
        evaluations, facts = reader.evaluations(), reader.facts()
        assert reader.info().status == "finished", reader.info().reason
        captured = reader.attention_tokens(0)
    assert all(0 <= e.accuracy <= 1 and e.tokens == 179 and e.bits_per_byte is None for e in evaluations)
    assert [facts["token_text"][i] for i in captured] == facts["token_text"] == ["class", *facts["token_text"][1:]]
    assert "CC BY 4.0" in facts["corpus"]["source"] and facts["loss"] == "whole logits"
    run = RunData(path)
    run.refresh()
    summary = run.summary()
    run.close()
    assert summary["accuracy"] == evaluations[-1].accuracy
    assert summary["loss"]["bits_per_byte"] is None and "not made of text" in summary["missing"]["loss.bits_per_byte"]
