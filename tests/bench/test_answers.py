"""How long an answer takes that needs milliseconds, alone and while the same worker traces a step.

    python -m pytest tests/bench/test_answers.py

A real service with a real warm worker. Every 20 ms it is asked for a prediction in closed form, by itself and then
until a trace that was asked for has been answered. On a machine that does other things as well every figure is an upper
bound.
"""

from __future__ import annotations

import queue
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.test_estimate_cost import SIZES
from tfx_engine.client import Client
from tfx_engine.protocol.messages import Estimate, Reply

TRACED = ("64 experts, 32 layers", "GRU over 2048 tokens", "200 layers, last 20 trained")
TOGGLED: dict[str, Any] = {"model": {"width": 256, "layers": 6, "heads": 8}, "data": {"task": "copy"}}
EVERY_S, ALONE = 0.02, 30
LIMIT_MS = 200.0  # that a trace may add


def test_a_trace_does_not_hold_up_an_instant_answer(tmp_path: Path) -> None:
    print(f"\n{'':<32}{'answers':>8}{'median ms':>11}{'longest ms':>12}{'trace s':>9}")
    with Client(tmp_path, on_disconnect="stop") as client:
        for level in ("instant", "traced"):  # until the worker has imported and tried everything
            assert client.call(Estimate(id=0, config=TOGGLED, level=level), 120).ok
        alone = _answers(client, lambda times: len(times) == ALONE)
        _show("alone", alone)
        for name in TRACED:
            replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
            begun = time.perf_counter()
            config = {"data": {"task": "copy"}, **SIZES[name]}
            client.request(Estimate(id=0, config=config, level="traced"), replies.put)
            beside = _answers(client, lambda times, replies=replies: not replies.empty())
            _show(f"beside: {name}", beside, time.perf_counter() - begun)
            assert replies.get().ok
            assert max(beside) <= max(alone) + LIMIT_MS


def _answers(client: Client, is_over: Callable[[list[float]], bool]) -> list[float]:
    """Milliseconds of each."""
    times: list[float] = []
    while not times or not is_over(times):
        begun = time.perf_counter()
        assert client.call(Estimate(id=0, config=TOGGLED, level="instant"), 120).ok
        times.append(1000 * (time.perf_counter() - begun))
        time.sleep(EVERY_S)
    return times


def _show(name: str, times: list[float], trace_s: float | None = None) -> None:
    print(f"{name:<32.32}{len(times):>8}{statistics.median(times):>11.1f}{max(times):>12.1f}"
          + (f"{trace_s:>9.2f}" if trace_s is not None else ""), flush=True)  # fmt: skip
