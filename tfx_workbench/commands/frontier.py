"""`frontier CONFIG`: the largest batch, the longest context or the most layers that fit, with each technique.

Predicted by the engine, value by value; then confirmed by short runs of the value that was found.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfx_engine.client import Client, ServiceGone
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem, errors_among
from tfx_engine.protocol.sizes import parse_bytes
from tfx_engine.protocol.toml import apply_settings, dumps
from tfx_workbench.analysis.frontier import Largest, largest
from tfx_workbench.commands import words
from tfx_workbench.commands.configs import Given, read_configs
from tfx_workbench.commands.engine import engine_gone
from tfx_workbench.commands.output import DONE, FAILED, emit, print_table, say
from tfx_workbench.commands.run import run_all
from tfx_workbench.runs.rundata import RunData

SCHEMA = 1
GROWS = {  # key path, in steps of, up to
    "batch": ("run.batch", 1, 2**20), "context": ("model.context", 16, 2**22), "layers": ("model.layers", 1, 2**13),
}  # fmt: skip
USUAL = ("recompute=every_block", "precision=bfloat16_autocast", "loss=chunked_cross_entropy",
         "optimizer=adamw_8bit", "adapter=lora", "offload=activations")
_PROBING = {
    "run.warmup_steps": 0, "run.measure_steps": 2, "run.memory_every": 1, "run.audit": False, "run.profile": False,
}
_TRIES = 3
_SHARE_OF_RAM = 0.5  # of what is free: a run that takes all memory of a machine takes the machine


@dataclasses.dataclass
class Row:
    """One configuration's frontier. `reason`: why a figure is not there, or what ends it other than memory."""

    technique: str
    value: int | None = None
    predicted_bytes: int | None = None
    measured_bytes: int | None = None
    headroom_bytes: int | None = None
    runs: list[str] = dataclasses.field(default_factory=list)
    reason: str = ""


def frontier(args: argparse.Namespace) -> int:
    """Exit code 0 with a table, 1 where a probing run failed without a fit, 2 where the request was wrong."""
    capacity = parse_bytes(args.device_memory, "--device-memory") if args.device_memory is not None else None
    (given,) = read_configs([args.config], args.set)
    variants = _variants(given, args.techniques or USUAL)
    try:
        with Client(on_disconnect="stop") as client:
            search = _Search(client, args.grow, capacity, is_usual=not args.techniques)
            found = [(name, data, search.predict(name, data)) for name, data in variants]
            device, free = search.device, search.free_bytes
    except ServiceGone as error:
        raise engine_gone(error) from error
    rows = [row for _, _, row in found]
    if not args.predict_only:
        for _, data, row in found:
            _confirm(row, data, args, search, _obstacle(row, device, free, capacity))
    if args.json:
        emit({"schema": SCHEMA, "grow": args.grow, "device_bytes": search.capacity,
              "frontier": [dataclasses.asdict(row) for row in rows]})
    else:
        _print(args.grow, search.capacity, rows)
    return FAILED if any(row.runs and row.measured_bytes is None for row in rows) else DONE


