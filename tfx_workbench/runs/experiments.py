"""What came of experiments in a store: one small JSON file each, in its folder `experiments`, written whole or not.

A file keeps every number that was measured, by variant and seed, so that an experiment that was interrupted goes on
where it stopped. Numbers of an experiment whose definition has changed since are not taken.
"""

from __future__ import annotations

import datetime
import os
import platform
import uuid
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tfx_engine.protocol.codec import decode
from tfx_engine.protocol.experiments import Experiment
from tfx_engine.protocol.plain_file import read_plain
from tfx_engine.protocol.whole import write_whole
from tfx_engine.runfile.errors import os_failure
from tfx_engine.runfile.store import default_store, make_store

FOLDER = "experiments"
SCHEMA = 1


class Measured(msgspec.Struct, omit_defaults=True):
    """One variant with one seed. `run`: the name of its run file in the store; instruments have none."""

    metrics: dict[str, float | None]
    run: str = ""
    wall_s: float = 0.0
    device: str = ""  # as `noise.device_of`; instruments do not say


class Results(msgspec.Struct):
    """Of one experiment. `seconds` and `cpu_s` are added up over all sessions that worked on it."""

    name: str
    fingerprint: str
    schema: int = SCHEMA
    comparison: str = ""
    values: dict[str, dict[str, Measured]] = {}
    seconds: float = 0.0
    cpu_s: float = 0.0
    verdict: str = ""  # when it was written; whoever shows it judges the numbers anew
    measured_at: str = ""
    machine: str = ""

    def numbers(self) -> dict[str, dict[int, Mapping[str, float | None]]]:
        """variant -> seed -> metric -> value."""
        return {variant: {int(seed): one.metrics for seed, one in seeds.items()}
                for variant, seeds in self.values.items()}  # fmt: skip

    def devices(self) -> dict[str, dict[int, str]]:
        """variant -> seed -> the device it was measured on, "" where that is not known."""
        return {variant: {int(seed): one.device for seed, one in seeds.items()}
                for variant, seeds in self.values.items()}  # fmt: skip

    def has(self, variant: str, seed: int) -> bool:
        """Whether that was measured."""
        return str(seed) in self.values.get(variant, {})

    def put(self, variant: str, seed: int, measured: Measured) -> None:
        """Keep one measurement."""
        self.values.setdefault(variant, {})[str(seed)] = measured
        self.measured_at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


class ResultStore:
    """The results in a store (None: the user's library)."""

    def __init__(self, store: str | Path | None = None) -> None:
        self.store = Path(store) if store else default_store()

    def load(self, experiment: Experiment) -> Results:
        """What is known; nothing where there is no file, one that cannot be read, or one of another definition."""
        fresh = Results(experiment.name, experiment.fingerprint, comparison=uuid.uuid4().hex, machine=_machine())
        try:
            kept = decode(read_plain(self._path(experiment)), Results)
        except (OSError, msgspec.MsgspecError):
            return fresh
        known = kept.fingerprint == experiment.fingerprint and kept.schema == SCHEMA and kept.machine == fresh.machine
        return kept if known and all(s.isdecimal() for seeds in kept.values.values() for s in seeds) else fresh

    def save(self, experiment: Experiment, results: Results) -> None:
        """Write it. Raises `RunFileError`."""
        path = self._path(experiment)
        make_store(path.parent)
        try:
            write_whole(path, msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
        except OSError as error:
            raise os_failure(error, path) from None

    def mark(self) -> tuple[tuple[str, int], ...]:
        """What differs as soon as any result does."""
        try:
            entries = sorted(os.scandir(self.store / FOLDER), key=lambda entry: entry.name)
            return tuple((e.name, e.stat().st_mtime_ns) for e in entries if e.name.endswith(".json"))
        except OSError:
            return ()

    def _path(self, experiment: Experiment) -> Path:
        return self.store / FOLDER / f"{experiment.name}.json"


def _machine() -> str:
    """Whose results these are: a store may lie where several machines see it."""
    return f"{platform.node()} {platform.machine()}".strip()
