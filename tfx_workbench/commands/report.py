"""`report RUN... -o FILE`: runs as one file to hand on, HTML or PDF; or one exhibit as SVG, PNG, PDF or CSV."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
from pathlib import Path
from typing import Any

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem, nearest
from tfx_engine.runfile.store import absolute
from tfx_workbench.commands import words
from tfx_workbench.commands.output import DONE, emit, say
from tfx_workbench.commands.runs import library_of
from tfx_workbench.exhibits.kind import all_exhibits
from tfx_workbench.exporting.target import refuse_existing, written
from tfx_workbench.runs.find import find_run
from tfx_workbench.runs.rundata import RunData

WHOLE = (".html", ".htm", ".pdf")
SINGLE = (".svg", ".png", ".csv")


def report(args: argparse.Namespace) -> int:
    """The first run is the baseline; the files are left as they are."""
    from tfx_workbench.report.subject import Subject

    target = absolute(args.output)
    names = _exhibits(args.exhibits)
    kind = _kind(target, names)
    refuse_existing(target, args.force)
    library = library_of(args.store)
    paths = list(dict.fromkeys(find_run(text, library) for text in args.runs))
    with contextlib.ExitStack() as stack:
        runs = [stack.enter_context(contextlib.closing(RunData(path))).load() for path in paths]
        subject = Subject.of(runs, args.colours)
        data, shown = _single(subject, kind, names) if kind in SINGLE else _whole(subject, kind, names, args)
    with written(target, args.force) as file:
        file.write(data)
    if args.json:
        emit({"path": str(target), "format": kind[1:], "bytes": len(data), "runs": [str(path) for path in paths],
              "exhibits": shown})
    else:
        print(tr_mark("Runs: {count}, exhibits: {exhibits}, {size}: {path}").format(
            count=len(paths), exhibits=len(shown), size=words.size(len(data)), path=target))
    return DONE


class _Teller:
    """Says on stderr how far it is: a line of JSON with what is done, of how many, and what comes now."""

    def __init__(self, steps: int) -> None:
        self._steps, self._done = steps, 0

    def __call__(self, title: str) -> None:
        say(json.dumps([self._done, self._steps, title]))
        self._done += 1


def _nothing(_title: str) -> None:
    pass


def _whole(subject: Any, kind: str, names: tuple[str, ...] | None, args: argparse.Namespace) -> tuple[bytes, list[str]]:
    from tfx_workbench.report.build import Wanted, build

    steps = len(names or all_exhibits()) + 3
    tell = _Teller(steps) if args.progress else None
    made = build(subject, Wanted(title=args.title or "", exhibits=names, each=args.each_run), tell or _nothing)
    if tell:
        tell(tr_mark("writing"))
    shown = list(dict.fromkeys(figure.exhibit.name for figure in made.figures()))
    if kind == ".pdf":
        printed = qt_module().report_pdf(made)
        if printed.without_glyph:
            say(tr_mark("No font of this machine has a shape for: {letters} They are boxes in the PDF; install a font "
                        "that has them, such as Noto Sans CJK.").format(letters=printed.without_glyph))
        return printed.data, shown
    from tfx_workbench.report.page import page

    return page(made).encode("utf-8"), shown


def _single(subject: Any, kind: str, names: tuple[str, ...] | None) -> tuple[bytes, list[str]]:
    from tfx_workbench.report.chosen import focus_on
    from tfx_workbench.report.single import exhibit_bytes

    assert names is not None
    found = next(k for k in all_exhibits() if k.name == names[0])
    exhibit = found.make(focus_on(subject.views, subject.baseline), {})
    if kind == ".png":
        return qt_module().exhibit_png(exhibit), list(names)
    return exhibit_bytes(exhibit, kind), list(names)


def qt_module() -> Any:
    """What draws with Qt, which is loaded for nothing else here."""
    try:
        return importlib.import_module("tfx_workbench.report.pdf")
    except ImportError as error:
        if (error.name or "").startswith("tfx_"):
            raise
        raise ConfigError([Problem(
            code="no-qt", path="report", template=tr_mark("a PDF or PNG needs Qt, which cannot be loaded: {error}."),
            hint_template=tr_mark("Make an HTML report instead and print that: -o report.html."),
            args={"error": str(error).rstrip(".")},
        )]) from None


def _exhibits(text: str | None) -> tuple[str, ...] | None:
    """The names that were typed. Raises `ConfigError` where there is no such exhibit."""
    if text is None:
        return None
    names = tuple(filter(None, (part.strip() for part in text.split(","))))
    known = [kind.name for kind in all_exhibits()]
    problems = [_unknown(name, known) for name in names if name not in known]
    if problems or not names:
        raise ConfigError(problems or [_unknown(text, known)])
    return names


def _unknown(name: str, known: list[str]) -> Problem:
    near = nearest(name, known)
    hint = tr_mark("Did you mean {near!r}? There are: {known}.") if near else tr_mark("There are: {known}.")
    return Problem(code="no-such-exhibit", path=name, template=tr_mark("is no exhibit."), hint_template=hint,
                   args={"near": near, "known": ", ".join(known)})


def _kind(target: Path, names: tuple[str, ...] | None) -> str:
    """What the name of the file asks for. Raises `ConfigError`."""
    suffix = target.suffix.lower()
    if suffix not in (*WHOLE, *SINGLE):
        raise ConfigError([Problem(
            code="bad-format", path=str(target), template=tr_mark("ends in no format that is known here."),
            hint_template=tr_mark("{whole}: a whole report; {single}: one exhibit, by --exhibits NAME."),
            args={"whole": ", ".join(WHOLE), "single": ", ".join(SINGLE)},
        )])
    if suffix in SINGLE and (names is None or len(names) != 1):
        raise ConfigError([Problem(
            code="one-exhibit", path=str(target), template=tr_mark("holds one exhibit, and {count} are asked for."),
            hint_template=tr_mark("Say which: --exhibits {name}."),
            args={"count": len(names or all_exhibits()), "name": all_exhibits()[0].name},
        )])
    return suffix
