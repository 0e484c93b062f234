"""What each synthetic task asks for, told by slow loops; digits and sounds; what a run file keeps of a task."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers.tiny import tiny_config
from tfx_engine import data
from tfx_engine.data import audio, digits
from tfx_engine.data.multi_lag import LAGS
from tfx_engine.data.task import IGNORED
from tfx_engine.protocol.cards import resource
from tfx_engine.protocol.config import Data, parse_config
from tfx_engine.protocol.tasks import TASKS


def batch_of(task: str, context: int | None = None, batch: int = 64, **options: Any) -> tuple[list, list]:
    """Inputs and targets as lists."""
    model = {} if context is None else {"context": context}
    config = tiny_config(data={"task": task, **options}, model={"vocab": 64, **model}, run={"batch": batch})
    inputs, targets = data.make_task(config).batch(0)
    return inputs.tolist(), targets.tolist()


def test_the_tasks_of_the_form_are_those_that_there_are_and_their_options_exist() -> None:
    fields = set(Data.__dataclass_fields__)
    for name, card in TASKS.items():
        assert card.name == name and set(card.options) <= fields - {"task"} and card.summary.endswith(".")
        config, problems = parse_config({"data": {"task": name}})
        assert not problems and data.make_task(config).card == card, f"[data] task = {name!r} alone is legal"
    matters = {option for card in TASKS.values() for option in card.options}
    assert matters == fields - {"task"}, "every option matters for some task"


@pytest.mark.parametrize("context", [2, 3, 8, 9])
def test_reverse_counts_the_second_half_whose_answers_stand_before_it(context: int) -> None:
    for tokens, targets in zip(*batch_of("reverse", context), strict=True):
        for t, target in enumerate(targets):
            answer = context - 1 - t
            assert target == (tokens[answer] if answer < t else IGNORED)
        assert any(target != IGNORED for target in targets)


@pytest.mark.parametrize(("context", "periods"), [(48, range(8, 25)), (20, range(8, 11)), (9, {4}), (2, {1})])
def test_induction_repeats_with_a_period_of_its_own_in_every_sample(context: int, periods: Any) -> None:
    found = set()
    for tokens, targets in zip(*batch_of("induction", context, batch=400, symbols=32), strict=True):
        period = sum(target == IGNORED for target in targets)
        found.add(period)
        whole = [*tokens, targets[-1]]
        assert whole[period:] == whole[:-period] and targets[period:] == whole[period + 1 :]
    assert found == set(periods)


@pytest.mark.parametrize("context", [2, 9, 32])
def test_several_lags_ask_for_what_stood_1_3_6_and_10_places_back(context: int) -> None:
    for tokens, targets in zip(*batch_of("multi_lag", context), strict=True):
        for t, answers in enumerate(targets):
            assert answers == [tokens[t - lag] if t >= lag else IGNORED for lag in LAGS]


def test_digits_are_cut_into_patches_that_make_up_the_image_again() -> None:
    patches, classes = digits._digits()
    with np.load(resource("data", "digits.npz")) as file:
        images = file["images"]
    assert patches.shape == (1797, 16, 4) and sorted(set(classes.tolist())) == list(range(10))
    for patch in range(16):
        row, column = 2 * (patch // 4), 2 * (patch % 4)
        assert (patches[:, patch].numpy() == images[:, row : row + 2, column : column + 2].reshape(-1, 4)).all()
    notice = resource("data", "digits.txt").read_text()
    assert "CC BY 4.0" in notice and "Alpaydin" in notice


def test_held_out_digits_are_never_trained_on_and_are_the_same_for_every_seed() -> None:
    tasks = [data.make_task(tiny_config(seed=seed, data={"task": "digits", "held_out": 0.2}, run={"batch": 100}))
             for seed in (0, 1)]  # fmt: skip
    held_out = [torch.cat([t.held_out(i)[0] for i in range(t.held_out_batches)]) for t in tasks]
    assert torch.equal(*held_out) and len(held_out[0]) == 359 == tasks[0].facts()["held_out_samples"]
    assert tasks[0].evaluated_batches == 4
    known = {tuple(sample.flatten().tolist()) for sample in held_out[0]}
    trained = {tuple(sample.flatten().tolist()) for step in range(50) for sample in tasks[0].batch(step)[0]}
    assert not known & trained and len(trained) > 1000


def test_digits_have_the_hash_that_their_source_has() -> None:
    facts = data.make_task(tiny_config(data={"task": "digits"})).facts()
    assert "CC BY 4.0" in facts["source"] and facts["samples"] == 1797
    assert facts["sha256"] == "4d0e07147be3f7646dd2b9623974a0510e59ec3b6ed7dc6a5be48e9ed74a0c12"


def test_the_kinds_of_sounds_differ_over_time_as_they_are_called() -> None:
    steps = torch.full((8, 5), audio._STEPS // 2)
    steps[:, 4] = 0  # little noise
    generator = torch.Generator().manual_seed(0)
    frames_BTF = audio.spectra(audio.sounds(steps, torch.arange(8), generator))
    assert frames_BTF.shape == (8, 32, 64)
    pitch = dict(zip(audio.KINDS, frames_BTF.argmax(dim=2).tolist(), strict=True))
    loud = dict(zip(audio.KINDS, frames_BTF.amax(dim=2).tolist(), strict=True))
    assert max(pitch["steady"][2:-2]) - min(pitch["steady"][2:-2]) <= 1
    assert pitch["rising"][28] > pitch["rising"][16] > pitch["rising"][3]
    assert pitch["falling"][28] < pitch["falling"][16] < pitch["falling"][3]
    assert pitch["up and down"][16] > max(pitch["up and down"][3], pitch["up and down"][28])
    assert pitch["down and up"][16] < min(pitch["down and up"][3], pitch["down and up"][28])
    assert loud["fading in"][28] > loud["fading in"][3] and loud["fading out"][28] < loud["fading out"][3]
    turns = np.diff(np.sign(np.diff(frames_BTF[7] @ torch.arange(64.0)))) != 0
    assert turns.sum() >= 8, "trembling goes up and down again and again"


def test_a_sound_is_the_same_whatever_else_is_in_its_process() -> None:
    task = data.make_task(tiny_config(data={"task": "audio"}))
    frames, classes = task.batch(0)
    torch.manual_seed(9)
    task.batch(7)
    assert all(torch.equal(a, b) for a, b in zip(task.batch(0), (frames, classes), strict=True))
    assert task.held_out_batches * 3 == 255 and task.evaluated_batches == task.held_out_batches


@pytest.mark.parametrize(
    ("task", "techniques", "labels"),
    [
        ("digits", {}, ["1,1", "1,2", "1,3", "1,4", "2,1"]),
        ("digits", {"embedding": {"class_token": True}}, ["class", "1,1", "1,2"]),
        ("audio", {}, ["0 ms", "16 ms", "32 ms"]),
        ("multi_lag", {}, ["0", "1", "2"]),
    ],
)
def test_labels_name_tokens_or_the_places_of_a_sample(task: str, techniques: dict, labels: list[str]) -> None:
    config = tiny_config(techniques, data={"task": task})
    found = data.make_task(config).labels()
    assert found is not None and found[: len(labels)] == labels
    assert len(found) == (config.model.context if TASKS[task].frames else config.vocab)


@pytest.mark.parametrize("task", [name for name in TASKS if name != "text"])
def test_facts_hold_a_source_and_a_hash_that_depends_on_the_data_alone(task: str) -> None:
    one, again, other = (data.make_task(tiny_config(seed=seed, data={"task": task})).facts() for seed in (1, 1, 2))
    assert one == again and one["source"] and len(one["sha256"]) == 64
    assert (one["sha256"] == other["sha256"]) == (task == "digits")
