"""The traced peak of random configurations against what torch's allocator does.

    python -m pytest tests/bench/test_trace_accuracy.py

Configurations are drawn from the whole catalogue, compiled ones apart (their trace is that of the step without the
compiler), at sizes of 64 to 512 wide, 2 to 8 layers, 64 to 256 tokens. Measured is the third step, by the allocator's
events on a CPU, by its counters on a CUDA device (TFX_DEVICE=cuda, where also what it reserves is compared).
TFX_CONFIGURATIONS says how many are judged; of fewer than 200 the table is printed, and the bench fails.
TFX_PROCESSES says in how many processes at a time; each has its own allocator, so that nothing changes but the wait.
"""

from __future__ import annotations

import gc
import itertools
import multiprocessing
import os
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from tests.helpers.random_config import realistic_config
from tests.helpers.stated import is_no_worse
from tfx_engine.estimate.memory import memory_of_step
from tfx_engine.measure.gradients import LayerNorms
from tfx_engine.measure.memory_split import MemoryProbe
from tfx_engine.measure.parts import MEASURE, Parts
from tfx_engine.model.validate import validate
from tfx_engine.protocol.cards import load_catalogue
from tfx_engine.protocol.config import Config, parse_config
from tfx_engine.protocol.problems import errors_among
from tfx_engine.trace import Traced, traced
from tfx_engine.trace.manners import PATIENT
from tfx_engine.train.setup import Setup, set_up
from tfx_engine.train.step import train_step
from tfx_engine.worker.predicting import BENCHED

pytestmark = [pytest.mark.filterwarnings("default")]
DEVICE = torch.device(os.environ.get("TFX_DEVICE", "cpu"))
LEAST = 200  # that the error is stated of
NUMBER = int(os.environ.get("TFX_CONFIGURATIONS", str(LEAST)))
PROCESSES = int(os.environ.get("TFX_PROCESSES", "1"))
LEFT = frozenset({"compile"})
MEDIAN, PERCENTILE_95, RESERVED = 0.5, 2.0, 5.0  # per cent
SHOWN = 25  # the worst ones in the table


class Row(NamedTuple):
    """One configuration; bytes."""

    given: dict[str, Any]
    predicted: Traced
    measured: int
    reserved: int | None
    seconds: float  # of processor time that the trace took

    @property
    def error(self) -> float:
        """Per cent of the measured peak, outside the interval where there is one."""
        low, high = self.predicted.low_bytes, self.predicted.high_bytes
        assert low is not None and high is not None
        nearest = min(max(self.measured, low), high) if low < high else self.predicted.peak_bytes
        return 100 * (nearest / self.measured - 1)

    @property
    def reserved_error(self) -> float:
        """The same of what the allocator holds."""
        return 100 * ((self.predicted.reserved_bytes or 0) / (self.reserved or 1) - 1)


def configurations() -> Iterator[tuple[dict[str, Any], Config]]:
    """Legal ones, without end. Each has its draw as its seed."""
    for seed in itertools.count():
        given = realistic_config(seed, load_catalogue(), LEFT)
        given["run"] |= {"device": DEVICE.type, "threads": torch.get_num_threads()}
        config, problems = parse_config(given)
        if not problems and not errors_among(validate(config)):
            assert config.use("compile") == "none", "compiled ones are no part of this"
            yield given, config


def third_step(setup: Setup) -> tuple[int, int | None]:
    """(peak, reserved or None) of a step as the loop does it when it looks at memory."""
    for index in range(2):
        train_step(setup.training, setup.task.batch(index, setup.device), index)
    batch = setup.task.batch(2, setup.device)
    norms, parts = LayerNorms(setup.training.model, setup.layer_of, len(setup.layer_names)), Parts()
    if setup.device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        train_step(setup.training, batch, 2)
        return torch.cuda.max_memory_allocated(), torch.cuda.memory_reserved()
    probe = MemoryProbe(setup.training.model, setup.training.optimizer, batch, setup.device)

    def on_gradients() -> None:
        with parts(MEASURE):
            norms.of_gradients()
        probe.gradients_are_there()

    with probe:
        train_step(setup.training, batch, 2, parts, on_gradients)
    return probe.split().peak_bytes, None


def measure(given: dict[str, Any], config: Config, is_said: bool = True) -> Row | None:
    """None where the device cannot run it, which is said; so is what was found, unless not wanted. What cannot be
    traced is not run."""
    begun = time.process_time()
    predicted = traced(config, DEVICE.type, PATIENT)
    seconds = time.process_time() - begun
    if predicted.peak_bytes is None:
        return Row(given, predicted, 0, None, seconds)
    gc.collect()
    others = 0
    if DEVICE.type == "cuda":
        torch._C._cuda_clearCublasWorkspaces()
        torch.cuda.empty_cache()
        others = torch.cuda.memory_allocated()  # what is left of those before: a worker does one run and ends
    try:
        peak, reserved = third_step(set_up(config, DEVICE))
    except Exception as error:
        print(f"not measured: {type(error).__name__}:", str(error).partition("\n")[0], given["techniques"], flush=True)
        return None
    row = Row(given, predicted, peak - others, None if reserved is None else reserved - others, seconds)
    if is_said:
        held = "" if reserved is None else f"  reserved {row.reserved:13,} {row.reserved_error:8.2f}  left {others:,}"
        print(f"{given['seed']:5} {row.predicted.peak_bytes:13,} {row.measured:13,} {row.error:9.3f} "
              f"{row.seconds:6.2f} s{held}", flush=True)
    return row