def _variants(given: Given, techniques: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
    """The configuration as it is, and with each technique (`slot=name`) in turn."""
    variants = [(tr_mark("as it is"), dict(given.data))]
    for setting in techniques:
        slot, equals, name = setting.partition("=")
        if not equals or not slot or not name:
            raise ConfigError([Problem(
                code="bad-setting", path="--with", template=tr_mark("{setting!r} is not of the form slot=technique."),
                hint_template=tr_mark("Example: --with recompute=every_block"), args={"setting": setting},
            )])
        variants.append((setting, apply_settings(dict(given.data), [f'techniques.{slot}.use="{name}"'])))
    return variants


class _Search:
    """Asks the engine for peaks, each only once."""

    def __init__(self, client: Client, grow: str, capacity: int | None, is_usual: bool) -> None:
        self._client, self._is_usual = client, is_usual
        self.grow = grow
        self.capacity = capacity
        facts = client.doctor()
        self.device = str(facts.get("automatic_device", ""))
        self.free_bytes = facts.get("ram_free_bytes")
        self._peaks: dict[tuple[str, int], int | None] = {}

    def predict(self, name: str, data: dict[str, Any]) -> Row:
        """The frontier by prediction alone."""
        row = Row(name)
        problems = errors_among(self._client.validate(data))
        if problems and name != tr_mark("as it is") and self._is_usual:
            row.reason = problems[0].sentence()
            return row
        if problems:
            raise ConfigError(problems)
        if self.capacity is None:
            self.capacity = self._client.estimate(data, "instant").get("device_bytes")
        if self.capacity is None:
            row.reason = tr_mark("nobody knows how much memory this device has; say it by --device-memory")
            return row
        say(tr_mark("{name}: looking for the largest {grow} ...").format(name=name, grow=self.grow))
        found = self.find(name, data, self.capacity, row)
        row.value, row.predicted_bytes = found.value, found.peak_bytes
        row.headroom_bytes = None if found.peak_bytes is None else self.capacity - found.peak_bytes
        if found.value is None:
            row.reason = row.reason or tr_mark("not even the smallest fits")
        return row

    def find(self, name: str, data: dict[str, Any], capacity: int, row: Row) -> Largest:
        """The largest value whose predicted peak is within `capacity`; what else ends it becomes the row's reason."""
        key, step, most = GROWS[self.grow]
        found = largest(functools.partial(self._peak, name, data, row), capacity, _value(data, key) or step, most, step)
        if found.value is not None and not found.is_limited:
            row.reason = ""
        return found

    def _peak(self, name: str, data: dict[str, Any], row: Row, value: int) -> int | None:
        if (name, value) not in self._peaks:
            try:
                figures = self._client.estimate(_with(data, {GROWS[self.grow][0]: value}), "traced")
            except ConfigError as error:
                row.reason = error.problems[0].sentence()
                self._peaks[name, value] = None
            else:
                peak = figures["memory_bytes"]["peak"]
                if peak is None:
                    row.reason = next(iter(figures["missing"].values()), "")
                self._peaks[name, value] = peak
        return self._peaks[name, value]

    def known(self, name: str) -> dict[int, int]:
        """The peaks that were predicted, by value."""
        return {value: peak for (whose, value), peak in self._peaks.items() if whose == name and peak is not None}


def _obstacle(row: Row, device: str, free: int | None, capacity: int | None) -> str:
    """Why a value is not tried here; empty where it is."""
    if row.value is None or row.predicted_bytes is None:
        return row.reason
    if device == "cpu" and free is not None and row.predicted_bytes > _SHARE_OF_RAM * free:
        return tr_mark("not tried: it would take most of this machine's memory; a smaller --device-memory is tried")
    return ""


def _confirm(row: Row, data: dict[str, Any], args: argparse.Namespace, search: _Search, obstacle: str) -> None:
    """Run the value that was predicted; where it does not fit after all, the next lower one that was predicted to."""
    if obstacle:
        row.reason = obstacle
        return
    capacity, known = search.capacity or 0, search.known(row.technique)
    value, key = row.value, GROWS[search.grow][0]
    for _ in range(_TRIES):
        if value is None:
            break
        name = f"{row.technique} {search.grow} {value}"
        measured = _run(_with(data, {**_PROBING, key: value, "name": name}), args.store, row)
        if measured is not None and measured <= capacity:
            row.value, row.measured_bytes, row.headroom_bytes = value, measured, capacity - measured
            row.predicted_bytes = known.get(value, row.predicted_bytes)
            return
        row.reason = tr_mark("{value} was predicted to fit and did not").format(value=value)
        share = capacity / measured if measured else 0.9
        value = _lower(value, share, GROWS[search.grow][1])
    row.value = row.headroom_bytes = None


def _lower(value: int, share: float, step: int) -> int | None:
    smaller = min(int(value * share), value - step) // step * step
    return smaller if smaller > 0 else None


def _run(data: dict[str, Any], store: str | None, row: Row) -> int | None:
    """The measured peak of a short run; None where it did not get through."""
    peaks: list[int | None] = []

    def keep(run: RunData) -> None:
        finished = run.info.status == "finished"
        peaks.append(run.summary()["memory_bytes"]["peak"] if finished else None)

    paths: list[Path] = run_all([Given("", data, dumps(data))], keep, store)
    row.runs += map(str, paths)
    return peaks[0] if peaks else None


def _with(data: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a configuration with some keys set."""
    changed = copy.deepcopy(dict(data))
    for path, value in values.items():
        section, _, key = path.rpartition(".")
        table = changed.setdefault(section, {}) if section else changed
        table[key] = value
    return changed


def _value(data: Mapping[str, Any], path: str) -> int | None:
    section, _, key = path.partition(".")
    return (data.get(section) or {}).get(key)


def _print(grow: str, capacity: int | None, rows: Sequence[Row]) -> None:
    print(tr_mark("The largest {grow} within {size}:").format(grow=grow, size=words.size(capacity)))
    headings = ["", grow, tr_mark("predicted"), tr_mark("measured"), tr_mark("headroom"), ""]
    lines = [
        [row.technique, words.count(row.value) if row.value is not None else words.UNKNOWN,
         words.size(row.predicted_bytes), words.size(row.measured_bytes), words.size(row.headroom_bytes), row.reason]
        for row in rows
    ]
    print_table(headings, lines, right=(1, 2, 3, 4))
