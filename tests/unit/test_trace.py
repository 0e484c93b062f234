"""The traced step says what torch's allocator then does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tests.helpers.tiny import tiny_config
from tests.helpers.training import CPU, split_of_step
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.techniques import dispatch, recompute
from tfx_engine.techniques.feedforward import mixture_of_experts
from tfx_engine.trace import Traced, traced
from tfx_engine.trace.course import course_of, deeper, extremes
from tfx_engine.trace.depth import depths_of, with_layers
from tfx_engine.trace.fake import fake_step
from tfx_engine.train.setup import set_up

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


@pytest.mark.parametrize("techniques", [
    {},
    {"recompute": {"use": "every_block", "every": 2}},
    {"optimizer": {"use": "adamw", "implementation": "foreach"}},
    {"window": {"use": "sliding", "size": 16, "full_every": 2}, "optimizer": "muon"},
], ids=lambda techniques: " ".join(techniques) or "default")
def test_a_deep_model_follows_from_two_shallow_ones(techniques):
    config = sized(techniques, model={"layers": 8, "width": 32})
    depths = depths_of(config)
    steps = [fake_step(with_layers(config, layers), "cpu") for layers in (depths.shallow, depths.deep)]
    assert deeper(*steps, depths.times) is not None
    told, whole = traced(config), extremes(course_of(fake_step(config, "cpu")))
    assert told.peak_bytes == max(int(part.at_peak_C.sum()) for part in whole)
    assert list(told.category_peak.values()) == np.max([part.most_C for part in whole], axis=0).tolist()


def test_routing_gives_an_interval():
    predicted = traced(sized({"feedforward": {"use": "mixture_of_experts", "experts": 4, "top_k": 1}}))
    assert predicted.low_bytes <= predicted.peak_bytes <= predicted.high_bytes
    assert predicted.note


def test_a_trace_leaves_nothing_behind_that_a_training_would_find():
    config = sized({"optimizer": {"use": "adamw_8bit", "implementation": "own"}, "recompute": "every_block"})
    traced(config)
    assert dispatch.chooser is mixture_of_experts.routing is recompute.watcher is None
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
