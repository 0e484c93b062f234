"""The strip before a run, through a real service: figures of every toggle at once, the step's time when one stops.

    python -m pytest tests/bench/test_strip.py -s

Each toggle comes while the time of the step before it is still being predicted, as for somebody who toggles on. What is
measured is from the question to the answer, validation and estimate together, the worker being warm; on a machine that
does other things as well every figure is an upper bound.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

from tests.helpers.services import Listening
from tfx_engine.protocol.messages import Estimate, Reply

LIMIT_MS = 50.0
TOGGLES = 12
INTO_THE_TRACE_S = 0.3
_LLAMA = {"position": {"use": "rotary"}, "norm": {"use": "rms_norm"}, "feedforward": {"use": "swiglu", "width": 14336},
          "attention": {"use": "grouped_query", "kv_heads": 8}, "head": {"use": "untied"}}
MODELS: dict[str, dict[str, Any]] = {
    "default, 6 layers": {},
    "GPT-2, 12 layers": {"model": {"width": 768, "layers": 12, "heads": 12, "context": 1024, "vocab": 50257}},
    "8 billion parameters, 32 layers": {
        "model": {"width": 4096, "layers": 32, "heads": 32, "context": 8192, "vocab": 128256, "bias": False},
        "techniques": _LLAMA,
    },
}  # fmt: skip
TOGGLE: list[dict[str, Any]] = [
    {"recompute": {"use": "every_block"}}, {"adapter": {"use": "lora"}}, {"precision": {"use": "bfloat16_autocast"}},
    {"recompute": {"use": "selective"}}, {"optimizer": {"use": "muon"}}, {"placement": {"use": "post_norm"}},
]  # fmt: skip


def test_a_toggle_is_answered_within_50_ms_while_the_time_of_another_is_predicted(tmp_path: Path) -> None:
    with Listening(tmp_path, warm=True) as client:
        client.wait_for("warm", state="ready")
        time.sleep(8.0)  # what a fresh worker does once
        client.call(_about({}, "time"))
        print(f"\n{'model':>34}{'alone':>12}{'beside':>12}{'longest':>12}{'time of a step':>17}   ms, ms, ms, s")
        for name, data in MODELS.items():
            alone = statistics.median(_figures_ms(client, _toggled(data, i)) for i in range(TOGGLES))
            late: list[Reply] = []
            beside = []
            for i in range(TOGGLES):
                client.request(_about(data, "time"), late.append)
                time.sleep(INTO_THE_TRACE_S)
                beside.append(_figures_ms(client, _toggled(data, i)))
            begun = time.monotonic()
            answer = client.call(_about(data, "time"))
            traced_s = time.monotonic() - begun
            print(f"{name:>34}{alone:>9.1f} ms{statistics.median(beside):>9.1f} ms{max(beside):>9.1f} ms"
                  f"{traced_s:>15.2f} s   ({answer.result['step_ms']:.1f} ms)")
            assert len(late) == TOGGLES
            assert all(reply.ok or reply.problems[0]["code"] == "superseded" for reply in late)
            assert statistics.median(beside) <= LIMIT_MS


def _toggled(data: dict[str, Any], number: int) -> dict[str, Any]:
    return {**data, "techniques": {**data.get("techniques", {}), **TOGGLE[number % len(TOGGLE)]}}


def _figures_ms(client: Listening, config: dict[str, Any]) -> float:
    """Milliseconds until problems and figures are there."""
    begun = time.monotonic()
    assert all(problem.level == "warning" for problem in client.validate(config))
    client.estimate(config, "instant")
    return 1000 * (time.monotonic() - begun)


def _about(data: dict[str, Any], level: Any) -> Estimate:
    return Estimate(id=0, config=data, level=level)
