"""Where the numbers come from: device, driver, versions, seed, data, files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.analysis.comparable import name_of_device, task_of
from tfx_workbench.exhibits.format import UNKNOWN, count, size
from tfx_workbench.exhibits.runview import RunView
from tfx_workbench.exhibits.text import Words, say
from tfx_workbench.report.document import Block, Cell, Grid, Head, Section
from tfx_workbench.report.subject import Subject


def provenance(subject: Subject) -> Section:
    """What all runs share, what differs by run, and why readings are missing."""
    rows = [(say(title), [_shown(read(view)) for view in subject.views]) for title, read in _ENTRIES]
    shared = [(title, cells[0]) for title, cells in rows if len(set(cells)) == 1 and cells[0] != UNKNOWN]
    by_run = [(title, cells) for title, cells in rows if len(set(cells)) > 1]
    blocks: list[Block] = []
    if shared:
        caption = say(tr_mark("Of all runs")) if len(subject.views) > 1 else say(tr_mark("Environment"))
        blocks.append(Grid(
            caption, (Head(say(tr_mark("what")), False), Head(say(tr_mark("value")), False)),
            tuple((Cell(title), Cell(text)) for title, text in shared)))
    if by_run:
        heads = tuple(Head(say(words), False) for words in (tr_mark("run"), tr_mark("what"), tr_mark("value")))
        rows_by_run = [
            (Cell(view.label, colour=view.colour_name) if not n else Cell(""), Cell(title), Cell(cells[i]))
            for i, view in enumerate(subject.views) for n, (title, cells) in enumerate(by_run)
        ]
        blocks.append(Grid(say(tr_mark("Run by run")), heads, tuple(rows_by_run)))
    if missing := _missing(subject):
        blocks.append(missing)
    return Section("provenance", say(tr_mark("Environment and provenance")), tuple(blocks))


def _shown(value: Any) -> str:
    return UNKNOWN if value in (None, "") else str(value)


def _fact(*path: str) -> Callable[[RunView], Any]:
    def read(view: RunView) -> Any:
        value: Any = view.data.facts
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        return value
    return read


def _bytes(*path: str) -> Callable[[RunView], Any]:
    read = _fact(*path)
    return lambda view: None if read(view) is None else size(read(view))


def _peak(view: RunView) -> Any:
    measured = _fact("peak_flops_per_s", "measured")(view)
    return None if measured is None else f"{count(measured, 3)}FLOP/s, {_fact('peak_flops_per_s', 'format')(view)}"


_ENTRIES: tuple[tuple[str, Callable[[RunView], Any]], ...] = (
    (tr_mark("run id"), lambda view: view.data.info.run_id),
    (tr_mark("file"), lambda view: view.data.path.name),
    (tr_mark("whole name"), lambda view: view.data.info.name),
    (tr_mark("begun"), lambda view: view.data.info.started_at),
    (tr_mark("ended"), lambda view: view.data.info.ended_at),
    (tr_mark("comparison"), lambda view: view.data.info.comparison),
    (tr_mark("device"), lambda view: name_of_device(view.data)),
    (tr_mark("kind of device"), _fact("device", "kind")),
    (tr_mark("driver"), _fact("ceilings", "circumstances", "driver")),
    (tr_mark("memory of the device"), _bytes("capacity_bytes")),
    (tr_mark("CPU"), _fact("cpu")), (tr_mark("CPU cores"), _fact("cpu_cores")), (tr_mark("threads"), _fact("threads")),
    (tr_mark("system"), _fact("platform")), (tr_mark("Python"), _fact("python")), (tr_mark("torch"), _fact("torch")),
    (tr_mark("TFX engine"), lambda view: view.data.info.engine_version),
    (tr_mark("git revision of the engine"), lambda view: view.data.info.engine_revision),
    (tr_mark("speed of products, measured here"), _peak),
    (tr_mark("seed"), _fact("seed")),
    (tr_mark("task"), lambda view: task_of(view.data)),
    (tr_mark("corpus"), _fact("corpus", "source")), (tr_mark("bytes of the corpus"), _fact("corpus", "bytes")),
    (tr_mark("SHA-256 of the corpus"), _fact("corpus", "sha256")),
    (tr_mark("tokens per step"), _fact("tokens_per_step")),
    (tr_mark("attention kernel that was used"), _fact("kernel")),
    (tr_mark("optimizer that was used"), _fact("optimizer")),
)


def _missing(subject: Subject) -> Grid | None:
    """Each reason once, with the readings and the runs it is about."""
    reasons: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for view in subject.views:
        for key, reason in subject.summary(view)["missing"].items():
            keys, runs = reasons.setdefault(reason, ({}, {}))
            keys[key] = None
            runs[view.label] = None
    if not reasons:
        return None
    rows = tuple((Cell(", ".join(keys)), Cell(_those(runs, subject)), Cell(reason))
                 for reason, (keys, runs) in reasons.items())
    heads = (Head(say(tr_mark("reading")), False), Head(say(tr_mark("runs")), False), Head(say(tr_mark("why")), False))
    return Grid(say(tr_mark("What could not be read, and why")), heads, rows)


def _those(runs: dict[str, None], subject: Subject) -> Words:
    return say(tr_mark("all")) if len(runs) == len(subject.views) else ", ".join(runs)
