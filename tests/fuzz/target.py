"""What a reader is to the fuzzer, and one execution of it."""

from __future__ import annotations

import dataclasses
import json
import random
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from tests.fuzz.mutate import as_json, mutated, reshaped
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.runfile.errors import RunFileError

Seeds = Sequence[bytes]
Read = Callable[[bytes, Path], None]
Make = Callable[[Seeds, random.Random], bytes]
REFUSALS = (ConfigError, RunFileError, msgspec.DecodeError)


@dataclasses.dataclass(frozen=True)
class Target:
    """One reader. `make` turns the seeds into the next input."""

    name: str
    seeds: Callable[[Path], Seeds]
    read: Read
    make: Make


def anyhow(seeds: Seeds, draw: random.Random) -> bytes:
    """Bytes turned around."""
    return mutated(draw.choice(seeds), draw, seeds)


def as_data(seeds: Seeds, draw: random.Random) -> bytes:
    """JSON of another shape, or, now and then, none."""
    seed = draw.choice(seeds)
    return mutated(seed, draw, seeds) if draw.random() < 0.4 else as_json(reshaped(json.loads(seed), draw))


def execute(target: Target, data: bytes, folder: Path) -> str:
    """ "read" or "refused". Whatever else is raised is a finding; so is a warning, and a refusal that says nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            target.read(data, folder)
        except REFUSALS as error:
            problems = getattr(error, "problems", None) or [getattr(error, "problem", None)]
            for problem in problems:
                if isinstance(problem, Problem):
                    assert problem.message.strip() and len(problem.sentence()) < 20_000
            return "refused"
    return "read"
