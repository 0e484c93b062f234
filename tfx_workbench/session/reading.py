"""The reading thread: it lists the library, refreshes the runs that are looked at, and computes their figures.

Everything that touches a disk or takes more than a moment happens here, so that the window's thread only paints.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from PySide6.QtCore import QObject, QThread, QTimer, Signal, Slot

from tfx_engine.protocol.problems import Problem
from tfx_engine.runfile.edit import annotate, rename
from tfx_engine.runfile.errors import RunFileError
from tfx_workbench.runs.library import Library
from tfx_workbench.runs.row import RunRow, read_row
from tfx_workbench.session.comparing import Comparing
from tfx_workbench.session.known_figures import KnownFigures
from tfx_workbench.session.shared_run import SharedRun
from tfx_workbench.session.trash import empty_old
from tfx_workbench.session.unread import Unread

POLL_MS = 120
TELL_S = 0.1  # the longest that what became known of runs is put together, while they are opened
TELL_S_A_RUN = 0.005  # and longer for each run that is open, as the window draws all of them each time
OTHERS_S = 0.05  # of a poll, for runs that nobody looks at
SCAN_MS = 1000
CLOSE_AFTER_S = 2.0


class Reader(QObject):
    """Lives in its own thread; talk to it through `ReadingThread`. Keys are the paths of run files as text."""

    listed = Signal(list)  # of RunRow
    opened = Signal(dict)  # key -> SharedRun: read to its end as of now, and its figures told before
    refused = Signal(str, object)  # key, Problem
    failed = Signal(object)  # Problem of something that was asked for, or of a file in the library
    changed = Signal(dict)  # key -> frozenset of what changed
    figured = Signal(dict)  # key -> Figures
    compared = Signal(dict)  # key -> Effects

    def __init__(self, store: Path) -> None:
        super().__init__()
        self._library = Library(store)
        self._extra: list[str] = []  # runs that lie outside the library
        self._watched: dict[str, SharedRun] = {}
        self._wanted: list[str] = []
        self._rows: dict[str, RunRow] = {}
        self._fresh_runs: list[str] = []  # that nobody was told of yet
        self._told_at = 0.0
        self._figures = KnownFigures()
        self._comparing = Comparing()
        self._refused: set[str] = set()
        self._unread = Unread()
        self._retired: list[tuple[float, SharedRun]] = []
        self._timers: list[QTimer] = []

    @Slot()
    def start(self) -> None:
        """Begin; called in the reading thread."""
        for interval_ms, slot in ((POLL_MS, self.poll), (SCAN_MS, self.scan)):
            timer = QTimer(self)
            timer.setInterval(interval_ms)
            timer.timeout.connect(slot)
            timer.start()
            self._timers.append(timer)
        empty_old(self._library.store)
        self.scan()

    @Slot()
    def stop(self) -> None:
        """Let go of every file; called in the reading thread."""
        for timer in self._timers:
            timer.stop()
        for run in [*self._watched.values(), *(run for _, run in self._retired)]:
            run.close()
        self._watched.clear()
        self._retired.clear()

    # ------------------------------------------------------------------ what is wanted

    @Slot(list)
    def watch(self, keys: list[str]) -> None:
        """Keep exactly these runs open and fresh."""
        self._wanted = list(keys)
        for key in [k for k in self._watched if k not in keys]:
            self._retire(key)
        self._refused -= {k for k in self._refused if k not in keys}

    @Slot(str)
    def set_baseline(self, key: str) -> None:
        """Compare the watched runs with this one; "" with none."""
        if self._comparing.set_baseline(key):
            self.compared.emit({})

    @Slot()
    def scan(self) -> None:
        """List the library."""
        try:
            rows = self._library.scan()
        except RunFileError as error:
            self._say_unread([error.problem])
            return
        self._say_unread(self._library.problems)
        rows += [row for key in self._extra if (row := self._look_at_extra(key)) is not None]
        self._rows = {str(row.path): row for row in rows}
        self._figures.forget_all_but(self._rows.keys() | set(self._wanted))
        self.listed.emit(rows)

    def _say_unread(self, problems: Iterable[Problem]) -> None:
        for problem in self._unread.news(problems):
            self.failed.emit(problem)

    @Slot(str)
    def add_file(self, key: str) -> None:
        """List a run that lies elsewhere, too."""
        if Path(key).parent != self._library.store and key not in self._extra:
            self._extra.append(key)
        self._refused.discard(key)
        self.scan()

    @Slot(str, object, object, object)
    def annotate(self, key: str, name: str | None, note: str | None, tags: Sequence[str] | None) -> None:
        """Give a run another name, note or tags; None leaves what there is."""
        try:
            if name is not None:
                rename(key, name)
            if note is not None or tags is not None:
                annotate(key, note, tags)
        except RunFileError as error:
            self.failed.emit(error.problem)
        self.scan()

    def _look_at_extra(self, key: str) -> RunRow | None:
        try:
            return read_row(Path(key))
        except RunFileError as error:
            self._extra.remove(key)
            self.refused.emit(key, error.problem)
            return None

    def _retire(self, key: str) -> None:
        """A panel may still show the run for a frame: its file is closed a moment later."""
        self._retired.append((time.monotonic(), self._watched.pop(key)))

    def _close_retired(self) -> None:
        now = time.monotonic()
        for _, run in [pair for pair in self._retired if now - pair[0] > CLOSE_AFTER_S]:
            run.close()
        self._retired = [pair for pair in self._retired if now - pair[0] <= CLOSE_AFTER_S]

    # ------------------------------------------------------------------ reading

    @Slot()
    def poll(self) -> None:
        """Open what is wanted, take in what is new, bring figures and differences up to date."""
        for key in self._wanted:
            if key not in self._watched and key not in self._refused:
                self._open(key)
        self._close_retired()
        self._refresh()
        self._read_others()
        self._tell()
        differences = self._comparing.differences(self._watched, self._figures.by_key)
        if differences is not None:
            self.compared.emit(differences)

    def _open(self, key: str) -> None:
        try:
            run = SharedRun(key)
            run.load()
        except RunFileError as error:
            self._refuse(key, error.problem)
            return
        self._watched[key] = run
        self._figures.work_out(key, run)
        self._fresh_runs.append(key)
        self._tell_if_due()

    def _refuse(self, key: str, problem: Problem) -> None:
        """Leave a run alone that cannot be read, and say why.

        One that was listed and is not there any more somebody threw away, from another window perhaps: that is no news
        to anybody but the list.
        """
        self._refused.add(key)
        if problem.code == "no-such-file" and key in self._rows:
            self.scan()
        else:
            self.refused.emit(key, problem)

    def _refresh(self) -> None:
        changed: dict[str, frozenset[str]] = {}
        for key, run in list(self._watched.items()):
            try:
                what = run.refresh()
            except RunFileError as error:
                self._retire(key)
                self._refuse(key, error.problem)
                continue
            if what:
                changed[key] = what
            self._comparing.refreshed(key, run, what)
            self._figures.refreshed(key, run, bool(what))
        if changed:
            self.changed.emit(changed)

    def _tell_if_due(self) -> None:
        if time.monotonic() - self._told_at > TELL_S + TELL_S_A_RUN * len(self._watched):
            self._tell()

    def _tell(self) -> None:
        """Pass on what became known: each time the window makes every line of its table anew."""
        self._told_at = time.monotonic()
        if figures := self._figures.untold():
            self.figured.emit(figures)
        opened = {key: self._watched[key] for key in self._fresh_runs if key in self._watched}
        self._fresh_runs.clear()
        if opened:
            self.opened.emit(opened)

    def _read_others(self) -> None:
        """Figures of runs that nobody looks at, the newest first: the table fills bit by bit."""
        end, found = time.monotonic() + OTHERS_S, True
        while found and time.monotonic() < end:
            found = self._figures.read_one(self._rows, without=self._watched.keys() | self._refused)


class ReadingThread(QObject):
    """Starts and ends the thread, and passes on wishes to the reader in it."""

    _watch = Signal(list)
    _baseline = Signal(str)
    _scan = Signal()
    _add_file = Signal(str)
    _annotate = Signal(str, object, object, object)

    def __init__(self, store: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._thread = QThread()
        self._thread.setObjectName("reading")
        self.reader = Reader(store)
        self.reader.moveToThread(self._thread)
        self._thread.started.connect(self.reader.start)
        self._thread.finished.connect(self.reader.stop)
        self._watch.connect(self.reader.watch)
        self._baseline.connect(self.reader.set_baseline)
        self._scan.connect(self.reader.scan)
        self._add_file.connect(self.reader.add_file)
        self._annotate.connect(self.reader.annotate)

    def start(self) -> None:
        """Begin reading."""
        self._thread.start(QThread.Priority.LowPriority)

    def watch(self, keys: list[str]) -> None:
        """Keep exactly these runs open and fresh."""
        self._watch.emit(keys)

    def set_baseline(self, key: str) -> None:
        """Compare the watched runs with this one."""
        self._baseline.emit(key)

    def scan(self) -> None:
        """List the library now."""
        self._scan.emit()

    def add_file(self, key: str) -> None:
        """List a run that lies elsewhere, too."""
        self._add_file.emit(key)

    def annotate(
        self, key: str, name: str | None = None, note: str | None = None, tags: Sequence[str] | None = None
    ) -> None:
        """Give a run another name, note or tags."""
        self._annotate.emit(key, name, note, tags)

    def close(self) -> None:
        """End the thread; returns when it has ended."""
        self._thread.quit()
        self._thread.wait()
