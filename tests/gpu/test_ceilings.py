"""What a CUDA device can do, measured on it, and MFU against that."""

from __future__ import annotations

from contextlib import closing

import pytest
import torch

from tests.helpers.worker import queue_run
from tfx_engine.measure.ceilings import circumstances, measure_ceilings
from tfx_engine.protocol.vendor import vendor_peak
from tfx_engine.worker.facts import device_name
from tfx_engine.worker.run import execute
from tfx_workbench.runs.rundata import RunData

CUDA = torch.device("cuda")
SIZES = {"width": 512, "layers": 4, "heads": 8, "head_width": None, "context": 512, "vocab": 256}


@pytest.fixture(scope="module")
def ceilings():
    held = torch.cuda.memory_allocated()
    found = measure_ceilings(CUDA, device_name(CUDA))
    assert torch.cuda.memory_allocated() - held < 2**27  # but for the workspace of cuBLAS
    return found


def test_every_format_that_the_device_has_units_for_has_its_peak(ceilings):
    assert ceilings.took_s < 20
    assert ceilings.is_current(circumstances(CUDA, device_name(CUDA)))
    expected, capability = {"float32", "float16"}, torch.cuda.get_device_capability()
    expected |= {"tf32", "bfloat16"} if capability >= (8, 0) else set()
    expected |= {"float8"} if capability >= (8, 9) else set()
    assert set(ceilings.flops) >= expected, ceilings.missing
    assert ceilings.flops["float32"].per_s < ceilings.flops["float16"].per_s


def test_what_is_measured_is_near_what_the_maker_publishes_and_not_above(ceilings):
    published = vendor_peak(device_name(CUDA))
    if published is None:
        pytest.skip(f"nothing is known of what the maker of {device_name(CUDA)} publishes")
    for format, peak in ceilings.flops.items():
        assert 0.3 < peak.per_s / published.flops_per_s[format] < 1.1, format
    assert 0.5 < ceilings.bandwidth.per_s / published.bytes_per_s < 1.1


@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16_autocast"])
def test_mfu_is_a_share_of_the_measured_peak(tmp_path, monkeypatch, precision):
    monkeypatch.setenv("TFX_HOME", str(tmp_path / "home"))
    path = queue_run(tmp_path, model=SIZES, techniques={"precision": precision}, data={"task": "copy", "symbols": 64},
                     run={"device": "cuda", "batch": 16, "warmup_steps": 3, "measure_steps": 15, "threads": None})
    outcome = execute(path)
    assert outcome.status == "finished", outcome
    with closing(RunData(path)) as run:
        summary = run.load().complete_summary()
    assert 0.001 < summary["mfu"] <= 1.0, summary["missing"]
    assert summary["flops_per_s"]["peak"] > summary["flops_per_s"]["model"]
    assert summary["predicted"]["step_ms"] > 0
