"""A report that is made in a process of its own, which the window watches and can end."""

from __future__ import annotations

import json
from collections.abc import Sequence

from PySide6.QtCore import QObject, QProcess, QProcessEnvironment, Signal

from tfx_engine.protocol.launch import child_environment, module_argv

_PATIENCE_MS = 2000


class ReportJob(QObject):
    """`tfx-workbench report` with its progress. Ends with `finished` (path) or `failed` (words), or was cancelled."""

    progressed = Signal(int, int, str)  # done, of, title of what is worked on
    finished = Signal(str)
    failed = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._process: QProcess | None = None
        self._error = b""
        self._answer = b""

    @property
    def is_going(self) -> bool:
        """Whether it is being made."""
        return self._process is not None

    def start(self, arguments: Sequence[str]) -> None:
        """Begin; `arguments` are those of `report`."""
        program, *rest = module_argv("tfx_workbench", "report", *arguments, "--json", "--progress")
        environment = QProcessEnvironment()
        for name, value in child_environment().items():
            environment.insert(name, value)
        self._error = self._answer = b""
        process = QProcess(self)
        process.setProcessEnvironment(environment)
        process.readyReadStandardError.connect(self._read)
        process.finished.connect(self._on_finished)
        process.errorOccurred.connect(self._on_error)
        self._process = process
        process.start(program, rest)

    def cancel(self) -> None:
        """End it without a word."""
        process, self._process = self._process, None
        if process is not None:
            process.blockSignals(True)
            process.kill()
            process.waitForFinished(_PATIENCE_MS)
            process.deleteLater()

    def _read(self) -> None:
        if self._process is None:
            return
        self._error += bytes(self._process.readAllStandardError().data())
        *lines, self._error = self._error.split(b"\n")
        for line in lines:
            try:
                done, of, title = json.loads(line)
            except ValueError:  # a warning of some library
                continue
            self.progressed.emit(int(done), int(of), str(title))

    def _on_finished(self, code: int, status: QProcess.ExitStatus) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        text = bytes(process.readAllStandardOutput().data()).decode("utf-8", "replace")
        process.deleteLater()
        try:
            answer = json.loads(text)
        except ValueError:
            answer = {}
        if code == 0 and "path" in answer:
            self.finished.emit(answer["path"])
            return
        problems = answer.get("problems") or []
        words = " ".join(f"{p.get('path', '')} {p.get('message', '')} {p.get('hint', '')}".strip() for p in problems)
        self.failed.emit(words or self.tr("The report could not be made: its process ended with code {code}.").format(
            code=code))

    def _on_error(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart and self._process is not None:
            words = self._process.errorString()
            self._process.deleteLater()
            self._process = None
            self.failed.emit(words)
