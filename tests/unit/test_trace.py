"""The traced step says what torch's allocator then does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.helpers.tiny import tiny_config
from tests.helpers.training import CPU, split_of_step
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.trace import Traced, traced
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
