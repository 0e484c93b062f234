"""`frontier CONFIG`: the largest batch, the longest context or the most layers that fit, with each technique.

Predicted by the engine, value by value; then confirmed by short runs of the value that was found.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from tfx_engine.client import Client, ServiceGone
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError
from tfx_engine.protocol.sizes import parse_bytes
from tfx_engine.protocol.toml import dumps
from tfx_engine.runfile.store import absolute, default_store
from tfx_workbench.analysis.frontier import (
    USUAL,
    Answer,
    Ask,
    Asking,
    Frontier,
    Row,
    answer_of,
    confirming,
    frontier_of,
    predicting,
    taken_bytes,
)
from tfx_workbench.analysis.frontier_file import keep_frontier
from tfx_workbench.commands import words
from tfx_workbench.commands.configs import Given, read_configs
from tfx_workbench.commands.engine import engine_gone
from tfx_workbench.commands.output import DONE, FAILED, emit, print_table, say
from tfx_workbench.commands.run import run_all
from tfx_workbench.exhibits.stated_error import off
from tfx_workbench.runs.rundata import RunData

SCHEMA = 1
AS_IT_IS = tr_mark("as it is")


def frontier(args: argparse.Namespace) -> int:
    """Exit code 0 with a table, 1 where a probing run failed without a fit, 2 where the request was wrong."""
    capacity = parse_bytes(args.device_memory, "--device-memory") if args.device_memory is not None else None
    (given,) = read_configs([args.config], args.set)
    found = frontier_of(given.data, args.grow, args.techniques or USUAL, capacity)
    try:
        with Client(on_disconnect="stop") as client:
            facts = client.doctor()
            device = str((given.data.get("run") or {}).get("device", "auto"))
            found.device = str(facts.get("automatic_device", "")) if device == "auto" else device
            found.free_bytes = facts.get("ram_free_bytes")
            _drive(predicting(found, args.techniques), _asker(client, found.grow, capacity=capacity))
    except ServiceGone as error:
        raise engine_gone(error) from error
    store = absolute(args.store) if args.store else default_store()
    _keep(store, found)
    for row in [] if args.predict_only else found.rows:
        _drive(confirming(found, row), _asker(None, found.grow, args.store, found.comparison))
        _keep(store, found)
    if args.json:
        emit({"schema": SCHEMA, "grow": args.grow, "device_bytes": found.capacity_bytes,
              "frontier": [_as_data(row) for row in found.rows]})
    else:
        _print(found)
    return FAILED if any(row.runs and row.measured_bytes is None for row in found.rows) else DONE


def _as_data(row: Row) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.to_builtins(row)
    del data["growth_bytes"]
    return {**data, "technique": row.technique or AS_IT_IS}


def _keep(store: Path, found: Frontier) -> None:
    """So that the window shows it too; where it cannot be kept, what was found is printed all the same."""
    try:
        keep_frontier(store, found)
    except OSError as error:
        say(tr_mark("The frontier could not be kept: {error}.").format(error=error.strerror or error))


def _drive(asking: Asking, answer: Callable[[Ask], Answer]) -> None:
    """Answer until nothing more is asked."""
    try:
        ask = next(asking)
        while True:
            ask = asking.send(answer(ask))
    except StopIteration:
        return


def _asker(
    client: Client | None, grow: str, store: str | None = None, comparison: str = "", capacity: int | None = None
) -> Callable[[Ask], Answer]:
    """Who answers; without a client one is started for every run, as `run` does."""
    announced: set[str] = set()

    def answer(ask: Ask) -> Answer:
        if ask.kind == "run":
            return _run(ask.config, store, comparison)
        if client is None:
            with Client(on_disconnect="stop", warm=False) as own:
                return _asked(own, ask, capacity)
        if ask.kind == "traced" and ask.row.technique not in announced:
            announced.add(ask.row.technique)
            name = ask.row.technique or AS_IT_IS
            say(tr_mark("{name}: looking for the largest {grow} ...").format(name=name, grow=grow))
        found = _asked(client, ask, capacity)
        for note in set(found.notes) - announced:
            announced.add(note)
            say(note)
        return found

    return answer


def _asked(client: Client, ask: Ask, capacity: int | None) -> Answer:
    if ask.kind == "check":
        return Answer(problems=client.validate(ask.config))
    try:
        figures = client.estimate(ask.config, "instant" if ask.kind == "instant" else "traced", capacity)
    except ConfigError as error:
        return Answer(problems=error.problems)
    return answer_of(figures)


def _run(data: dict[str, Any], store: str | None, comparison: str) -> Answer:
    """A short run; without a peak where it did not get through."""
    ended: list[Answer] = []

    def keep(run: RunData) -> None:
        peak = taken_bytes(run.summary()["memory_bytes"]) if run.info.status == "finished" else None
        ended.append(Answer(peak_bytes=peak, was_stopped=run.info.status in ("stopped", "interrupted")))

    paths = run_all([Given("", data, dumps(data))], keep, store, comparison=comparison)
    last = ended[0] if ended else Answer()
    return Answer(peak_bytes=last.peak_bytes, was_stopped=last.was_stopped, run=str(paths[0]) if paths else "")


def _print(found: Frontier) -> None:
    print(tr_mark("The largest {grow} within {size}:").format(grow=found.grow, size=words.size(found.capacity_bytes)))
    headings = ["", found.grow, tr_mark("predicted"), tr_mark("95 of 100 within"), tr_mark("measured"),
                tr_mark("headroom"), ""]
    lines = [
        [row.technique or AS_IT_IS, words.count(row.value) if row.value is not None else words.UNKNOWN,
         words.size(row.predicted_bytes), off(row.error_95_percent),
         words.size(row.measured_bytes), words.size(row.headroom_bytes), row.reason]
        for row in found.rows
    ]
    print_table(headings, lines, right=(1, 2, 3, 4, 5))
