"""Step times that were measured on an H200, predicted anew from the terms that were known of them.

    python -m pytest tests/bench/test_step_time_h200.py

`h200_step_times.json` is what `test_step_time.py` printed there (torch 2.11, bfloat16 autocast, width 768, 8 layers,
1024 tokens, batch 16; 15 rounds in turn), so no card is needed. Left out are the two with the eager kernel, whose
products in batches were predicted in another way then. How work and starting go together was chosen by this very table;
the factors are learnt from the first runs alone.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import numpy as np

from tfx_engine.estimate.time import Past, StepTime, learn

ROWS = json.loads(Path(__file__).with_name("h200_step_times.json").read_text(encoding="utf-8"))
LIMIT = 7.0  # per cent, of the median


def test_unseen_sets_of_toggles_are_predicted() -> None:
    runs = [(row["name"], row["is_own"], Past(StepTime(row["terms_ms"], is_queued=True), row["measured_ms"]))
            for row in ROWS]
    factors = learn([run for _, is_own, run in runs if is_own])
    print("\nlearnt from the first runs: " + ", ".join(f"{name} x {value:.2f}" for name, value in factors.items()))
    for name, is_own, run in runs:
        print(f"{'*' if is_own else ' '}{name:<62}{run.measured_ms:>9.2f} ms{off(run, factors):>+7.1f} %"
              f"{off(run, {}):>+8.1f} % untaught")
    taught = [abs(off(run, factors)) for _, is_own, run in runs if not is_own]
    untaught = [abs(off(run, {})) for _, _, run in runs]
    for what, errors in (("unseen", taught), ("all, untaught", untaught)):
        print(f"{what}: median error {statistics.median(errors):.1f} %, 90 % within {np.quantile(errors, 0.9):.1f} %")
    assert statistics.median(taught) <= LIMIT and statistics.median(untaught) <= LIMIT + 1


def off(run: Past, factors: dict[str, float]) -> float:
    """Per cent of the measured time."""
    return 100 * (run.time.total_ms(factors) / run.measured_ms - 1)
