"""Where time goes: how well the parts of a step add up, how evenly shares come out again, and what looking costs.

    python -m pytest tests/bench/test_profile.py
"""

from __future__ import annotations

import statistics
import time

import numpy as np
import torch

from tests.helpers.training import ListRecorder, loop_of
from tfx_engine.measure.memory_events import warm_up_profiler
from tfx_engine.model.validate import pick_device
from tfx_engine.protocol.config import parse_config
from tfx_engine.train.setup import set_up

ROUNDS = 5
UNTOLD = 0.05  # of a step, that is in no part
APART = 0.30  # of a step: marked steps against the measured ones of the same run
SPREAD = 0.10  # of a step: how far a component's share may lie from its median over the rounds
CASES = {
    "plain": {}, "LoRA": {"adapter": {"use": "lora"}}, "recompute": {"recompute": {"use": "every_block"}},
    "Llama": {"position": {"use": "rotary"}, "norm": {"use": "rms_norm"}, "feedforward": {"use": "swiglu"}},
}


def config_of(techniques):
    config, problems = parse_config({
        "name": "profile", "techniques": techniques,
        "model": {"width": 128, "layers": 3, "heads": 4, "context": 128},
        "run": {"batch": 4, "warmup_steps": 2, "measure_steps": 9, "memory_every": 1000},
    })
    assert not problems
    return config


class TimedRecorder(ListRecorder):
    """Notes how long each phase took."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: dict[str, float] = {}

    def phase(self, name) -> None:
        super().phase(name)
        self.begun[name] = time.perf_counter()


def one_round(techniques):
    """(step in ms, the profile, seconds of its phase)."""
    config, recorder = config_of(techniques), TimedRecorder()
    loop_of(set_up(config, pick_device("auto")), recorder).run()
    phase_s = time.perf_counter() - recorder.begun["profile"]
    measured = [r.step_ms for r in recorder.readings if r.phase == "measure" and r.taint is None]
    return statistics.median(measured), recorder.profiles[0], phase_s


def test_parts_add_up_and_shares_come_out_again():
    warm_up_profiler()
    print(f"\n{ROUNDS} runs each on {pick_device('auto')}, {torch.get_num_threads()} threads: medians\n"
          f"{'':>12}{'step':>11}{'marked':>11}{'profiled':>11}{'in no part':>12}{'share ±':>10}"
          f"{'phase':>9}{'steps':>8}")
    untold, apart, spreads = [], [], []
    for name, techniques in CASES.items():
        rounds = [one_round(techniques) for _ in range(ROUNDS)]
        step = statistics.median(ms for ms, _, _ in rounds)
        marked = statistics.median(p.step_ms for _, p, _ in rounds)
        profiled = statistics.median(p.profiled_ms for _, p, _ in rounds)
        left = statistics.median(sum(r.ms for r in p.parts if r.part == "other") / p.step_ms for _, p, _ in rounds)
        keys = sorted({(r.part, r.component) for _, p, _ in rounds for r in p.parts})
        shares = np.array([[sum(r.ms for r in p.parts if (r.part, r.component) == key) / p.step_ms for key in keys]
                           for _, p, _ in rounds])
        spread = float(np.median(np.abs(shares - np.median(shares, axis=0)).max(axis=1)))
        phase_ms = 1000 * statistics.median(s for _, _, s in rounds)
        print(f"{name:>12}{step:>8.1f} ms{marked:>8.1f} ms{profiled:>8.1f} ms{100 * left:>10.2f} %"
              f"{100 * spread:>8.2f} %{phase_ms / 1000:>7.2f} s{phase_ms / step:>8.1f}")
        untold.append(left)
        apart.append(abs(marked / step - 1))
        spreads.append(spread)
    assert max(untold) <= UNTOLD and max(spreads) <= SPREAD and max(apart) <= APART
