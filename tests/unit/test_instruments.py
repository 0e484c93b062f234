"""The instruments of experiments against what is known of tiny models, and their process's manners."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.helpers.tiny import tiny_config
from tfx_engine.instruments import in_turns, longest_path, measure, same_gradients
from tfx_engine.model import weights
from tfx_engine.model.assemble import assemble
from tfx_engine.techniques.recompute.every_block import TECHNIQUE as EVERY_BLOCK


def test_a_model_without_positions_is_equivariant_and_with_a_causal_mask_it_is_not():
    config = tiny_config({"mask": "bidirectional", "position": "none"}, data={"task": "reverse"})
    assert measure("permutation", config, {})["difference"] < 1e-9
    causal = tiny_config({"position": "none"}, data={"task": "reverse"})
    assert measure("permutation", causal, {})["difference"] > 1e-3


def test_one_matrix_shifts_sinusoidal_positions_and_none_shifts_learned_ones():
    sizes = {"width": 8, "heads": 2, "context": 64}
    found = measure("sinusoid", tiny_config(model=sizes), {"shift": 3})
    assert found["residual"] < 1e-9 and found["squared_norm"] == pytest.approx(4)
    assert measure("sinusoid", tiny_config({"position": "learned"}, model=sizes), {})["residual"] > 1e-3


@pytest.mark.parametrize(("make", "nodes"), [
    (lambda x: x.sum(), 2),  # and where the gradient is added up
    (lambda x: (x * x).exp().sum(), 4),
    (lambda x: x.sum() + (x * 2 * 2 * 2).sum(), 6),
])  # fmt: skip
def test_the_longest_path_is_counted_by_hand(make, nodes):
    assert longest_path.longest(make(torch.ones(3, requires_grad=True))) == nodes


def test_a_path_of_ten_thousand_operations_is_walked():
    x = torch.ones(1, requires_grad=True)
    y = x
    for _ in range(10_000):
        y = y + 1
    assert longest_path.longest(y) == 10_001


def test_attention_takes_as_many_operations_for_any_length_and_an_lstm_does_not():
    lengths = {name: [measure("longest_path", tiny_config({"mixer": name}, model={"context": tokens}), {})["operations"]
                      for tokens in (5, 9, 13)] for name in ("attention", "lstm")}
    assert len(set(lengths["attention"])) == 1
    near, middle, far = lengths["lstm"]
    assert far - middle == middle - near >= 4 * 2, "some operations for each token and layer"


def test_a_recompute_that_changed_gradients_would_be_seen(monkeypatch):
    config = tiny_config({"recompute": "every_block"})
    assert measure("same_gradients", config, {}) == {"unequal": 0, "compared": 35}
    plain = same_gradients._gradients
    monkeypatch.setattr(same_gradients, "_gradients", lambda c: {
        name: g + 1e-7 * (c.use("recompute") == EVERY_BLOCK.name) for name, g in plain(c).items()})
    assert measure("same_gradients", config, {})["unequal"] > 0


def test_gradients_are_those_of_the_last_and_the_first_feed_forward():
    config = tiny_config(model={"layers": 1})
    found = measure("first_gradients", config, {})
    assert found["last_feedforward"] == found["first_feedforward"] > 0
    deeper = measure("first_gradients", tiny_config(), {})
    assert deeper["last_feedforward"] != deeper["first_feedforward"]


def test_trained_weights_are_looked_at_at_another_length(tmp_path: Path):
    config = tiny_config()
    file = tmp_path / "w.safetensors"
    weights.save(assemble(config, "cpu"), file, config)
    near = measure("held_out_at", config, {"context": 9}, file)
    far = measure("held_out_at", config, {"context": 31}, file)
    assert near["loss.held_out"] != far["loss.held_out"] and abs(near["loss.held_out"] - math.log(11)) < 1.5
    other = dataclasses.replace(config, seed=5)
    assert measure("held_out_at", other, {"context": 9}, file)["loss.held_out"] != near["loss.held_out"], "other data"


def test_what_an_adapter_learned_stays_when_it_is_merged():
    lora = {"adapter": {"use": "lora", "rank": 2}}
    assert measure("merging", tiny_config(lora), {"steps": 3})["difference"] < 1e-5


def test_in_turns_whatever_drifts_meets_both_alike(monkeypatch):
    """The machine gets slower from step to step; the step with it takes twice as long as the plain one."""
    steps = []

    def step_ms(setup, step):
        is_plain = setup.config.use("recompute") == "none"
        steps.append(is_plain)
        return (1.0 + 0.1 * len(steps)) * (1 if is_plain else 2)

    monkeypatch.setattr(in_turns, "_step_ms", step_ms)
    config = tiny_config({"recompute": "every_block", "precision": "bfloat16_autocast"})
    assert measure("in_turns", config, {"blocks": 3})["times_as_long"] == pytest.approx(2)
    assert steps[2:6] == steps[6:10] == [False, True, True, False]
    steps.clear()
    assert measure("in_turns", in_turns.plain_of(config), {"blocks": 3}) == {"times_as_long": 1.0}
    assert steps == [], "nothing is timed of what is the measure itself"


def test_in_turns_real_steps_are_timed_and_the_plain_one_is_in_float32_without_recompute():
    config = tiny_config({"recompute": "every_block"})
    plain = in_turns.plain_of(config)
    assert plain.use("recompute") == "none" and plain.use("precision") == "float32"
    assert 0.01 < measure("in_turns", config, {"blocks": 1})["times_as_long"] < 100


def test_the_process_answers_each_job_and_says_what_is_wrong_with_one():
    tiny = {"model": {"width": 16, "layers": 1, "heads": 2, "context": 16}}
    jobs = [
        "nonsense", json.dumps({"instrument": "unheard_of", "config": tiny}),
        json.dumps({"instrument": "sinusoid", "config": {"model": {"width": -1}}}),
        json.dumps({"instrument": "sinusoid", "config": tiny}),
    ]
    done = subprocess.run([sys.executable, "-m", "tfx_engine", "measure"], input="\n".join(jobs) + "\n",
                          capture_output=True, text=True, timeout=120)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    codes = [[p["code"] for p in answer.get("problems", [])] for answer in answers]
    assert codes[:2] == [["not-a-job"], ["unknown-instrument"]] and codes[2] and done.returncode == 0, done.stderr
    assert answers[3]["metrics"]["squared_norm"] == pytest.approx(8)
