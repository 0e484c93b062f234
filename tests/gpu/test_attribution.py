"""Whose memory and time it is, on a GPU: every byte has a module, every kernel a component."""

from __future__ import annotations

import pickle

import pytest
import torch

from tests.helpers.training import recorded, small_setup, split_of_step
from tfx_engine.estimate import flops_per_token
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.train.step import train_step

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="There is no CUDA device here.")
SIZES = {"width": 256, "layers": 4, "heads": 4, "head_width": None, "context": 256, "vocab": 256}
RUN = {"batch": 8, "warmup_steps": 2, "measure_steps": 3, "profile": True}


def setup_of(techniques=None, **run):
    return small_setup(techniques, torch.device("cuda"), model=SIZES, run={**RUN, **run})


def profile_of(techniques=None):
    setup = setup_of(techniques)
    (profile,) = recorded(setup).profiles
    return setup, profile


def summed(profile, figure, **of):
    return sum(getattr(row, figure) for row in profile.parts if all(getattr(row, k) == v for k, v in of.items()))


@pytest.mark.parametrize("techniques", [
    {}, {"recompute": "every_block"}, {"adapter": "lora", "position": "rotary"}, {"precision": "bfloat16_autocast"},
], ids=lambda t: "-".join(t) or "plain")
def test_modules_add_up_to_the_split_and_the_backward_pass_finds_its_modules(techniques):
    split = split_of_step(setup_of(techniques), 3)
    together = sum(m.at_peak for m in split.modules)
    assert dict(zip(CATEGORIES, together.tolist(), strict=True)) == split.at_peak
    assert (split.slot_timeline.sum(axis=1) == split.timeline.sum(axis=1)).all()
    number = CATEGORIES.index("activations")
    nobodys = sum(int(m.at_peak[number]) for m in split.modules if m.slot in ("other", "autograd"))
    assert nobodys < 0.02 * split.at_peak["activations"]


@pytest.mark.parametrize("techniques", [{}, {"recompute": "every_block"}], ids=["plain", "recompute"])
def test_the_peak_of_a_split_is_what_the_allocator_counts(techniques):
    setup = setup_of(techniques)
    peak = split_of_step(setup, 3).peak_bytes
    torch.cuda.reset_peak_memory_stats()
    train_step(setup.training, setup.task.batch(4, setup.device), 4)
    assert peak == pytest.approx(torch.cuda.max_memory_allocated(), rel=0.005)


def test_kernels_are_found_and_lie_in_their_components():
    _, profile = profile_of({"precision": "bfloat16_autocast"})
    assert summed(profile, "ms") == pytest.approx(profile.step_ms, rel=1e-6)
    assert all(row.device_ms is not None for row in profile.parts)
    assert summed(profile, "device_ms", component="feedforward") > 0
    assert summed(profile, "device_ms", part="backward", component="feedforward") > summed(
        profile, "device_ms", part="forward", component="feedforward") > 0
    assert summed(profile, "device_ms", part="optimizer", component="optimizer") > 0
    placed = sum(kernel.device_ms for kernel in profile.kernels if kernel.part != "other")
    assert placed > 0.95 * sum(kernel.device_ms for kernel in profile.kernels) > 0
    assert profile.trace_gz


@pytest.mark.parametrize("techniques", [{}, {"recompute": "every_block"}], ids=["plain", "recompute"])
def test_flops_of_the_operators_are_those_of_the_closed_form(techniques):
    setup, profile = profile_of(techniques)
    declared, tokens = flops_per_token(setup.config), setup.tokens_per_step
    assert summed(profile, "flops", part="forward") + summed(profile, "flops", part="loss") == declared.forward * tokens
    assert summed(profile, "flops", part="backward") == declared.backward * tokens
    if techniques:
        assert summed(profile, "flops", part="recompute") > 0


def test_a_compiled_step_is_profiled_as_a_graph():
    _, profile = profile_of({"compile": "default"})
    assert summed(profile, "ms") == pytest.approx(profile.step_ms, rel=1e-6)
    assert summed(profile, "device_ms") > 0 and "compiled" in {row.component for row in profile.parts}


def test_the_allocators_snapshot_is_taken_on_request():
    (pickled,) = recorded(setup_of(snapshot=True, profile=False)).snapshots
    snapshot = pickle.loads(pickled)
    assert snapshot["segments"] and any(snapshot["device_traces"])
