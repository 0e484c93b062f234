"""Which run somebody means: a path, a file name, a name, the beginning of an identity."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem, nearest
from tfx_engine.runfile.store import absolute
from tfx_engine.runfile.tables import SUFFIX
from tfx_workbench.runs.library import Library
from tfx_workbench.runs.row import RunRow

SHOWN = 5  # candidates in a sentence


def find_run(text: str, library: Library) -> Path:
    """The run file that `text` means. Raises `ConfigError` where there is none, or more than one.

    `text` may be the path of a run file, its file name with or without suffix, the run's name where no other run of
    the store bears it, or how its file name or identity begins, or how its file name ends.
    """
    path = absolute(text)
    # os.path, unlike Path, says no to what is too long to be a path.
    if os.path.isdir(path):  # noqa: PTH112
        raise ConfigError([Problem(code="not-a-file", path=text, template="is a folder, not a run.",
                                   hint_template="Name a run file in it.")])
    if os.path.lexists(path):
        return path  # whoever opens it says what is wrong with a pipe, or a link that leads nowhere
    rows = library.scan()
    for matching in (_by_file_name, _by_name, _by_beginning, _by_end):
        found = [row for row in rows if matching(row, text)]
        if len(found) == 1:
            return found[0].path
        if found:
            raise ConfigError([_ambiguous(text, found)])
    unreadable = library.store / (text if text.endswith(SUFFIX) else text + SUFFIX)
    if os.path.isfile(unreadable):  # noqa: PTH113
        return unreadable  # whoever opens it says what is wrong with it
    raise ConfigError([_unknown(text, rows, library.store)])


def refuse_twice(paths: Sequence[Path]) -> None:
    """Raise `ConfigError` where one run is named twice."""
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            raise ConfigError([Problem(code="same-run-twice", path=str(path), template=tr_mark("is named twice."),
                                       hint_template=tr_mark("Name each run once."))])
        seen.add(path.resolve())


def _by_file_name(row: RunRow, text: str) -> bool:
    return text in (row.path.name, row.path.stem)


def _by_name(row: RunRow, text: str) -> bool:
    return text == row.name


def _by_beginning(row: RunRow, text: str) -> bool:
    return bool(text) and (row.run_id.startswith(text) or row.path.stem.startswith(text))


def _by_end(row: RunRow, text: str) -> bool:
    return bool(text) and row.path.stem.endswith(text)


def _ambiguous(text: str, rows: list[RunRow]) -> Problem:
    names = ", ".join(row.path.stem for row in rows[-SHOWN:])
    more = len(rows) - SHOWN
    return Problem(
        code="ambiguous-run", path=text, template="could be any of {count} runs.",
        hint_template="Say which: {names} and {more} older ones." if more > 0 else "Say which: {names}.",
        args={"count": len(rows), "names": names, "more": more},
    )


def _unknown(text: str, rows: list[RunRow], store: Path) -> Problem:
    names = {row.name for row in rows} | {row.path.stem for row in rows}
    near = nearest(text, sorted(names))
    hint = tr_mark("Did you mean {near!r}?") if near else tr_mark("`tfx-workbench list` shows the runs there are.")
    return Problem(code="no-such-run", path=text, template="is no run in {store}.", hint_template=hint,
                   args={"near": near, "store": str(store)})
