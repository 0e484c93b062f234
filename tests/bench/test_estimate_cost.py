"""What predictions cost, from a tiny model to one of ten trillion parameters: processor time and memory.

    python -m pytest tests/bench/test_estimate_cost.py

Each size is predicted in a process of its own, which is warm as the worker is that answers while one toggles: torch is
imported, and one small configuration was predicted. Processor time, so that other programs do not count: of the closed
form the median of five answers, of the trace the first, memory and step time together. Memory is what the process has
grown by at its fullest since it was warm, and, for comparison, what torch with all that the first trace imports takes.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

INSTANT_MS, TRACED_S, GROWTH_MB = 50.0, 3.0, 300.0
_EXPERTS = {"use": "mixture_of_experts", "experts": 64, "top_k": 2}
_LLAMA = {"position": "rotary", "norm": "rms_norm", "feedforward": {"use": "swiglu", "width": 14336},
          "head": "untied", "attention": {"use": "grouped_query", "kv_heads": 8}}  # fmt: skip
_LARGE = {"width": 4096, "layers": 32, "heads": 32, "context": 8192, "vocab": 128_256, "bias": False}
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"model": {"width": 32, "layers": 1, "heads": 2, "context": 32}},
    "GPT-2": {"model": {"width": 768, "layers": 12, "heads": 12, "context": 1024, "vocab": 50_257}},
    "Llama 3 8B": {"model": _LARGE, "techniques": _LLAMA},
    "Llama 3 8B, LoRA": {"model": _LARGE, "techniques": {**_LLAMA, "adapter": "lora"}},
    "200 layers": {"model": {"width": 1024, "layers": 200, "heads": 16, "context": 1024}},
    "200 layers, last 20 trained": {
        "model": {"width": 1024, "layers": 200, "heads": 16, "context": 1024},
        "techniques": {"adapter": {"use": "freeze", "blocks": "last", "count": 20}},
    },
    "64 micro-batches": {
        "model": {"width": 768, "layers": 12, "heads": 12, "context": 1024}, "run": {"batch": 128},
        "techniques": {"accumulation": {"use": "micro_batches", "pieces": 64}},
    },
    "GRU over 2048 tokens": {"model": {"width": 512, "layers": 8, "heads": 8, "context": 2048},
                             "techniques": {"mixer": "gru"}},
    "64 experts, 32 layers": {"model": {"width": 1024, "layers": 32, "heads": 16, "context": 1024},
                              "techniques": {"feedforward": _EXPERTS}},
    "10 trillion parameters": {"model": {"width": 65_536, "layers": 194, "heads": 512, "context": 8192,
                                         "vocab": 128_256}},
}  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="the most that a process ever took is read from /proc")
def test_a_prediction_of_any_size_is_quick_and_takes_no_memory() -> None:
    print(f"\n{'':<30}{'parameters':>20}{'instant ms':>12}{'traced s':>10}{'MB more':>9}{'peak':>22}{'level':>9}")
    found = {}
    for name, given in SIZES.items():
        script = [sys.executable, str(Path(__file__)), json.dumps({"data": {"task": "copy"}, **given})]
        run = subprocess.run(script, capture_output=True, text=True, check=False)
        assert run.returncode == 0, (name, run.stderr[-2000:])
        found[name] = row = json.loads(run.stdout.splitlines()[-1])
        print(f"{name:<30}{row['params']:>20,}{row['instant_ms']:>12.1f}{row['traced_s']:>10.2f}"
              f"{row['grown_mb']:>9.0f}{row['peak']:>22,}{row['level']:>9}", flush=True)
    print(f"torch and what the first trace imports: {statistics.median(r['warm_mb'] for r in found.values()):.0f} MB")
    for name, row in found.items():
        assert row["level"] == "traced", (name, row["missing"])
        assert row["instant_ms"] <= INSTANT_MS and row["traced_s"] <= TRACED_S and row["grown_mb"] <= GROWTH_MB, name


def measure(given: dict[str, Any]) -> dict[str, Any]:
    """Within a process of its own."""
    from tfx_engine.api import load_config
    from tfx_engine.worker.predicting import predict
    from tfx_engine.worker.warm_up import warm_up

    warm_up()
    small, config = load_config({"model": {"width": 16, "heads": 2}}), load_config(given)
    for level in ("instant", "traced"):
        predict(small, level)
    warm_mb = psutil.Process().memory_info().rss / 1e6
    Path("/proc/self/clear_refs").write_text("5")  # the most it ever took begins here
    instant_ms = []
    for _ in range(6):
        begun = time.process_time()
        predict(config, "instant")
        instant_ms.append(1000 * (time.process_time() - begun))
    begun = time.process_time()
    figures = predict(config, "traced")
    traced_s = time.process_time() - begun
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "params": figures["params"]["total"], "peak": figures["memory_bytes"]["peak"], "level": figures["level"],
        "instant_ms": statistics.median(instant_ms[1:]), "traced_s": traced_s, "warm_mb": warm_mb,
        "grown_mb": max(0.0, int(lines["VmHWM"].split()[0]) / 1e3 - warm_mb), "missing": figures["missing"],
    }


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
