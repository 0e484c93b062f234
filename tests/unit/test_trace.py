"""The traced step says what torch's allocator then does."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers.tiny import tiny_config
from tests.helpers.training import CPU, split_of_step
from tfx_engine.model.assemble import assemble
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.techniques.assumptions import assumed
from tfx_engine.trace import Traced, results, traced
from tfx_engine.trace.course import course_of, extremes, fullest
from tfx_engine.trace.fake import fake_step, fake_training
from tfx_engine.trace.look import axes_of, look
from tfx_engine.trace.manners import BrokenOff, Manners
from tfx_engine.trace.routing import evenly, unevenly
from tfx_engine.train.setup import set_up
from tfx_engine.train.step import train_step

SIZES = {"width": 64, "layers": 2, "heads": 4, "head_width": None, "context": 64, "vocab": 256}
EXACT = 1e-5  # of a peak: some bytes of single numbers


def sized(techniques: Mapping[str, Any] | None = None, **sections: Any) -> Config:
    sections["model"] = {**SIZES, **sections.get("model", {})}
    sections["run"] = {"batch": 4, "threads": 1, "probes": False, **sections.get("run", {})}
    return tiny_config(techniques, **sections)


@pytest.fixture(scope="module")
def plain() -> Traced:
    return traced(sized())


def test_the_default_configuration_is_predicted_to_some_bytes(plain):
    measured = split_of_step(set_up(sized(), CPU), step=2)
    assert plain.peak_bytes == pytest.approx(measured.peak_bytes, rel=EXACT)
    assert plain.at_peak == pytest.approx(measured.at_peak, abs=16)
    assert list(plain.category_peak.values()) == pytest.approx(measured.category_peak.tolist(), rel=1e-3)


def test_the_composition_adds_up_and_so_does_that_of_every_phase(plain):
    assert sum(plain.at_peak.values()) == plain.peak_bytes
    assert [phase.name for phase in plain.phases] == ["forward", "loss", "backward", "optimizer"]
    assert all(sum(phase.at_peak.values()) == phase.peak_bytes for phase in plain.phases)
    assert max(phase.peak_bytes for phase in plain.phases) == plain.peak_bytes
    assert tuple(plain.at_peak) == tuple(plain.category_peak) == CATEGORIES


@pytest.mark.parametrize("techniques", [
    {"recompute": "every_block"},
    {"kernel": "math", "attention": {"use": "grouped_query", "kv_heads": 2}},
    {"precision": "float16_autocast", "optimizer": "sgd"},
    {"optimizer": {"use": "adamw_8bit", "implementation": "own"}, "adapter": {"use": "lora", "rank": 4}},
    {"accumulation": {"use": "micro_batches", "pieces": 3}},  # of different sizes
    {"head": "untied", "position": "rotary", "norm": "rms_norm"},
], ids=lambda techniques: " ".join(techniques))
def test_techniques_are_predicted_to_half_a_percent(techniques):
    measured = split_of_step(set_up(sized(techniques), CPU), step=2)
    predicted = traced(sized(techniques))
    assert predicted.peak_bytes == pytest.approx(measured.peak_bytes, rel=0.005)
    assert predicted.low_bytes == predicted.peak_bytes == predicted.high_bytes


DEEP = {"model": {"layers": 5, "width": 32}}
PIECES = {"use": "chunked_cross_entropy", "rows": 7, "label_smoothing": 0.1, "z_loss": 0.1}
EXPERTS = {"use": "mixture_of_experts", "experts": 5, "top_k": 2, "width": 512}


@pytest.mark.parametrize(("techniques", "sections", "axes"), [
    ({"optimizer": {"use": "adamw", "implementation": "foreach"}, "precision": "bfloat16_autocast"}, DEEP, 1),
    ({"window": {"use": "sliding", "size": 16, "full_every": 2}}, {"model": {"layers": 7, "width": 32}}, 1),
    ({"adapter": {"use": "freeze", "blocks": "first", "count": 4}}, {"model": {"layers": 8, "width": 32}}, 2),
    ({"feedforward": EXPERTS}, {"model": {"layers": 4, "width": 32}}, 2),
    ({"mixer": "gru"}, {"model": {"layers": 1, "width": 32, "context": 10}}, 1),
    ({"accumulation": {"use": "micro_batches", "pieces": 4}}, {"run": {"batch": 9}}, 0),
    ({"loss": PIECES}, {"model": {"layers": 4, "width": 32, "context": 16}}, 2),
    ({"loss": PIECES, "accumulation": {"use": "micro_batches", "pieces": 2}},
     {"model": {"layers": 1, "context": 16}, "run": {"batch": 5}}, 1),
], ids=lambda value: " ".join(value) if isinstance(value, dict) else str(value))
def test_a_long_step_follows_from_short_ones(techniques, sections, axes):
    config = sized(techniques, **sections)
    assert sum(map(len, axes_of(config, "cpu", evenly(config)))) == axes
    told, whole = look(config, "cpu"), fake_step(config, "cpu", all_pieces=True)
    assert _extremes(told.course) == _extremes(course_of(whole, {}))
    assert _done(told.operators) == pytest.approx(_done(whole.operators), rel=1e-4)


@pytest.mark.parametrize("rows", [None, 100, 7], ids=str)
@pytest.mark.parametrize("implementation", ["torch", "recompute"])
def test_a_loss_in_pieces_is_predicted_to_some_bytes(rows, implementation):
    loss = {"use": "chunked_cross_entropy", "implementation": implementation, "rows": rows}
    config = sized({"loss": {name: value for name, value in loss.items() if value is not None}}, model={"vocab": 3000})
    measured = split_of_step(set_up(config, CPU), step=2)
    assert traced(config).peak_bytes == pytest.approx(measured.peak_bytes, abs=16 if rows != 7 else 8 * 37)


def test_what_is_remembered_of_operators_is_what_they_give(monkeypatch):
    config = sized({"position": "rotary", "recompute": "every_block", "clip": "norm"}, model={"layers": 1, "width": 32})
    monkeypatch.setattr(results, "_known", {})
    steps = [fake_step(config, "cpu"), fake_step(config, "cpu")]
    monkeypatch.setattr(results.Results, "of", lambda self, operator, args, kwargs, run: run())
    steps.append(fake_step(config, "cpu"))
    learnt, known, asked = ([(b.size, b.born_ns, b.died_ns, b.category) for b in step.blocks] for step in steps)
    assert learnt == known == asked and steps[0].operators == steps[1].operators == steps[2].operators


def test_all_tokens_may_go_to_the_same_experts():
    config = sized({"feedforward": EXPERTS}, model={"layers": 1, "width": 32})
    told, whole = look(config, "cpu", unevenly), fake_step(config, "cpu", unevenly(config))
    assert _extremes(told.course) == _extremes(course_of(whole, {}))
    assert _extremes(told.course) != _extremes(look(config, "cpu", evenly).course)


def _extremes(course):
    parts = extremes(course)
    return fullest(parts).at_peak_C.tolist(), np.max([part.most_C for part in parts], axis=0).tolist()


def _done(operators):
    """Calls, FLOPs and bytes of each operator."""
    found = {}
    for operator, calls in operators.items():
        for what, each in (("calls", 1), ("flops", operator.flops), ("bytes", operator.bytes)):
            key = operator.name, operator.what, what
            found[key] = found.get(key, 0) + calls * each
    return found


def test_a_trace_that_takes_too_long_has_no_figures_and_says_so():
    late = traced(sized(), manners=Manners(most_s=0.0))
    assert late.peak_bytes is None and late.is_given_up and "longer than 0 s" in late.note
    with pytest.raises(BrokenOff):
        traced(sized(), manners=Manners(is_over=lambda: True))


def test_what_a_trace_assumes_holds_on_its_own_thread_only():
    config = sized({"feedforward": {"use": "mixture_of_experts", "experts": 5, "top_k": 2}}, model={"layers": 1})
    with fake_training(config, point={"experts": 1}), ThreadPoolExecutor(1) as other:
        made = other.submit(assemble, config, "meta").result()
    assert len(made.blocks[0].feedforward.experts) == 5


def test_routing_gives_an_interval():
    predicted = traced(sized({"feedforward": {"use": "mixture_of_experts", "experts": 4, "top_k": 1}}))
    assert predicted.low_bytes <= predicted.peak_bytes <= predicted.high_bytes
    assert predicted.note


def test_a_trace_leaves_nothing_behind_that_a_training_would_find():
    config = sized({"optimizer": {"use": "adamw_8bit", "implementation": "own"}, "recompute": "every_block"})
    traced(config)
    assert not vars(assumed)
    measured = split_of_step(set_up(config, CPU), step=2)
    assert measured.peak_bytes > 0


def test_a_cuda_device_takes_whole_blocks_and_holds_more_than_it_uses(plain):
    predicted = traced(sized(), "cuda")
    assert predicted.peak_bytes > plain.peak_bytes
    assert all(size % 512 == 0 for size in predicted.at_peak.values())
    assert predicted.reserved_bytes >= predicted.peak_bytes and predicted.reserved_bytes % 2**21 == 0


def test_what_cannot_be_traced_is_said():
    predicted = traced(sized(), "no such device")
    assert predicted.peak_bytes is None and "cannot be traced" in predicted.note


def test_the_largest_configuration_has_an_answer():
    huge = sized(model={"width": 100_000, "layers": 1000, "heads": 100, "context": 8192})
    assert traced(huge).peak_bytes > 10**14


def test_a_kernel_that_is_tried_out_keeps_nothing():
    setup = set_up(sized({"kernel": "math"}), CPU)
    gc.collect()
    for index in range(2):
        train_step(setup.training, setup.task.batch(index, CPU), index)
    gc.collect()
    scores = (4, 4, SIZES["context"], SIZES["context"])
    assert not [t for t in gc.get_objects() if type(t) is torch.Tensor and tuple(t.shape) == scores]
