"""The predicted time of a step against the measured one, for sets of toggles that were never run before.

    python -m pytest tests/bench/test_step_time.py

The device is measured first, as a first run does it. Then all configurations are trained in one process, a step of each
in turn, so that a machine which is slow for a while is slow for all. The first sets stand for the user's own runs, from
which corrections are learnt; the others are predicted. Of one thread on the CPU the time that the thread had counts,
which other programs on the machine do not lengthen.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch

import tfx_engine.api as tfx
from tfx_engine.estimate.time import Past, StepTime, learn, own_error_percent, step_time
from tfx_engine.measure.ceilings import measure_ceilings
from tfx_engine.measure.gradients import LayerNorms
from tfx_engine.protocol.ceilings import best_of
from tfx_engine.protocol.config import Config
from tfx_engine.trace.look import operators_of
from tfx_engine.train.setup import set_up
from tfx_engine.train.step import no_name, train_step
from tfx_engine.worker.facts import device_name

pytestmark = pytest.mark.filterwarnings("default")
ROUNDS = 15
SIZES = {
    "cpu": ({"width": 128, "layers": 4, "heads": 4, "context": 128}, {"batch": 4}),
    "cuda": ({"width": 768, "layers": 8, "heads": 12, "context": 1024, "vocab": 32768}, {"batch": 16}),
}
if torch.cuda.is_available() and torch.cuda.get_device_properties(0).total_memory < 100 * 2**30:
    SIZES["cuda"][1]["batch"] = 8  # all of the trainings are there at the same time
LIMIT = {"cpu": 10.0, "cuda": 7.0}  # per cent, of the median
SWIGLU, RMS, LORA = {"feedforward": "swiglu"}, {"norm": "rms_norm"}, {"adapter": {"use": "lora", "rank": 8}}
ROTARY, EVERY = {"position": "rotary"}, {"recompute": "every_block"}
OWN_RUNS: list[dict[str, Any]] = [
    {}, {"position": "rotary"}, SWIGLU, RMS, EVERY, LORA, {"placement": "peri_norm"},
    {"attention": {"use": "grouped_query", "kv_heads": 2}}, {"kernel": "eager"}, {"qk_norm": "per_head"},
]
UNSEEN: list[dict[str, Any]] = [
    {**ROTARY, **SWIGLU, **RMS}, {**SWIGLU, **EVERY}, {**ROTARY, **LORA}, {**RMS, "head": "untied"},
    {"placement": "post_norm", **SWIGLU}, {"feedforward": "relu"}, {"feedforward": "geglu", **ROTARY},
    {"optimizer": "sgd"}, {"position": "learned", "placement": "parallel"}, {"position": "alibi"},
    {**ROTARY, **SWIGLU, **RMS, **EVERY}, {"kernel": "eager", **SWIGLU}, {"residual": "layer_scale", **RMS},
    {"attention": {"use": "grouped_query", "kv_heads": 1}, **ROTARY}, {"window": {"use": "sliding", "size": 32}},
    {"recompute": "selective", **ROTARY}, {"loss": {"use": "cross_entropy", "label_smoothing": 0.1}},
    {"adapter": {"use": "dora", "rank": 4}}, {"norm": "dynamic_tanh"}, {"optimizer": "lion", **SWIGLU},
]
SCALED: list[tuple[dict[str, Any], dict[str, Any]]] = [  # other sizes, relative to the base
    ({"width": 2.0}, {}), ({"context": 2.0}, {"batch": 0.5}), ({"layers": 2.0}, {}), ({}, {"batch": 2.0}),
]


def configuration(techniques: dict[str, Any], kind: str, changes: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
                  ) -> Config:
    sizes, run = SIZES[kind]
    model = {k: int(v * changes[0].get(k, 1)) for k, v in sizes.items()}
    batch = {k: int(v * changes[1].get(k, 1)) for k, v in run.items()}
    name = " ".join(f"{s}={t if isinstance(t, str) else t['use']}" for s, t in techniques.items()) or "defaults"
    name += "".join(f" {k}x{v:g}" for change in changes for k, v in change.items())
    precision = {} if kind == "cpu" else {"precision": "bfloat16_autocast"}
    return tfx.load_config({"name": name, "model": model, "techniques": {**precision, **techniques},
                            "run": {**batch, "device": kind}})


class Turn:
    """One training, stepped from outside; milliseconds of each step."""

    def __init__(self, config: Config, device: torch.device, clock: Callable[[], float]) -> None:
        self.setup, self.clock, self.times = set_up(config, device), clock, list[float]()
        model, setup = self.setup.training.model, self.setup
        self._norms = LayerNorms(model, setup.layer_of, len(setup.layer_names))
        self._count = 0

    def step(self) -> None:
        """As the loop does it: batch, step, gradient norms."""
        wait = torch.cuda.synchronize if self.setup.device.type == "cuda" else lambda: None
        wait()
        begun = self.clock()
        batch = self.setup.task.batch(self._count, self.setup.device)
        train_step(self.setup.training, batch, self._count, no_name, self._norms.of_gradients)
        wait()
        self._count += 1
        if self._count > 2:
            self.times.append(1000 * (self.clock() - begun))

    @property
    def ms(self) -> float:
        """The lower quartile on a CPU that others use too, the median elsewhere."""
        return statistics.quantiles(self.times, n=4)[0 if self.setup.device.type == "cpu" else 1]


def test_unseen_sets_of_toggles_are_predicted():
    kind = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(kind)
    clock = time.thread_time if kind == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
    own = [configuration(t, kind) for t in OWN_RUNS]
    unseen = [configuration(t, kind) for t in UNSEEN] + [configuration({}, kind, change) for change in SCALED]
    times = [operators_of(config, device) for config in [*own, *unseen]]
    turns = [Turn(config, device, clock) for config in [*own, *unseen]]
    ceilings = measure_ceilings(device, device_name(device))
    for number in range(ROUNDS + 2):
        for turn in turns:
            turn.step()
        if number == ROUNDS // 2:  # again: the machine may have been busy
            ceilings = best_of(ceilings, measure_ceilings(device, device_name(device)))
    predicted = [step_time(operators, ceilings) for operators in times]
    say(kind, own, unseen, predicted, turns)


def say(kind: str, own: list[Config], unseen: list[Config], predicted: list[StepTime], turns: list[Turn]) -> None:
    """Print the table and hold it to what was promised."""
    past = [Past(t, turn.ms) for t, turn in zip(predicted[: len(own)], turns, strict=False)]
    factors = learn(past)
    print(f"\nstep time, {device_name(torch.device(kind))}, {torch.get_num_threads()} threads, {ROUNDS} rounds in turn")
    print("learnt from the first runs: " + ", ".join(f"{name} x {value:.2f}" for name, value in factors.items()))
    print(f"{'configuration':<62}{'predicted':>12}{'measured':>12}{'error':>9}{'untaught':>10}   terms in ms")
    errors: list[float] = []
    for i, (config, time_, turn) in enumerate(zip([*own, *unseen], predicted, turns, strict=True)):
        ms, plain = time_.total_ms(factors), time_.total_ms()
        error, untaught = (100 * (value / turn.ms - 1) for value in (ms, plain))
        errors += [error] if i >= len(own) else []
        terms = " ".join(f"{name} {value:.1f}" for name, value in time_.terms.items())
        name = ("*" if i < len(own) else " ") + config.name[:60]
        print(f"{name:<62}{ms:>9.2f} ms{turn.ms:>9.2f} ms{error:>+7.1f} %{untaught:>+8.1f} %   {terms}")
    sizes = sorted(abs(e) for e in errors)
    own_error = own_error_percent(past)
    print(f"* own runs, learnt from; each from the others: {own_error:.1f} %. Unseen: median error "
          f"{statistics.median(sizes):.1f} %, 90 % of them within {sizes[int(0.9 * (len(sizes) - 1))]:.1f} %")
    assert statistics.median(sizes) <= LIMIT[kind]
