"""Whether a step fits: what is compared with what, what is said of it, and where nobody can tell."""

from __future__ import annotations

import psutil
import pytest

import tfx_engine.api as tfx
from tfx_engine.trace.manners import GivenUp
from tfx_engine.trace.peak import ROUTED_EVENLY, look, traced
from tfx_engine.worker import fitting, predicting
from tfx_engine.worker.fitting import CUDA_CONTEXT_BYTES
from tfx_engine.worker.predicting import figures
from tfx_workbench.exhibits.stated_error import compared

SMALL = {"model": {"width": 32, "layers": 1, "heads": 2, "context": 32}, "data": {"task": "copy"},
         "run": {"batch": 4, "device": "cpu", "threads": 1}}
ON_CUDA = {**SMALL, "run": {"batch": 4, "device": "cuda"}}
EXPERTS = {**SMALL, "techniques": {"feedforward": {"use": "mixture_of_experts", "experts": 4, "top_k": 1}}}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TFX_HOME", str(tmp_path))


def asked(data, level="traced", memory=None):
    return figures(tfx.load_config(data), level, memory, with_time=False)


def test_on_a_gpu_what_the_allocator_holds_and_the_context_must_fit_too():
    found = asked(ON_CUDA)
    reserved, peak = found["reserved_bytes"], found["memory_bytes"]["peak"]
    assert found["device_kind"] == "cuda" and found["context_bytes"] == CUDA_CONTEXT_BYTES and reserved > 1.01 * peak
    assert found["needs_bytes"]["high"] >= reserved + CUDA_CONTEXT_BYTES
    assert asked(ON_CUDA, memory=round(1.5 * reserved))["fits"] is False, "there is no room beside the context"
    assert asked(ON_CUDA, memory=(peak + reserved) // 2 + CUDA_CONTEXT_BYTES)["fits"] is None
    assert asked(ON_CUDA, memory=round(1.03 * reserved) + CUDA_CONTEXT_BYTES)["fits"] is True
    assert f"{CUDA_CONTEXT_BYTES >> 20} MiB for the context" in str(compared(found))
    closed = asked(ON_CUDA, "instant")
    assert closed["reserved_bytes"] is None and "traced" in closed["missing"]["reserved_bytes"]


def test_on_this_machines_cpu_it_must_fit_into_what_is_free_now(monkeypatch):
    class Memory:
        total, available = 2**40, 10_000

    monkeypatch.setattr(psutil, "virtual_memory", Memory)
    found = asked(SMALL)
    assert (found["fits"], found["device_bytes"], found["free_bytes"]) == (False, 2**40, 10_000)
    assert "free now" in str(compared(found))
    other = asked(SMALL, memory=2**40)
    assert (other["fits"], other["free_bytes"]) == (True, None) and other["missing"]["free_bytes"]


def test_a_step_of_a_cpu_for_a_device_that_is_not_here_is_told(monkeypatch):
    monkeypatch.setattr(predicting, "device_kind", lambda config: "cpu")
    auto = {**SMALL, "run": {"batch": 4, "device": "auto"}}
    assert any("step of a CPU" in note for note in asked(auto, "instant", 2**30)["notes"])
    assert asked(auto, "instant")["notes"] == asked(SMALL, "instant", 2**30)["notes"] == []


def test_what_a_trace_assumes_is_in_the_answer(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("tfx_engine.worker.tracing._newest", None)
    assert any("kernels of a CPU" in note for note in asked(ON_CUDA)["notes"])


def test_experts_of_which_only_one_end_was_traced_have_no_interval(monkeypatch):
    def one_end(config, kind, routing, patience):
        if routing.__name__ == "unevenly":
            raise GivenUp("It would take too long.")
        return look(config, kind, routing, patience)

    monkeypatch.setattr("tfx_engine.trace.peak.look", one_end)
    monkeypatch.setattr("tfx_engine.worker.tracing._newest", None)
    config = tfx.load_config(EXPERTS)
    half = traced(config)
    assert half.peak_bytes and half.low_bytes is None and half.high_bytes is None
    found = asked(EXPERTS, memory=2**40)
    assert found["peak_interval_bytes"] == {"low": None, "high": None}
    assert "not known" in found["missing"]["peak_interval_bytes"] and ROUTED_EVENLY in found["notes"]
    assert found["fits"] is None and found["missing"]["fits"] == ROUTED_EVENLY
    assert asked(EXPERTS, memory=1000)["fits"] is False


def test_where_the_error_is_not_known_there_is_a_margin_all_the_same():
    found = asked(ON_CUDA, "instant")
    assert found["error_percent"] is None and found["margin_percent"] == 15.0
    peak = found["memory_bytes"]["peak"] + fitting.CUDA_CONTEXT_BYTES
    assert asked(ON_CUDA, "instant", peak)["fits"] is None