def judged() -> Iterator[Row]:
    """Configuration after configuration, without end, but for those that the device cannot run."""
    drawn = configurations()
    if PROCESSES == 1:
        yield from (row for given, config in drawn if (row := measure(given, config)) is not None)
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        while True:
            some = list(itertools.islice(drawn, 8 * PROCESSES))
            yield from (row for row in pool.starmap(measure, some, chunksize=1) if row is not None)


def described(given: dict[str, Any]) -> str:
    sizes = given["model"]
    techniques = [f"{slot}={choice['use']}" for slot, choice in given["techniques"].items()]
    return (f"d{sizes['width']} L{sizes['layers']} T{sizes.get('context', '-')} B{given['run']['batch']} "
            f"{given['data']['task']}: {', '.join(techniques)}")


def show(rows: list[Row]) -> None:
    """The worst configurations, quartiles, and the worst of each technique."""
    print(f"\n{'seed':>5} {'predicted':>13} {'measured':>13} {'error %':>9}  configuration")
    for row in sorted(rows, key=lambda row: -abs(row.error))[:SHOWN]:
        print(f"{row.given['seed']:5} {row.predicted.peak_bytes:13,} {row.measured:13,} {row.error:9.3f}  "
              f"{described(row.given)}")
    worst: dict[str, float] = {}
    for row in rows:
        for slot, choice in row.given["techniques"].items():
            name = f"{slot}={choice['use']}"
            worst[name] = max(worst.get(name, 0.0), abs(row.error))
    print("\nworst error of a technique, per cent:")
    print(", ".join(f"{name} {error:.2f}" for name, error in sorted(worst.items(), key=lambda item: -item[1])))


REPRESENTATIVE: dict[str, dict[str, Any]] = {
    "the default": {},
    "Llama's choices": {"position": "rotary", "norm": "rms_norm", "feedforward": "swiglu", "head": "untied",
                        "attention": {"use": "grouped_query", "kv_heads": 2}},
    "recompute of every block": {"recompute": "every_block"},
    "LoRA": {"adapter": {"use": "lora", "rank": 8}},
    "last 2 blocks trained": {"adapter": {"use": "freeze", "blocks": "last", "count": 2}},
    "bfloat16 autocast, Muon": {"precision": "bfloat16_autocast", "optimizer": "muon"},
    "4 micro-batches": {"accumulation": {"use": "micro_batches", "pieces": 4}},
    "GRU": {"mixer": "gru"},
    "8 experts, 2 for each token": {"feedforward": {"use": "mixture_of_experts", "experts": 8, "top_k": 2}},
}  # fmt: skip


def test_representative_configurations() -> None:
    """256 wide, 6 layers, 128 tokens, batch 8: both levels beside what the allocator did."""
    print(f"\n{'':<30}{'instant':>14}{'error %':>9}{'traced':>14}{'error %':>9}{'measured':>14}")
    for name, techniques in REPRESENTATIVE.items():
        given = {
            "model": {"width": 256, "layers": 6, "heads": 4, "context": 128}, "data": {"task": "text"},
            "run": {"batch": 8, "device": DEVICE.type, "threads": torch.get_num_threads()},
            "techniques": {slot: c if isinstance(c, dict) else {"use": c} for slot, c in techniques.items()},
        }
        config, problems = parse_config(given)
        assert not problems, problems
        row, instant = measure(given, config, is_said=False), memory_of_step(config, DEVICE.type).peak
        assert row is not None and row.measured
        print(f"{name:<30}{instant:>14,}{100 * (instant / row.measured - 1):>9.2f}{row.predicted.peak_bytes:>14,}"
              f"{row.error:>9.3f}{row.measured:>14,}", flush=True)
        assert abs(row.error) <= PERCENTILE_95


def test_the_traced_peak_is_what_the_allocator_does() -> None:
    drawn = list(itertools.islice(judged(), NUMBER))
    rows = [row for row in drawn if row.predicted.peak_bytes is not None]
    untraced = [f"{row.predicted.note} {described(row.given)}" for row in drawn if row.predicted.peak_bytes is None]
    show(rows)
    print("\n".join(["", *(f"not traced: {words}" for words in untraced)]))
    errors = np.abs([row.error for row in rows])
    quartiles = ", ".join(f"{share}: {np.percentile(errors, share):.4f}" for share in (25, 50, 75, 90, 95, 100))
    print(f"\n{len(rows)} configurations on {DEVICE.type}, |error| in per cent by percentile: {quartiles}")
    print(f"seconds of processor time of a trace: median {np.median([row.seconds for row in rows]):.2f}, "
          f"longest {max(row.seconds for row in rows):.2f}")
    if DEVICE.type == "cuda":
        held = np.abs([row.reserved_error for row in rows])
        for row in sorted(rows, key=lambda row: -abs(row.reserved_error))[:SHOWN]:
            print(f"{row.given['seed']:5} {row.predicted.reserved_bytes:13,} {row.reserved:13,} "
                  f"{row.reserved_error:9.2f}  {described(row.given)}")
        print("reserved, |error| in per cent by percentile: "
              + ", ".join(f"{share}: {np.percentile(held, share):.2f}" for share in (50, 75, 90, 95, 100)))
        assert np.median(held) <= RESERVED
    assert not untraced
    assert len(rows) >= LEAST, f"{len(rows)} configurations were judged; what is stated is stated of {LEAST}"
    assert np.median(errors) <= MEDIAN
    assert np.percentile(errors, 95) <= PERCENTILE_95
    if stated := BENCHED.get((DEVICE.type, "traced")):
        assert is_no_worse([row.error for row in rows], stated), f"the program states {stated}"
