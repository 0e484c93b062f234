"""What probes cost: gradient norms by layer within a step, and what is captured between steps, shared out over them.

    python -m pytest tests/bench/test_probes.py

Real runs, each as any other is done, and what they say of themselves: the fact `overhead`. On a CUDA device too where
there is one.
"""

from __future__ import annotations

from contextlib import closing

import pytest
import torch

import tfx_engine.api as tfx
from tfx_engine.runfile.reader import RunReader

LIMIT_PERCENT = 1.0  # of the time of all steps: for gradient norms, for attention captures
STEPS = {"cpu": 100, "cuda": 400}
SIZES = {
    "4.8 M": {"width": 256, "layers": 6, "heads": 8, "context": 256},
    "deep and narrow": {"width": 128, "layers": 16, "heads": 4, "context": 256},
    "85 M": {"width": 768, "layers": 12, "heads": 12, "context": 512},
}
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.mark.parametrize("device", DEVICES)
def test_probes_stay_within_one_per_cent(device, tmp_path):
    print(f"\n{device}, per cent of the time of a step; interval of the steps in turn: 95 %\n"
          f"{'':>18}{'step':>12}{'norms':>9}{'in turn':>9}{'low':>8}{'high':>8}{'have them':>11}{'attention':>11}"
          f"{'held out':>10}"
          f"{'memory':>8}{'updates':>9}{'all':>7}")
    over = []
    for name, model in SIZES.items():
        if name == "85 M" and device == "cpu":
            continue  # minutes
        config = {"name": name, "model": model, "run": {
            "batch": 8, "measure_steps": STEPS[device], "device": device, "audit": False, "profile": False,
        }}
        path = tfx.run(tfx.load_config(config), store=tmp_path)
        with closing(RunReader(path)) as reader:
            found, steps = reader.facts()["overhead"], reader.steps(columns=("phase", "step_ms"))
        step_ms = float(torch.tensor(steps["step_ms"][steps["phase"] == "measure"]).median())
        captures = {key: found["captures_percent"].get(key, 0.0) for key in (
            "attention", "evaluation", "memory", "update")}
        cells = (found["step_percent"], float("nan") if found["turns_percent"] is None else found["turns_percent"])
        print(f"{name:>18}{step_ms:>9.1f} ms{cells[0]:>9.2f}{cells[1]:>9.2f}"
              f"{_share(found['low'], found):>8.2f}{_share(found['high'], found):>8.2f}"
              f"{found['probed_percent']:>9.0f} %{captures['attention']:>11.2f}{captures['evaluation']:>10.2f}"
              f"{captures['memory']:>8.2f}{captures['update']:>9.2f}{found['percent']:>7.2f}")
        norms = found["step_percent"] * found["probed_percent"] / 100
        over += [(name, p) for p in (norms, captures["attention"]) if p > LIMIT_PERCENT]
    assert not over


def _share(bound, found):
    """A bound of all that measuring costs as one of a step with probes; NaN where every step was disturbed."""
    if bound is None:
        return float("nan")
    return (bound - sum(found["captures_percent"].values())) / (found["probed_percent"] / 100)
