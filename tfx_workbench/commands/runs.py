"""`list` and `show RUN`: the runs of a store, and the figures of one."""

from __future__ import annotations

import argparse
import dataclasses
from contextlib import closing
from typing import Any

from tfx_engine.protocol.claims import words_of
from tfx_engine.protocol.components import COMPONENTS, PARTS
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.runfile.edit import annotate, rename
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.pulse import silent
from tfx_engine.runfile.store import absolute, default_store
from tfx_workbench.commands import words
from tfx_workbench.commands.output import DONE, emit, print_table, say
from tfx_workbench.runs.auditstand import stand_words
from tfx_workbench.runs.find import find_run
from tfx_workbench.runs.library import Library
from tfx_workbench.runs.row import RunRow, read_row
from tfx_workbench.runs.rundata import RunData
from tfx_workbench.runs.search import FIGURES, NUMBERS, Found, Query, found_of


def library_of(store: str | None) -> Library:
    """The library that a command means."""
    return Library(absolute(store) if store else default_store())  # paths that are printed hold anywhere


def list_runs(args: argparse.Namespace) -> int:
    """The runs of the store, the oldest first; files that cannot be read are named on stderr."""
    library = library_of(args.store)
    query = Query(" ".join(args.query))
    rows = _with_silence(_in_order(library.scan(), query, args.sort, args.reverse))
    if args.json:
        problems = [problem.as_dict() for problem in library.problems]
        emit({"store": str(library.store), "runs": [row.as_dict() for row in rows], "problems": problems})
        return DONE
    if rows:
        print_table(
            [tr_mark("run"), tr_mark("name"), tr_mark("status"), tr_mark("steps"), tr_mark("created"), tr_mark("size"),
             tr_mark("tags")],
            [[row.path.stem, words.title(row.name), _status(row.status, row.responds), words.count(row.steps),
              row.created_at[:19].replace("T", " "), words.size(row.size_bytes), words.title(", ".join(row.tags))]
             for row in rows],
            right=[3, 5],
        )
    elif args.query:
        print(tr_mark("No run in {store} is found by that.").format(store=library.store))
    else:
        print(tr_mark("There is no run in {store} yet.").format(store=library.store))
    for problem in library.problems:
        say(problem.sentence())
    return DONE


def _with_silence(rows: list[RunRow]) -> list[RunRow]:
    """The same, those marked that are running and do not respond."""
    found = silent(row.path for row in rows if row.status == "running")
    return [dataclasses.replace(row, responds=row.path not in found) for row in rows]


def _status(status: str, responds: bool) -> str:
    return status if responds else tr_mark("{status}, not responding").format(status=status)


def _in_order(rows: list[RunRow], query: Query, sort: str, reverse: bool) -> list[RunRow]:
    """Those that the query finds, sorted; what is not known stands last. Figures are read only where they matter."""
    needed = query.figures | ({sort} & FIGURES)
    found = [(row, found_of(row, _figures(row) if needed else None)) for row in rows]
    kept = [(row, entry) for row, entry in found if query.matches(entry)]
    if sort == "created":
        return [row for row, _ in (reversed(kept) if reverse else kept)]

    def key(pair: tuple[RunRow, Found]) -> Any:
        value = pair[1].numbers.get(sort)
        return value if sort in NUMBERS else pair[1].words[sort]

    known = [pair for pair in kept if sort not in NUMBERS or pair[1].numbers.get(sort) is not None]
    unknown = [row for row, entry in kept if sort in NUMBERS and entry.numbers.get(sort) is None]
    return [row for row, _ in sorted(known, key=key, reverse=reverse)] + unknown


def _figures(row: RunRow) -> dict[str, float | None]:
    try:
        with closing(RunData(row.path)) as run:
            summary = run.load().complete_summary()
    except RunFileError:  # it went away meanwhile
        return {}
    memory = summary["memory_bytes"]
    return {
        "speed": summary["tokens_per_s"]["median"], "loss": summary["loss"]["final"],
        "memory": memory["peak"] if memory["peak"] is not None else memory["step_peak"],
        "params": summary["params"]["total"], "trained": summary["params"]["trainable"],
    }


def annotate_run(args: argparse.Namespace) -> int:
    """Name, note and tags of a run that nobody is writing."""
    path = find_run(args.run, library_of(args.store))
    before = read_row(path)
    tags = [tag for tag in (*before.tags, *args.tag) if tag not in args.untag]
    if args.name is not None:
        rename(path, args.name)
    if args.note is not None or args.tag or args.untag:
        annotate(path, args.note, tags)
    row = read_row(path)
    if args.json:
        emit(row.as_dict())
    else:
        print_table([tr_mark("name"), tr_mark("tags"), tr_mark("note")],
                    [[words.title(row.name), words.title(", ".join(row.tags)), words.title(row.note)]])
    return DONE


def show(args: argparse.Namespace) -> int:
    """The figures of one run."""
    path = find_run(args.run, library_of(args.store))
    run = RunData(path)
    try:
        summary = run.load().complete_summary()
    finally:
        run.close()
    if summary["status"] == "running":
        summary["responds"] = not silent([path])
    if args.json:
        emit(summary)
    else:
        print_summary(summary)
    return DONE


