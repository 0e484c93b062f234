"""Why a run failed, in words."""

from __future__ import annotations

import dataclasses

import pytest
import torch

import tfx_engine.api as tfx
from tests.helpers.training import small_setup
from tfx_engine.estimate.memory import memory_of_step
from tfx_engine.measure.memory import is_out_of_memory
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.worker import advice as advising
from tfx_engine.worker import failure
from tfx_engine.worker.advice import Advice, advice, sentence
from tfx_engine.worker.step_time import expected_step

HELD = {"parameters": 3 * 2**30, "gradients": 0, "activations": 512 * 2**20}


@pytest.mark.parametrize(("message", "asked"), [
    ("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 23.6 GiB", 2.5 * 2**30),
    ("CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; 4.00 GiB total)", 20 * 2**20),
    ("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000000 bytes. Error code 12", 4_000_000),
    ("[enforce fail] not enough memory: you tried to allocate 137438953472 bytes.", 2**37),
    ("no number here", None),
])
def test_what_was_asked_for_is_read_from_the_allocator(message, asked):
    assert failure.asked_bytes(message) == asked


def test_out_of_memory_says_what_was_asked_for_where_and_what_was_held():
    error = RuntimeError("Tried to allocate 2.00 GiB.")
    words = failure.out_of_memory(error, "Tesla T4", "backward", 7, HELD, 16 * 2**30)
    assert words == (
        "Out of memory in the backward pass of step 7: 2.0 GiB more were asked for on Tesla T4, which has 16.0 GiB in"
        " all. Peak so far: 3.5 GiB (parameters 3.0 GiB, activations 512.0 MiB)."
    )


def test_out_of_memory_while_building_has_no_step_and_no_composition():
    words = failure.out_of_memory(MemoryError(), "cpu", "", 0, {}, None)
    assert words == "Out of memory while the model was built: more was asked for than there is on cpu."


def test_the_module_that_asked_for_memory_is_found_in_the_traceback():
    setup = small_setup()
    model = setup.training.model
    assert failure.module_at(RuntimeError(), model) == ""
    module = model.blocks[1].feedforward
    module.register_forward_hook(lambda *args: torch.empty(2**60))
    with pytest.raises(RuntimeError) as caught:
        model(setup.task.batch(0)[0])
    assert is_out_of_memory(caught.value)
    name = failure.module_at(caught.value, model)
    assert name.startswith("blocks.1") and model.get_submodule(name) is module
    words = failure.out_of_memory(caught.value, "cpu", "forward", 1, {}, None, name)
    assert f"in the forward pass of step 1, by {name}: " in words


SMALL = {
    "model": {"width": 64, "layers": 2, "heads": 2, "context": 128}, "run": {"batch": 8, "device": "cpu", "threads": 1},
}  # fmt: skip


def test_advice_is_single_changes_that_are_legal_and_save_most_for_what_they_cost_first(
    monkeypatch,
):
    few = [each for each in advising._TOGGLES if each[0] in ("recompute", "accumulation")]
    monkeypatch.setattr(advising, "_TOGGLES", few)
    monkeypatch.setattr(advising, "_PATIENCE_S", 600.0)
    config = tfx.load_config({**SMALL, "techniques": {"recompute": "every_block"}})
    found = advice(config, "cpu")
    assert len(found) >= 2 and found == sorted(found, key=lambda each: each.rank)
    assert all(each.saves_bytes > 0 and each.judged_by == "time" for each in found)
    by_path = {each.path: each for each in found}
    assert by_path["run.batch"].value == 4 and "techniques.recompute" not in by_path
    changed = config.as_dict()
    changed["techniques"]["accumulation"] = by_path["techniques.accumulation"].value
    changed = tfx.load_config(changed)
    pieces = by_path["techniques.accumulation"]
    assert memory_of_step(changed, "cpu").peak == pieces.peak_bytes
    assert pieces.peak_bytes == memory_of_step(config).peak - pieces.saves_bytes
    took, takes = expected_step(config).ms, expected_step(changed).ms
    assert pieces.slower_percent == pytest.approx(100 * (takes / took - 1)) and "% slower" in pieces.words
    assert found[0].words in sentence(found) and sentence([]) == ""


def test_where_the_device_was_not_measured_advice_is_judged_by_flops_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("TFX_HOME", str(tmp_path))
    monkeypatch.setattr(advising, "MOST", 99)
    found = advice(tfx.load_config(SMALL), "cpu")
    (again,) = (each for each in found if each.value == {"use": "every_block"})
    assert again.judged_by == "flops" and again.slower_percent == again.flops_percent > 0
    assert "% slower by its FLOPs" in again.words


def test_what_is_predicted_to_fit_comes_before_what_is_not(monkeypatch):
    monkeypatch.setattr(advising, "_PATIENCE_S", 0.0)
    config = tfx.load_config(SMALL)
    peaks = sorted(each.peak_bytes for each in advice(config, "cpu"))
    found = advice(config, "cpu", peaks[1])
    assert {each.peak_bytes for each in found[:2]} == set(peaks[:2])
    assert "None of them" not in sentence(found, peaks[1])
    assert sentence(advice(config, "cpu", 1024), 1024).endswith("None of them alone is predicted to fit into 1.0 KiB.")


def test_advice_says_what_changes_what_is_learnt_and_how_far_off_it_may_be(monkeypatch):
    monkeypatch.setattr(advising, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(advising, "MOST", 99)
    found = {each.words.split(" saves")[0]: each for each in advice(tfx.load_config(SMALL), "cpu")}
    changing = {name.split(" ")[2] for name, each in found.items() if each.changes_learning}
    free = {name.split(" ")[2] for name, each in found.items() if not each.changes_learning}
    assert {"lora", "4", "sgd"} <= changing and {"every_block", "selective", "micro_batches"} <= free
    assert not {"adamw_8bit", "bfloat16"} & free
    assert found["batch = 4"].words.endswith(", changes what is learnt") and "learnt" not in found[
        "recompute = every_block"].words
    said = sentence(list(found.values()))
    assert f"95 of 100 are within {found['batch = 4'].error_95_percent:.2g} %." in said
    unknown = [dataclasses.replace(each, error_95_percent=None) for each in found.values()]
    assert "is not known" in sentence(unknown)


def test_of_changes_worth_about_the_same_those_come_first_that_leave_the_learning_as_it_is():
    given = Advice("run.batch", 4, 1000, 1, 0.0, 0.0, "flops", changes_learning=True)
    free = dataclasses.replace(given, path="techniques.recompute", saves_bytes=900, changes_learning=False)
    small = dataclasses.replace(free, saves_bytes=100)
    assert sorted([small, given, free], key=lambda each: each.rank) == [free, given, small]


@pytest.mark.parametrize(("size", "words"), [
    (0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (2**41, "2.0 TiB"),
])
def test_bytes_for_people(size, words):
    assert failure.in_words(size) == words


def test_a_wrong_request_is_told_as_its_problems():
    problem = Problem(code="x", path="data.path", template="is gone.", hint_template="Look for it.")
    assert failure.in_a_sentence(ConfigError([problem])) == "data.path: is gone. Look for it."


def test_any_other_failure_is_one_line():
    assert failure.in_a_sentence(ValueError("first\nsecond")) == "ValueError: first"
    assert failure.in_a_sentence(KeyError()) == "The run broke off with KeyError."
