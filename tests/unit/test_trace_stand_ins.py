"""Where a step cannot be traced with tensors of a card, those of a CPU stand in for them."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from tests.helpers.tiny import tiny_config
from tfx_engine.techniques.flexible import FlexAttention, Untraceable
from tfx_engine.techniques.kernel import Scoring
from tfx_engine.trace import fake, peak, traced


def test_a_step_that_a_card_refuses_is_traced_on_a_cpu_and_says_so(monkeypatch):
    wanted = traced(tiny_config(), "cuda")
    look = peak.look

    def refusing(config, kind, *rest):
        if fake.kind_here(kind) == "cuda":
            raise RuntimeError("no such kernel")
        return look(config, kind, *rest)

    monkeypatch.setattr(peak, "look", refusing)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    found = traced(tiny_config(), "cuda")
    assert found.peak_bytes == wanted.peak_bytes and "no such kernel" in found.note and "of a CPU" in found.note
    assert fake.kind_here("cuda") == "cuda", "only meanwhile"


def test_a_step_that_nothing_can_trace_does_not_say_that_it_was(monkeypatch):
    def refusing(config, kind, *rest):
        raise RuntimeError(f"not on {fake.kind_here(kind)}")

    monkeypatch.setattr(peak, "look", refusing)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    found = traced(tiny_config(), "cuda")
    assert found.peak_bytes is None and "not on cpu" in found.note and "of a CPU" not in found.note


def test_flex_attention_is_not_run_for_fake_tensors_of_a_card():
    with FakeTensorMode():
        q = torch.empty(1, 1, 16, 16, device="cuda", requires_grad=True)
        with pytest.raises(Untraceable):
            FlexAttention()(q, q, q, Scoring(is_causal=True, scale=1.0))
