"""Out of memory on a real device: the run says where, how much and what would help, and the next one works."""

from __future__ import annotations

import gc
from contextlib import closing

import pytest
import torch

from tests.helpers.worker import queue_run
from tfx_engine.runfile.reader import RunReader
from tfx_engine.worker.facts import device_name
from tfx_engine.worker.run import execute

SIZES = {"width": 512, "layers": 6, "heads": 8, "head_width": None, "context": 512, "vocab": 8192}
RUN = {"device": "cuda", "batch": 16, "warmup_steps": 1, "measure_steps": 3, "threads": None}


@pytest.fixture
def little_memory():
    """As much of the device as the weights with their gradients take, and some activations."""
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(2**30 / torch.cuda.get_device_properties(0).total_memory)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


def test_it_says_where_and_what_would_help(tmp_path, monkeypatch, little_memory):
    monkeypatch.setenv("TFX_HOME", str(tmp_path / "home"))
    outcome = execute(queue_run(tmp_path, model=SIZES, run=RUN))
    print(outcome.reason)
    assert outcome.status == "failed"
    assert outcome.reason.startswith("Out of memory in the ") and " of step 1" in outcome.reason
    assert "more were asked for on " + device_name(torch.device("cuda")) in outcome.reason
    assert "Peak so far: " in outcome.reason and "parameters" in outcome.reason
    with closing(RunReader(min(tmp_path.glob("*.tfx")))) as reader:
        (event,) = [e for e in reader.events() if e.code == "out-of-memory"]
    assert event.args["asked_bytes"] > 0 and event.args["advice"]
    assert all(one["saves_bytes"] > 0 for one in event.args["advice"])
    fewer = queue_run(tmp_path, model={**SIZES, "layers": 1}, run={**RUN, "batch": 1})
    gc.collect()  # a worker does one run and ends; here both are done by one process
    outcome = execute(fewer)
    assert outcome.status == "finished", outcome.reason
