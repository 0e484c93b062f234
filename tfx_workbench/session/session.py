"""The session: the draft, the runs and the engine, and what a window can do with them."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from PySide6.QtCore import QObject, Signal

from tfx_engine.protocol.messages import Notice, Reply
from tfx_engine.protocol.toml import dumps
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.rows import RunInfo
from tfx_workbench.runs.row import RunRow
from tfx_workbench.session.ablation import Ablation
from tfx_workbench.session.draft import Draft
from tfx_workbench.session.engine import Engine, problems_of
from tfx_workbench.session.fair import Fair
from tfx_workbench.session.frontier import FrontierSearch
from tfx_workbench.session.lean import lean_config
from tfx_workbench.session.opening import open_files
from tfx_workbench.session.prediction import Prediction
from tfx_workbench.session.reading import ReadingThread
from tfx_workbench.session.run_line import newest_comparison
from tfx_workbench.session.run_list import RunList
from tfx_workbench.session.trash import Removed, remove

Level = Literal["info", "warning", "bad"]


class Session(QObject):
    """Everything but pixels. Signals come in the window's thread."""

    said = Signal(str, str)  # text, level
    problem_found = Signal(object, str)  # Problem, level
    refused = Signal(int, object)  # index of the configuration, its first Problem: Run was pressed, and cannot
    submitted = Signal(list)  # keys
    ended = Signal(str, str, str)  # key, status, reason
    audited = Signal(str, list)  # name, findings as data
    removed = Signal(list)  # of Removed
    bundle_found = Signal(str)  # path: a claim bundle was opened
    loaded = Signal(str)  # the configuration of a run of that name is in the form

    def __init__(
        self, store: Path, draft: Draft, on_disconnect: Literal["finish", "stop"] = "finish",
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.store = store
        self.draft = draft
        self.engine = Engine(store, on_disconnect, self)
        self.reading = ReadingThread(store, self)
        self.runs = RunList(self.reading, self)
        self.frontier = FrontierSearch(self)
        self.prediction = Prediction(draft, self.engine, self)
        self.ablation = Ablation(self)
        self.fair = Fair(self)
        self.engine.noticed.connect(self._on_notice)
        self.engine.restarted.connect(self._on_restarted)
        self.reading.reader.failed.connect(lambda problem: self.problem_found.emit(problem, "warning"))
        self.runs.refused.connect(lambda _key, problem: self.problem_found.emit(problem, "warning"))
        self.runs.listed_first.connect(self._on_first_listing)

    def start(self) -> None:
        """Begin: read the library, start the engine. To be called when the window is up."""
        self.reading.start()
        self.engine.start()
        self.frontier.load()
        self.prediction.look()

    def close(self) -> None:
        """End the threads; runs do what `on_disconnect` says."""
        self.prediction.stop()
        self.reading.close()
        self.engine.close()

    # ------------------------------------------------------------------ running

    def run(self, only_current: bool = False) -> bool:
        """Queue the draft: all its configurations, or the edited one. False where something is wrong with it."""
        wrong = [(i, p) for i, p in self.draft.all_problems() if not only_current or i == self.draft.current]
        if wrong:
            self.refused.emit(*wrong[0])
            return False
        configs = [self.draft.data] if only_current else self.draft.configs
        self._submit(configs)
        return True

    def _submit(self, configs: Sequence[dict[str, Any]]) -> None:
        comparison = uuid.uuid4().hex if len(configs) > 1 else ""

        def answer(reply: Reply) -> None:
            problems = problems_of(reply)
            if problems:
                current = self.draft.current if len(configs) == 1 else 0
                self.refused.emit(current, problems[0])
                return
            self.take_on([str(path) for path in reply.result["runs"]])

        self.engine.submit(configs, [dumps(c) for c in configs], comparison, answer)

    def take_on(self, keys: Sequence[str]) -> None:
        """Runs were queued together; of several the first is the baseline."""
        self.runs.add_submitted(list(keys))
        if len(keys) > 1:
            self.runs.set_baseline(keys[0])
        self.submitted.emit(list(keys))

    def control(self, keys: Sequence[str], action: Literal["pause", "resume", "stop"]) -> None:
        """Pause, resume or stop runs that are going; a waiting run that is stopped leaves the queue."""
        from tfx_engine.client import control

        for key in keys:
            row = self.runs.rows.get(key)
            if row is None:
                continue
            if row.status == "queued" and action == "stop":
                self.unqueue([key])
            elif row.status == "running":
                try:
                    control(key, action)
                except RunFileError as error:
                    self.problem_found.emit(error.problem, "warning")

    def unqueue(self, keys: Sequence[str]) -> None:
        """Take waiting runs out of the queue."""
        for key in keys:
            self.engine.remove_from_queue(key, self._say_problems)

    def probe(self, path: Path, layer: int, head: int) -> None:
        """Ask a running run for one head's attention map at full resolution."""
        from tfx_engine.client import control

        row = self.runs.rows.get(str(path))
        if row is None or row.status != "running":
            return
        try:
            control(path, "probe", layer=layer, head=head)
        except RunFileError as error:
            self.problem_found.emit(error.problem, "warning")

    def going(self) -> list[RunRow]:
        """Runs that are under way, whoever started them."""
        return [row for row in self.runs.rows.values() if row.status == "running"]

    def waiting(self) -> list[RunRow]:
        """Runs that wait for their turn."""
        return [row for row in self.runs.rows.values() if row.status == "queued"]

    # ------------------------------------------------------------------ files

    def open(self, files: Sequence[str | Path]) -> None:
        """Open configurations and runs; what is neither gets a sentence."""
        found = open_files(files)
        for problem in found.problems:
            self.problem_found.emit(problem, "warning")
        if found.configs:
            self.draft.load(found.configs, found.config_files[0].stem)
        self.runs.open([str(path) for path in found.runs])
        for bundle in found.bundles:
            self.bundle_found.emit(str(bundle))

    def load_from_run(self, key: str) -> None:
        """Edit the configuration of a run."""
        if (info := self.info_of(key)) is None:
            return
        self.draft.load([lean_config(info.config, self.draft.catalogue)], info.name)
        self.loaded.emit(info.name)

    def info_of(self, key: str) -> RunInfo | None:
        """What a run file says of itself; None where it cannot be read, which is said."""
        try:
            with contextlib.closing(RunReader(key)) as reader:
                return reader.info()
        except RunFileError as error:
            self.problem_found.emit(error.problem, "warning")
            return None

    def audit(self, key: str = "") -> None:
        """Prove what the techniques of a run that has ended claim, or those of the form; emits `audited`."""
        data, name = self.draft.data, self.draft.config.name
        if key:
            if (info := self.info_of(key)) is None:
                return
            data, name = info.config, info.name

        def answer(reply: Reply) -> None:
            if reply.ok:
                self.audited.emit(name, reply.result["audit"])
            self._say_problems(reply)

        self.said.emit(self.tr("The techniques of {name} are being audited.").format(name=name), "info")
        self.engine.audit(data, key, answer)

    def rename(self, key: str, name: str) -> None:
        """Give a run another name."""
        self.reading.annotate(key, name=name)

    def set_note(self, key: str, note: str) -> None:
        """Replace the note of a run."""
        self.reading.annotate(key, note=note)

    def set_tags(self, tags: Mapping[str, Sequence[str]]) -> None:
        """Replace the tags of runs, by their keys."""
        for key, words in tags.items():
            self.reading.annotate(key, tags=words)

    def delete(self, keys: Sequence[str]) -> None:
        """Move runs into the trash; those that are being written stay."""
        gone: list[Removed] = []
        for key in keys:
            self.runs.tick(key, False)
            try:
                gone.append(remove(Path(key)))
            except RunFileError as error:
                self.problem_found.emit(error.problem, "warning")
        self.reading.scan()
        if gone:
            self.removed.emit(gone)

    def restore(self, removed: Sequence[Removed]) -> None:
        """Bring deleted runs back."""
        for one in removed:
            try:
                one.restore()
            except RunFileError as error:
                self.problem_found.emit(error.problem, "warning")
        self.reading.scan()

    # ------------------------------------------------------------------ what comes from elsewhere

    def _on_notice(self, notice: Notice) -> None:
        match notice.kind:
            case "started" | "queue":
                self.reading.scan()
            case "ended":
                self.reading.scan()
                self.ended.emit(notice.run, notice.detail.get("status", ""), notice.detail.get("reason", ""))
            case "problem":
                self._say_problem_data(notice.detail)

    def _say_problem_data(self, detail: dict[str, Any]) -> None:
        from tfx_engine.protocol.codec import problem_from_data

        self.problem_found.emit(problem_from_data(detail), "warning")

    def _say_problems(self, reply: Reply) -> None:
        for problem in problems_of(reply):
            self.problem_found.emit(problem, "warning")
        self.reading.scan()

    def _on_restarted(self, exit_code: int) -> None:
        waiting = len(self.waiting())
        self.said.emit(self.tr(
            "The engine ended unexpectedly (exit code {code}) and is starting again. What was measured is on disk; "
            "{waiting} waiting runs are taken on.").format(code=exit_code, waiting=waiting), "warning")
        self.reading.scan()

    def _on_first_listing(self, rows: list[RunRow]) -> None:
        """Runs of an earlier window, or of the command line, that are still going are shown; else what was run last."""
        live = [row for row in rows if row.status == "running"]
        for row in live:
            self.runs.tick(str(row.path))
        if rows and not self.runs.ticked:
            self.runs.show_only(newest_comparison(rows))
        if live:
            names = ", ".join(row.name for row in live)
            self.said.emit(self.tr("Still running from before: {names}.").format(names=names), "info")
