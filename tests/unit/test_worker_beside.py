"""What the worker answers beside other questions: what a trace says, the peak as well as the time."""

from __future__ import annotations

import queue

from tfx_engine.protocol.config import parse_config
from tfx_engine.protocol.messages import Reply
from tfx_engine.protocol.worker_messages import Predict
from tfx_engine.trace import traced
from tfx_engine.worker.beside import Beside

SMALL = {"model": {"width": 32, "layers": 2, "heads": 2, "context": 32}, "data": {"task": "copy"},
         "run": {"batch": 4, "device": "cpu", "threads": 1}}
EXPERTS = {"feedforward": {"use": "mixture_of_experts", "experts": 4, "top_k": 1, "width": 512}}


def test_with_the_time_of_a_step_comes_the_traced_peak_and_of_experts_its_interval():
    replies: queue.Queue[Reply] = queue.Queue()
    beside = Beside(replies.put)
    for number, techniques in enumerate(({}, EXPERTS)):
        config, _ = parse_config({**SMALL, "techniques": techniques})
        beside.ask(Predict(id=number, config=config.as_dict(), level="time", device_memory=None))
        reply = replies.get(timeout=60)
        found, known = reply.result, traced(config, "cpu")
        assert reply.id == number and reply.ok and found["step_ms"] > 0
        assert found["level"] == "traced" and found["memory_bytes"]["peak"] == known.peak_bytes
        assert found["peak_interval_bytes"] == {"low": known.low_bytes, "high": known.high_bytes}
        assert (known.low_bytes < known.high_bytes) == bool(techniques)


def test_a_trace_is_not_broken_off_by_questions_for_the_time_which_break_off_each_other():
    replies: queue.Queue[Reply] = queue.Queue()
    beside = Beside(replies.put)
    config, _ = parse_config(SMALL)
    with beside.held():  # none begins before all are asked
        for number, level in enumerate(("time", "traced", "traced", "time")):
            beside.ask(Predict(id=number, config=config.as_dict(), level=level, device_memory=None))
    found = {reply.id: reply for reply in (replies.get(timeout=60) for _ in range(4))}
    assert {number: reply.ok for number, reply in found.items()} == {0: False, 1: True, 2: True, 3: True}
    assert found[0].problems[0]["code"] == "superseded"
