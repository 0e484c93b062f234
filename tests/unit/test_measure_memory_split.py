"""The split of a step's memory: exact to the byte, and in the right categories."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.helpers.training import CPU, small_setup, split_of_step
from tfx_engine.measure.memory_events import AllocatorRecording, Change, Range
from tfx_engine.measure.memory_replay import (
    TIMELINE_POINTS,
    MemorySplit,
    _extremes,
    blocks_of,
    classify,
    left_over,
    replay,
)
from tfx_engine.measure.memory_split import known_storages
from tfx_engine.protocol.metrics import CATEGORIES

SIZES = {"width": 32, "layers": 4, "heads": 2, "head_width": None, "context": 64, "vocab": 64}


def column(split: MemorySplit, category: str) -> np.ndarray:
    return split.timeline[:, CATEGORIES.index(category)]


def own_peak(split: MemorySplit, category: str) -> int:
    return int(split.category_peak[CATEGORIES.index(category)])


def parameter_bytes(setup, only_trainable=False):
    parameters = {id(p): p for p in setup.training.model.parameters() if p.requires_grad or not only_trainable}
    return sum(p.numel() * p.element_size() for p in parameters.values())


@pytest.fixture(scope="module")
def plain() -> MemorySplit:
    return split_of_step(small_setup(model=SIZES, run={"batch": 4}), step=3)


@pytest.fixture(scope="module")
def first() -> MemorySplit:
    return split_of_step(small_setup(model=SIZES, run={"batch": 4}), step=1)


def test_the_composition_adds_up_to_the_peak(plain):
    assert sum(plain.at_peak.values()) == plain.peak_bytes
    assert plain.timeline.sum(axis=1).max() == plain.peak_bytes
    assert (plain.timeline >= 0).all()


def test_every_category_has_its_own_peak(plain):
    for number, name in enumerate(CATEGORIES):
        assert plain.category_peak[number] == plain.timeline[:, number].max() >= plain.at_peak[name]


def test_weights_gradients_and_optimizer_state_are_exact_and_a_tied_head_counts_once(plain):
    setup = small_setup(model=SIZES)
    size = parameter_bytes(setup)
    tensors = len(list(setup.training.model.parameters()))
    assert own_peak(plain, "parameters") == size
    assert own_peak(plain, "gradients") == size  # float32, as the weights
    assert own_peak(plain, "optimizer") == 2 * size + 4 * tensors  # two moments, and a counter each
    assert own_peak(plain, "adapters") == 0


def test_gradients_are_gone_when_the_step_ends(plain):
    assert column(plain, "gradients")[-1] == 0
    assert column(plain, "activations")[-1] <= 4  # the loss itself
    assert column(plain, "temporary")[-1] == 0


def test_optimizer_state_appears_in_the_first_step(first, plain):
    assert column(first, "optimizer")[0] == 0
    assert column(first, "optimizer")[-1] == column(plain, "optimizer")[0] == column(plain, "optimizer")[-1]


def test_activations_grow_with_what_a_block_keeps_per_token(plain):
    """The difference between four layers and two is what two blocks keep: 8 d + 2 f numbers a token, and statistics."""
    shallow = split_of_step(small_setup(model={**SIZES, "layers": 2}, run={"batch": 4}), step=3)
    tokens, width = 4 * 64, 32
    per_block = (own_peak(plain, "activations") - own_peak(shallow, "activations")) / 2
    expected = 4 * tokens * (16 * width + 4 + 2)  # two norms' statistics, a log-sum per head
    assert per_block == pytest.approx(expected, rel=0.02)


def test_recompute_keeps_far_fewer_activations(plain):
    recomputed = split_of_step(small_setup({"recompute": "every_block"}, model=SIZES, run={"batch": 4}), step=3)
    assert own_peak(recomputed, "activations") < 0.6 * own_peak(plain, "activations")
    assert recomputed.peak_bytes < plain.peak_bytes
    assert [name for name, _, _ in recomputed.phases].count("recompute") == SIZES["layers"]
    assert sum(recomputed.at_peak.values()) == recomputed.peak_bytes


def test_lora_shrinks_gradients_and_optimizer_state_to_the_adapter():
    setup = small_setup({"adapter": {"use": "lora", "rank": 2}}, model=SIZES)
    split = split_of_step(setup, step=2)
    adapter = parameter_bytes(setup, only_trainable=True)
    tensors = sum(p.requires_grad for p in setup.training.model.parameters())
    assert own_peak(split, "adapters") == adapter
    assert own_peak(split, "parameters") == parameter_bytes(setup) - adapter
    assert own_peak(split, "gradients") == adapter
    assert own_peak(split, "optimizer") == 2 * adapter + 4 * tensors


def test_sgd_without_momentum_keeps_no_state():
    split = split_of_step(small_setup({"optimizer": {"use": "sgd", "momentum": 0.0}}, model=SIZES), step=2)
    assert own_peak(split, "optimizer") == 0


def test_autocast_copies_of_weights_are_no_parameters(plain):
    split = split_of_step(small_setup({"precision": "bfloat16_autocast"}, model=SIZES, run={"batch": 4}), step=3)
    assert own_peak(split, "parameters") == own_peak(plain, "parameters")
    assert own_peak(split, "gradients") == own_peak(plain, "gradients")
    assert own_peak(split, "activations") < own_peak(plain, "activations")


def test_the_phases_follow_one_another(plain):
    names = [name for name, _, _ in plain.phases]
    assert names == ["forward", "loss", "backward", "optimizer"]
    ends = [end for _, _, end in plain.phases]
    starts = [start for _, start, _ in plain.phases]
    assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))
    assert (np.diff(plain.timeline_ms) >= 0).all() and plain.timeline_ms[-1] <= ends[-1] + 1


def test_the_attention_kernel_that_was_used_is_named(plain):
    assert plain.kernels == ("flash",)


def test_a_long_timeline_is_thinned_without_losing_an_extreme(plain):
    assert len(plain.timeline_ms) <= TIMELINE_POINTS
    values = np.random.default_rng(0).integers(0, 10**6, 10_000)
    values[[1234, 7777]] = 10**7, -5
    kept = _extremes(values, 100)
    assert len(kept) <= 100 and {1234, 7777} <= set(kept.tolist())
    buckets = values.reshape(50, 200)
    assert set(buckets.max(axis=1)) | set(buckets.min(axis=1)) == set(values[kept])


# ------------------------------------------------------------------------ the rules on events written by hand

FORWARD, BACKWARD = Range("forward", 100, 200), Range("backward", 200, 300)


def categories(changes: list[Change], gradients=(), state=(), base=None) -> list[str]:
    blocks = blocks_of(base or {}, changes)
    classify(blocks, [FORWARD, BACKWARD], set(gradients), set(state))
    return [block.category for block in blocks]


def test_what_dies_in_its_phase_is_temporary_and_what_outlives_forward_an_activation():
    changes = [Change(110, 1, 8), Change(120, 2, 8), Change(150, 1, -8), Change(250, 2, -8), Change(260, 3, 8)]
    assert categories(changes) == ["temporary", "activations", "temporary"]


def test_what_an_allocator_held_for_others_and_gives_back_is_gone_from_then_on():
    changes = [Change(105, 2, 8), Change(110, 77, -50), Change(120, 3, 30), Change(130, 2, -8), Change(140, 2, 6)]
    left = left_over(changes, {1: (100, "parameters")})
    assert [(block.ptr, block.size, block.died_ns) for block in left] == [(77, 50, 110)]
    split = replay([*blocks_of({1: (100, "parameters")}, changes), *left], [FORWARD], uncounted=10)
    assert split.peak_bytes == 100 + 8 + 50 + 10


def test_an_address_used_twice_is_twoblocks_of():
    changes = [Change(110, 1, 8), Change(120, 1, -8), Change(250, 1, 4)]
    assert categories(changes, gradients=[1]) == ["temporary", "gradients"]


def test_what_is_made_outside_every_part_is_other():
    assert categories([Change(50, 1, 8), Change(400, 2, 8)]) == ["other", "other"]


def test_a_block_of_the_base_whose_free_was_not_reported_ends_when_its_address_is_used_anew():
    base = {1: (100, "parameters")}
    blocks = blocks_of(base, [Change(110, 1, 8)])
    classify(blocks, [FORWARD], set(), set())
    split = replay(blocks, [FORWARD], 0)
    assert split.timeline.sum(axis=1).tolist() == [100, 0, 8]


def test_a_free_of_an_unknown_address_changes_nothing():
    blocks = blocks_of({1: (100, "parameters")}, [Change(110, 77, -50)])
    assert replay(blocks, [FORWARD], 0).timeline.sum(axis=1).tolist() == [100]


def test_what_a_counting_allocator_holds_beyond_the_known_is_other():
    split = replay(blocks_of({1: (100, "parameters")}, []), [FORWARD], uncounted=12)
    assert split.at_peak["other"] == 12 and split.peak_bytes == 112


def test_the_recording_sees_exactly_what_is_allocated_and_freed():
    with AllocatorRecording(CPU) as recording:
        kept = torch.empty(1000)
        gone = torch.empty(500)
        del gone
    assert [change.size for change in recording.changes] == [4000, 2000, -2000]
    assert kept.untyped_storage().data_ptr() == recording.changes[0].ptr


def test_known_storages_count_views_and_ties_once():
    setup = small_setup(model=SIZES)
    batch = setup.task.batch(0)
    storages = known_storages(setup.training.model, setup.training.optimizer, batch, CPU)
    by_category = {c: sum(s for s, owner in storages.values() if owner == c) for c in CATEGORIES}
    assert by_category["parameters"] == parameter_bytes(setup)
    assert by_category["other"] >= batch[0].untyped_storage().nbytes()
