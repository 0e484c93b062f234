"""Which runs there are, and how the window shows them: ticked, coloured, compared, in focus."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from tfx_workbench.exhibits.runview import RunView
from tfx_workbench.runs.row import RunRow
from tfx_workbench.session.figures import Effects, Figures
from tfx_workbench.session.reading import ReadingThread
from tfx_workbench.session.run_line import Line, in_order, line_of
from tfx_workbench.session.shared_run import SharedRun, try_hold

COLOURS = 8  # that can be told apart: a new run takes the place of an old one where they are used up
MOST_TICKED = 200  # at once; what is beyond that nobody could tell apart by anything


class RunList(QObject):
    """Keys are the paths of run files as text. What is read comes from the reading thread."""

    lines_changed = Signal()
    views_changed = Signal()
    selection_changed = Signal()  # what is ticked, or the baseline
    data_changed = Signal(object)  # frozenset of the parts that changed in a shown run
    listed_first = Signal(list)  # the rows of the first listing
    refused = Signal(str, object)  # key, Problem

    def __init__(self, reading: ReadingThread, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._reading = reading
        self.rows: dict[str, RunRow] = {}
        self.ticked: list[str] = []
        self.baseline = ""
        self._focus = ""
        self._expected: set[str] = set()  # submitted a moment ago, not listed yet
        self._opened: set[str] = set()  # opened a moment ago, neither listed nor refused yet
        self._colours: dict[str, int] = {}
        self._runs: dict[str, SharedRun] = {}
        self._figures: dict[str, Figures] = {}
        self._effects: dict[str, Effects] = {}
        self._was_listed = False
        self._views_mark: object = None
        self._held = contextlib.ExitStack()
        reader = reading.reader
        reader.listed.connect(self._on_listed)
        reader.opened.connect(self._on_opened)
        reader.refused.connect(self._on_refused)
        reader.changed.connect(self._on_changed)
        reader.figured.connect(self._on_figured)
        reader.compared.connect(self._on_compared)

    # ------------------------------------------------------------------ what is shown

    def lines(self) -> list[Line]:
        """Every run as a line of the table, the newest comparison first."""
        return [
            line_of(row, self._figures.get(key), self._effects.get(key), colour=self._colours.get(key, 0),
                    ticked=key in self.ticked, is_baseline=key == self.baseline)
            for row in in_order(list(self.rows.values())) for key in (str(row.path),)
        ]

    def views(self) -> list[RunView]:
        """The ticked runs as the exhibits want them, in the order of the table."""
        shown = [str(row.path) for row in in_order(list(self.rows.values())) if str(row.path) in self.ticked]
        focus = self.focus
        return [
            RunView(self._runs[key], self.rows[key].name, self._colours.get(key, 0), key == focus, key == self.baseline)
            for key in shown if key in self._runs
        ]

    @property
    def focus(self) -> str:
        """The run that panels of a single run show: the selected one, else the running one, else the last that ran."""
        if self._focus in self.ticked and self._focus in self._runs:
            return self._focus
        shown = [key for key in self.ticked if key in self._runs and key in self.rows]
        running = [key for key in shown if self.rows[key].status == "running"]
        with_steps = [key for key in shown if self.rows[key].steps]
        return next(reversed(running or with_steps or shown), "")

    def figures(self, key: str) -> Figures | None:
        """The figures of a run, where they are known."""
        return self._figures.get(key)

    def run(self, key: str) -> SharedRun | None:
        """An open run."""
        return self._runs.get(key)

    def hold(self) -> bool:
        """Keep the shown runs from being refreshed while they are drawn; False where one is being refreshed now."""
        runs = [self._runs[key] for key in self.ticked if key in self._runs]
        stack = contextlib.ExitStack()
        if not stack.enter_context(try_hold(runs)):
            stack.close()
            return False
        self._held = stack
        return True

    def release(self) -> None:
        """Let the shown runs be refreshed again."""
        self._held.close()

    def _show_views(self) -> None:
        """Say that the views changed, where they did: names, order, focus, not merely what is in the files."""
        mark = [(id(v.data), v.label, v.colour, v.focus, v.baseline) for v in self.views()]
        if mark != self._views_mark:
            self._views_mark = mark
            self.views_changed.emit()

    # ------------------------------------------------------------------ what the user does

    def tick(self, key: str, on: bool = True) -> None:
        """Show a run in the panels, or no longer."""
        self.tick_all([key], on)

    def tick_all(self, keys: Sequence[str], on: bool = True) -> int:
        """Show runs in the panels, or no longer; how many of them there was no room for."""
        chosen = [key for key in keys if on != (key in self.ticked)]
        room = MOST_TICKED - len(self.ticked) if on else len(chosen)
        for key in chosen[:room]:
            if on:
                self._take_colour(key)
                self.ticked.append(key)
            else:
                self.ticked.remove(key)
        if chosen:
            self._selection_changed()
        return len(chosen[room:])

    def show_only(self, keys: Sequence[str]) -> None:
        """Show these runs and no others."""
        self.ticked = []
        for key in keys[:MOST_TICKED]:
            self._take_colour(key)
            self.ticked.append(key)
        self._selection_changed()

    def open(self, keys: Sequence[str]) -> None:
        """Show runs that lie elsewhere, too; several opened together are compared with the first."""
        self._opened |= set(keys) - self.rows.keys()
        for key in keys:
            self._reading.add_file(key)
        self.tick_all(keys)
        if len(keys) > 1 and not self.baseline:
            self.set_baseline(keys[0])

    def add_submitted(self, keys: Sequence[str]) -> None:
        """Show runs that were queued a moment ago; the oldest ones give up their colours where it gets too many."""
        self._expected |= set(keys)
        kept = [k for k in self.ticked if k not in keys]
        room = max(0, COLOURS - len(keys))
        while len(kept) > room:
            kept.remove(next((k for k in kept if k != self.baseline), kept[0]))
        self.ticked = kept
        self._focus = ""
        for key in keys:
            self._take_colour(key)
            self.ticked.append(key)
        self._selection_changed()
        self._reading.scan()

    def set_baseline(self, key: str) -> None:
        """Compare with this run; "" with none."""
        if key != self.baseline:
            self._effects = {}
        self.baseline = key
        if key and key not in self.ticked:
            self._take_colour(key)
            self.ticked.append(key)
        self._reading.set_baseline(key)
        self._selection_changed()

    def set_focus(self, key: str) -> None:
        """The run that panels of a single run show."""
        if key != self._focus:
            self._focus = key
            self._show_views()

    def restore(self, ticked: Iterable[str], baseline: str) -> None:
        """Take back what was shown when the window was closed."""
        for key in ticked:
            if Path(key).is_file() and key not in self.ticked:
                self._take_colour(key)
                self.ticked.append(key)
        if baseline in self.ticked:
            self.baseline = baseline
            self._reading.set_baseline(baseline)
        self._selection_changed()

    def _take_colour(self, key: str) -> None:
        used = {self._colours[k] for k in self.ticked if k in self._colours}
        if self._colours.get(key, 0) in used or key not in self._colours:
            self._colours[key] = next(i for i in range(len(used) + 1) if i not in used)

    def _selection_changed(self) -> None:
        self._reading.watch(list(dict.fromkeys([*self.ticked, *([self.baseline] if self.baseline else [])])))
        for key in [k for k in self._runs if k not in self.ticked and k != self.baseline]:
            del self._runs[key]
        self._show_views()
        self.selection_changed.emit()
        self.lines_changed.emit()

    # ------------------------------------------------------------------ from the reading thread

    def _on_listed(self, rows: list[RunRow]) -> None:
        fresh = {str(row.path): row for row in rows}
        changed = fresh != self.rows
        self.rows = fresh
        self._expected -= fresh.keys()
        self._opened -= fresh.keys()
        awaited = self._expected | self._opened
        gone = [k for k in self.ticked if k not in fresh and k not in awaited]
        if gone and self._was_listed:
            self.ticked = [k for k in self.ticked if k not in gone]
            self.baseline = "" if self.baseline in gone else self.baseline
            self._selection_changed()
        for key in [k for k in self._figures if k not in fresh and k not in awaited and k not in self._runs]:
            del self._figures[key]
        if not self._was_listed:
            self._was_listed = True
            self.listed_first.emit(rows)
        if changed:
            self.lines_changed.emit()
            self._show_views()

    def _on_opened(self, opened: dict[str, SharedRun]) -> None:
        self._runs |= {key: run for key, run in opened.items() if key in self.ticked or key == self.baseline}
        self._show_views()

    def _on_refused(self, key: str, problem: object) -> None:
        self._opened.discard(key)
        if key not in self._expected:
            self.ticked = [k for k in self.ticked if k != key]
            self.baseline = "" if self.baseline == key else self.baseline
            self._selection_changed()
            self.refused.emit(key, problem)

    def _on_changed(self, changes: dict[str, frozenset[str]]) -> None:
        shown: frozenset[str] = frozenset().union(*(what for key, what in changes.items() if key in self.ticked))
        if shown:
            self.data_changed.emit(shown)

    def _on_figured(self, figures: dict[str, Figures]) -> None:
        self._figures.update(figures)
        self.lines_changed.emit()

    def _on_compared(self, effects: dict[str, Effects]) -> None:
        self._effects = effects
        self.lines_changed.emit()
