"""Run files of an interleaved comparison, with made-up step times. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.helpers.synthetic_run import make_config
from tfx_engine.protocol.toml import dumps
from tfx_engine.runfile.create import create
from tfx_engine.runfile.writer import RunWriter

COMPARISON = "fair"
Rounds = Sequence[Sequence[Sequence[float]]]  # rounds > blocks > step times in ms


def made_up(
    seed: int, factor: float = 1.0, rounds: int = 5, blocks: int = 8, steps: int = 3, *,
    between_processes: float = 0.015, between_blocks: float = 0.04, drift: float = 0.3, ms: float = 10.0,
) -> Rounds:
    """Step times with the scatter of processes and blocks of its own, and a drift that all seeds have in common."""
    rng = np.random.default_rng(seed)
    course = np.linspace(0, drift, rounds * blocks)
    found = []
    for number in range(rounds):
        process = rng.normal(0, between_processes)
        found.append([
            list(ms * factor * np.exp(process + rng.normal(0, between_blocks) + course[number * blocks + block]
                                      + rng.normal(0, 0.02, steps)))
            for block in range(blocks)
        ])
    return found


def write_interleaved(
    path: Path, rounds: Rounds, role: str = "member", name: str = "", status: str = "finished", reason: str = "",
    comparison: str = COMPARISON,
) -> Path:
    """A run file with these step times; round 1 is the run itself, the later ones measure time again."""
    config = make_config(name or path.stem, steps=sum(map(len, rounds[0])))
    create(path, config, dumps(config.as_dict()), comparison)
    with RunWriter(path) as writer:
        writer.state("running")
        writer.fact("comparison", {"plan": "interleaved", "role": role})
        t_ms = 0.0
        for process, blocks in enumerate(rounds):
            step = 0
            for block, times in enumerate([[5 * blocks[0][0]], *blocks]):  # the first turn only warms up
                for i, step_ms in enumerate([2 * times[0], *times] if block else times, start=not block):
                    step, t_ms = step + 1, t_ms + step_ms
                    writer.step(
                        step=step, process=process, round=process + 1, block=block, phase="measure",
                        taint=None if i else "after a pause", t_ms=t_ms, loss=9.0 if process else 3.0 / step,
                        step_ms=step_ms, tokens=512,
                    )
        writer.state(status, reason)
    return path
