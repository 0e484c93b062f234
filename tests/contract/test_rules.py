"""What does not go together is refused or warned of, each time with the reason and something that is legal instead."""

from __future__ import annotations

from typing import Any

import pytest

from tests.helpers.tiny import task_for
from tfx_engine.model.validate import validate
from tfx_engine.protocol.cards import Rule, TechniqueCard
from tfx_engine.protocol.config import parse_config
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.catalogue import catalogue

BALANCED = {"use": "mixture_of_experts", "experts": 4}
TASKS_OF_ALL = {"task": "recall"}  # one that every mask is made for


def problems_of(techniques: dict[str, Any], **sections: Any) -> list[Problem]:
    """Everything that is said of a configuration on the CPU."""
    config, problems = parse_config({"techniques": techniques, **sections, "run": {"device": "cpu"}})
    return [*problems, *validate(config)]


def declared() -> list[Any]:
    """Every rule of the catalogue with one choice that breaks it."""
    found = []
    for card in catalogue().techniques:
        for rule in (*card.requires, *card.excludes):
            bad = [t.name for t in catalogue().in_slot(rule.slot) if (t.name in rule.names) == (rule in card.excludes)]
            found.append(pytest.param(card, rule, bad[0], id=f"{card.slot}.{card.name}-{rule.slot}"))
    return found


@pytest.mark.parametrize(("card", "rule", "bad"), declared())
def test_a_declared_rule_refuses_what_breaks_it_and_names_what_does_not(
    card: TechniqueCard, rule: Rule, bad: str
) -> None:
    def broken(other: str) -> list[Problem]:
        task = task_for(card.slot, card.name, "recall")
        given = {"techniques": {card.slot: card.name, rule.slot: other}, "data": {"task": task}}
        return [p for p in parse_config(given)[1] if p.code == "does-not-fit" and p.args.get("slot") == rule.slot
                and p.path == f"techniques.{card.slot}.use"]  # fmt: skip

    (problem,) = broken(bad)
    assert problem.level == "error" and rule.reason in problem.message
    assert problem.args["near"] in problem.hint and not broken(problem.args["near"])


@pytest.mark.parametrize(
    ("techniques", "sections", "code", "level", "way_out"),
    [
        ({"attention": {"use": "grouped_query", "kv_heads": 3}}, {}, "key-heads-do-not-divide", "error", "is 2"),
        ({"attention": {"use": "latent", "rope_width": 3}}, {}, "odd-width", "error", "is 4"),
        ({"position": "rotary"}, {"model": {"head_width": 1}}, "nothing-to-rotate", "error", "head width of 2"),
        ({"position": "none", "mask": "bidirectional"}, {"data": TASKS_OF_ALL}, "no-order", "warning", "any other"),
        ({"mask": "bidirectional"}, {}, "answer-leaks", "error", "'causal'"),
        ({"placement": "post_norm"}, {}, "may-stall", "warning", "rising steps"),
        ({"placement": {"use": "deep_norm", "alpha": 2.0}}, {}, "belongs-together", "error", "leave both out"),
        ({"softcap": "tanh", "qk_norm": "l2"}, {}, "bounded-twice", "warning", "'none'"),
        ({"attention": "latent", "qk_norm": "full"}, {}, "does-not-fit", "error", "'none' in qk_norm"),
        ({"update": "in_backward", "precision": "float16_autocast"}, {}, "does-not-fit", "error", "after_backward"),
        ({"update": "in_backward", "clip": "norm"}, {}, "does-not-fit", "error", "'none' in clip"),
        ({"precision": "float16_autocast"}, {}, "slow-here", "warning", "bfloat16_autocast"),
        ({"accumulation": "micro_batches", "feedforward": BALANCED}, {}, "not-the-whole-batch", "warning", "'none'"),
        ({"init": "mup", "optimizer": "sgd"}, {}, "does-not-fit", "error", "'adamw'"),
        ({"init": "mup", "optimizer": "muon"}, {}, "does-not-fit", "warning", "'adamw'"),
        ({"norm": "dynamic_tanh", "placement": "deep_norm"}, {}, "cuts-the-stream", "warning", "'pre_norm'"),
        ({"adapter": "lora"}, {}, "untrained-base", "warning", "start_from"),
    ],
)
def test_what_does_not_go_together_is_said_with_a_way_out(
    techniques: dict[str, Any], sections: dict[str, Any], code: str, level: str, way_out: str
) -> None:
    found = [p for p in problems_of(techniques, **sections) if p.level == level]
    assert [p for p in found if p.code == code and way_out in p.hint], [p.sentence() for p in found]


@pytest.mark.parametrize(
    "techniques",
    [
        {"placement": "post_norm", "schedule": "cosine"},
        {"placement": "post_norm", "optimizer": {"use": "adamw", "learning_rate": 3e-4}},
        {"placement": "post_norm", "schedule": {"use": "constant", "warmup_steps": 5}},
        {"placement": "post_norm", "optimizer": "sgd"},
        {"accumulation": "micro_batches", "feedforward": {**BALANCED, "balance_loss": 0.0}},
        {"accumulation": {"use": "micro_batches", "pieces": 1}, "feedforward": BALANCED},
        {"norm": "dynamic_tanh"},
    ],
)
def test_what_goes_together_is_not_warned_of(techniques: dict[str, Any]) -> None:
    assert problems_of(techniques) == []


def test_a_shallow_model_with_post_norm_is_not_warned_of() -> None:
    assert problems_of({"placement": "post_norm"}, model={"layers": 5}) == []
