"""No masked token ever leaks: not into what comes before it, and not as the answer to a question that counts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from tests.contract.test_positions import ALL, moved
from tests.helpers.tiny import tiny_config
from tfx_engine.data import make_task
from tfx_engine.data.task import IGNORED
from tfx_engine.model.validate import validate
from tfx_engine.protocol.tasks import TASKS

PREFIX = 4


def outputs_of_two(model: nn.Module, first: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of a sample, and of one that differs in the token `first`."""
    tokens = torch.arange(9)[None].repeat(2, 1)
    changed = tokens.clone()
    changed[:, first] += 1
    with torch.no_grad():
        return model(tokens), model(changed)


@pytest.mark.parametrize("position", [p for p in ALL if p["use"] != "none"], ids=str)
@pytest.mark.parametrize("length", [None, 1, PREFIX])  # None: the causal mask
def test_what_comes_before_is_the_same_to_the_bit(position: dict[str, Any], length: int | None) -> None:
    mask = "causal" if length is None else {"use": "prefix", "length": length}
    model = moved(tiny_config({"position": position, "mask": mask}))
    for first in sorted({length or 0, 5, 8}):
        before, after = outputs_of_two(model, first)
        assert torch.equal(before[:, :first], after[:, :first]), first
        assert not torch.equal(before[:, first:], after[:, first:])


def test_within_the_prefix_all_see_all() -> None:
    model = moved(tiny_config({"mask": {"use": "prefix", "length": PREFIX}}))
    for changed in range(PREFIX):
        before, after = outputs_of_two(model, changed)
        assert (before != after).any(dim=-1).all()


def leaking(model: nn.Module, targets: torch.Tensor) -> set[int]:
    """The places whose target counts although the model's output there depends on the token that it asks for."""
    found = set()
    for place in range(8):
        before, after = outputs_of_two(model, place + 1)
        if (targets[:, place] != IGNORED).any() and not torch.equal(before[:, place], after[:, place]):
            found.add(place)
    return found


@pytest.mark.parametrize("length", [1, 2, PREFIX, 7, 8])
@pytest.mark.parametrize("task", [card.name for card in TASKS.values() if card.next_token])
def test_a_target_that_the_model_can_see_does_not_count(task: str, length: int) -> None:
    vocab = {"vocab": 256} if task == "text" else {}
    causal = make_task(tiny_config(data={"task": task}, model=vocab))
    config = tiny_config({"mask": {"use": "prefix", "length": length}}, data={"task": task}, model=vocab)
    assert not validate(config)
    model = moved(config)
    for make in (lambda t: t.batch(3), lambda t: t.held_out(0)):
        inputs, targets = make(make_task(config))
        plain_inputs, plain_targets = make(causal)
        assert torch.equal(inputs, plain_inputs)
        assert torch.equal(targets[:, length - 1 :], plain_targets[:, length - 1 :]), "what is no secret counts"
        assert (targets[:, -1] != IGNORED).all(), "something is left to be asked"
        assert not leaking(model, targets)
        assert length < 2 or leaking(model, torch.zeros_like(targets)) == set(range(length - 1))


def test_answers_that_never_stand_in_the_input_are_all_asked() -> None:
    causal, prefix = (
        make_task(tiny_config({"mask": mask}, data={"task": "recall"})).batch(0) for mask in ("causal", "prefix")
    )
    assert all(torch.equal(a, b) for a, b in zip(causal, prefix, strict=True))


def test_a_prefix_leaves_something_after_it() -> None:
    (problem,) = validate(tiny_config({"mask": {"use": "prefix", "length": 9}}))
    assert problem.path == "techniques.mask.length" and "at most 8" in problem.hint