def _audit_rows(audit: list[dict[str, Any]], stand: Any) -> list[tuple[str, str]]:
    """How many claims of the techniques hold, on what they were tried, and each that does not."""
    if not audit:
        return []
    hold = sum(row["ok"] is True for row in audit)
    rows = [(tr_mark("audit"), tr_mark("{hold} of {all} claims hold, {untried} could not be tried").format(
        hold=hold, all=len(audit), untried=sum(row["ok"] is None for row in audit)))]
    template, args = stand_words(stand)
    if template:
        rows.append((tr_mark("audited"), template.format_map(args)))
    for row in audit:
        if row["ok"] is False:
            template = tr_mark("{technique} does not do what it claims ({claim}): {detail}")
            rows.append((tr_mark("  broken"), template.format(
                technique=row["technique"], claim=words_of(row["claim"]), detail=row["detail"])))
    return rows


def print_summary(summary: dict[str, Any]) -> None:
    """The figures as lines of name and value; what is missing with its reason."""
    memory, loss, flops = summary["memory_bytes"], summary["loss"], summary["flops_per_token"]
    rows = [
        (tr_mark("run"), summary["run"]), (tr_mark("name"), words.title(summary["name"])),
        (tr_mark("status"), f"{_status(summary['status'], summary.get('responds', True))} {summary['reason']}".strip()),
        (tr_mark("steps"), tr_mark("{steps}, of which {measured} count").format(
            steps=words.count(summary["steps"]), measured=words.count(summary["measured_steps"]))
            + words.disturbed(summary["disturbed_steps"], summary["left_out_steps"])),
        (tr_mark("parameters"), tr_mark("{total}, of which {trainable} are trained").format(
            total=words.count(summary["params"]["total"]), trainable=words.count(summary["params"]["trainable"]))),
        (tr_mark("throughput"), tr_mark("{value} tokens/s").format(value=words.interval(summary["tokens_per_s"]))),
        (tr_mark("step time"), tr_mark("{value} ms").format(value=words.interval(summary["step_ms"]))),
        *_times(summary["time_ms"]),
        (tr_mark("loss"), tr_mark("{first} first, {final} last, {held_out} held out").format(
            **{name: words.number(value) for name, value in loss.items()})),
        *([(tr_mark("learning"), tr_mark("nothing over the measured steps: the warning says why"))]
          if summary["learns"] is False else []),
        (tr_mark("held-out accuracy"), words.number(summary["accuracy"])),
        (tr_mark("held-out bits per byte"), words.number(loss["bits_per_byte"])),
        (tr_mark("peak memory"), words.size(memory["peak"])),
        *((f"  {name}", words.size(memory[name])) for name in CATEGORIES),
        (tr_mark("reserved"), words.size(memory["reserved"])),
        (tr_mark("process memory"), words.size(memory["rss"])),
        *_predictions(summary),
        (tr_mark("FLOPs per token"), tr_mark("{model} model, {hardware} hardware").format(
            **{name: words.count(value) for name, value in flops.items()})),
        (tr_mark("MFU"), words.utilisation(summary["mfu"], summary["flops_per_s"])),
        (tr_mark("energy"), words.energy(summary["energy_j"])),
        (tr_mark("measuring costs"), words.overhead(summary["overhead"])),
        *_audit_rows(summary["audit"], summary["audit_stand"]),
        *((tr_mark("warning"), w["message"]) for w in summary["warnings"] if w["message"] not in summary["reason"]),
    ]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name.ljust(width)}  {value}")
    for key, reason in summary["missing"].items():
        print(tr_mark("not known: {key}: {reason}").format(key=key, reason=reason))


def _predictions(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """What the step was predicted to take, each with its error against what was measured, where both are known."""
    predicted = summary["predicted"] or {}
    peak, bounds = (predicted.get("memory_bytes") or {}).get("peak"), predicted.get("peak_interval_bytes") or {}
    measured, interval = summary["memory_bytes"]["peak"], (bounds.get("low"), bounds.get("high"))
    return [
        (tr_mark("predicted peak"), words.beside_measured(peak, measured, words.size, *interval)),
        (tr_mark("predicted step"), words.beside_measured(
            predicted.get("step_ms"), summary["step_ms"]["median"], words.milliseconds)),
    ]


def _times(times: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Where the time of a step goes: the parts in their order, the components by size."""
    if times is None:
        return []
    parts = [(PARTS.get(name, name), times["part"][name]) for name in PARTS if name in times["part"]]
    components = sorted(times["component"].items(), key=lambda item: -item[1])
    lines = [(tr_mark("time by part"), parts),
             (tr_mark("time by component"), [(COMPONENTS.get(name, name), ms) for name, ms in components])]
    return [(title, _shares(found, times["step"])) for title, found in lines]


def _shares(found: list[tuple[str, float]], whole: float) -> str:
    """`forward 12.1 ms (33 %), ...`; what is less than a hundredth is put together."""
    large = [(name, ms) for name, ms in found if ms >= whole / 100]
    rest = whole - sum(ms for _, ms in large)
    shown = [*large, *([(tr_mark("the rest"), rest)] if rest > whole / 1000 else [])]
    return ", ".join(f"{name} {words.number(ms)} ms ({100 * ms / whole:.0f} %)" for name, ms in shown)
