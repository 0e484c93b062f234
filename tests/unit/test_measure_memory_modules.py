"""Whose memory it is: every byte of a split has a module and a slot, and they are the right ones."""

from __future__ import annotations

import numpy as np
import pytest

from tests.helpers.training import CPU, small_setup
from tfx_engine.measure import memory_modules
from tfx_engine.measure.memory_replay import Block
from tfx_engine.measure.memory_split import MemoryProbe, MemorySplit
from tfx_engine.measure.parts import Parts
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.train.step import train_step

SIZES = {"width": 32, "layers": 2, "heads": 2, "head_width": None, "context": 64, "vocab": 64}
TOKENS = 4 * 64


def split_of(techniques=None) -> MemorySplit:
    setup = small_setup(techniques, model=SIZES, run={"batch": 4})
    training = setup.training
    for step in range(2):
        batch = setup.task.batch(step, CPU)
        probe = MemoryProbe(training.model, training.optimizer, batch, CPU, with_shapes=True)
        with probe:
            train_step(training, batch, step, Parts(), probe.gradients_are_there)
    return probe.split()


@pytest.fixture(scope="module")
def plain() -> MemorySplit:
    return split_of()


def bytes_of(split: MemorySplit, category: str, module: str = "", slot: str = "") -> int:
    number = CATEGORIES.index(category)
    return sum(int(m.at_peak[number]) for m in split.modules
               if m.module.startswith(module) and m.slot == (slot or m.slot))


@pytest.mark.parametrize("techniques", [
    {}, {"recompute": "every_block"}, {"adapter": "lora", "position": "rotary"}, {"update": "in_backward"},
    {"feedforward": "mixture_of_experts"}, {"optimizer": "adamw_8bit"}, {"loss": "chunked_cross_entropy"},
], ids=lambda t: "-".join(t) or "plain")
def test_modules_and_slots_add_up_to_the_split(techniques):
    split = split_of(techniques)
    together = sum(m.at_peak for m in split.modules)
    assert dict(zip(CATEGORIES, together.tolist(), strict=True)) == split.at_peak
    assert np.array_equal(split.slot_timeline.sum(axis=1), split.timeline.sum(axis=1))
    assert len({(m.module, m.slot) for m in split.modules}) == len(split.modules)
    assert (split.slot_timeline >= 0).all()


def test_weights_and_state_belong_to_who_holds_them(plain):
    up = 4 * (32 * 128 + 128)
    assert bytes_of(plain, "parameters", "blocks.1.feedforward.up") == up
    assert bytes_of(plain, "optimizer", "blocks.1.feedforward.up") == 2 * up + 2 * 4  # two moments, a counter each
    assert bytes_of(plain, "parameters", "embedding", "embedding") == 4 * 64 * 32
    assert bytes_of(plain, "parameters", "head") == 0  # tied: the embedding holds it


def test_activations_belong_to_the_module_that_made_them(plain):
    wide = 4 * TOKENS * 128
    for block in ("blocks.0", "blocks.1"):
        assert bytes_of(plain, "activations", f"{block}.feedforward.up", "feedforward") == wide
        assert bytes_of(plain, "activations", f"{block}.attention.query", "attention") == 4 * TOKENS * 32
        assert bytes_of(plain, "activations", f"{block}.attention_residual", "residual") == 4 * TOKENS * 32
    assert bytes_of(plain, "activations", slot="kernel") >= 2 * 4 * TOKENS * 32


def test_gradients_belong_to_their_weights():
    split = split_of({"adapter": {"use": "lora", "rank": 2}})
    at_peak = bytes_of(split, "gradients")
    assert at_peak == split.at_peak["gradients"]
    assert bytes_of(split, "adapters", slot="adapter") == split.at_peak["adapters"] > 0
    assert bytes_of(split, "adapters", "blocks.0.attention.query") == 4 * 2 * (32 + 32)


def test_what_is_recomputed_belongs_to_its_module_again():
    split = split_of({"recompute": "every_block"})
    slots = dict(zip(split.slots, split.slot_timeline.T, strict=True))
    first, second = (bytes_of(split, "activations", f"blocks.{i}") for i in range(2))
    assert second < 4 * TOKENS * 128 <= first  # the peak is in the last recomputation, which is the first block's
    again = [(start, end) for name, start, end in split.phases if name == "recompute"]
    within = [row for at, row in zip(split.timeline_ms, slots["feedforward"], strict=True)
              if any(start <= at <= end for start, end in again)]
    assert max(within) >= slots["feedforward"][0] + 4 * TOKENS * 128


def test_the_largest_tensors_are_told_with_their_shape(plain):
    bent = next(t for t in plain.tensors if t.module == "blocks.0.feedforward")
    assert (bent.operator, bent.bytes, bent.shape, bent.dtype) == (
        "aten::gelu", 4 * TOKENS * 128, (TOKENS, 128), "float32")
    weight = next(t for t in plain.tensors if t.module == "blocks.0.feedforward.up" and t.name == "weight")
    assert (weight.category, weight.shape, weight.operator) == ("parameters", (128, 32), "")
    sizes = [t.bytes for t in plain.tensors]
    assert sizes == sorted(sizes, reverse=True) and sum(sizes) <= plain.peak_bytes


def test_of_very_many_modules_the_deepest_are_put_together(monkeypatch):
    monkeypatch.setattr(memory_modules, "MOST_MODULES", 4)
    blocks = [Block(i, 10, 0, category="parameters", module=f"blocks.{i % 3}.part.{i}", slot="norm") for i in range(9)]
    found = memory_modules.by_module(blocks, uncounted=5)
    assert {m.module for m in found} == {"", "blocks.0.part", "blocks.1.part", "blocks.2.part"}
    assert sum(m.at_peak.sum() for m in found) == 95
