"""Experiments from the window: the command `experiment` in a process of its own, so that nothing here waits for it."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, QProcess, QProcessEnvironment, Signal

from tfx_engine.protocol.launch import child_environment, module_argv

_PATIENCE_MS = 2000
_TAIL = 2000  # letters of what it said


class ExperimentProcess(QObject):
    """At most one at a time. What was measured is in the store, whatever becomes of the process."""

    changed = Signal()  # one began, or ended
    failed = Signal(str, str)  # number, what it said last; before `changed`

    def __init__(self, store: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._store = store
        self._process: QProcess | None = None
        self._is_stopping = False
        self.number = ""  # of the experiment that is going; empty where none is

    def start(self, number: str) -> bool:
        """Measure what is left of an experiment; False where one is going already."""
        if self._process is not None:
            return False
        program, *arguments = module_argv("tfx_workbench", "experiment", number, "--store", str(self._store))
        environment = QProcessEnvironment()
        for name, value in child_environment().items():
            environment.insert(name, value)
        process = QProcess(self)
        process.setProcessEnvironment(environment)
        process.setStandardOutputFile(QProcess.nullDevice())
        process.finished.connect(self._on_finished)
        process.errorOccurred.connect(self._on_error)
        self._process, self.number, self._is_stopping = process, number, False
        process.start(program, arguments)
        self.changed.emit()
        return True

    def stop(self) -> None:
        """Stop it; its run ends as interrupted, and what was measured before is kept."""
        self._is_stopping = True
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """Stop it and wait for its end."""
        process, self._process = self._process, None
        if process is not None:
            process.finished.disconnect(self._on_finished)
            process.errorOccurred.disconnect(self._on_error)
            process.kill()
            process.waitForFinished(_PATIENCE_MS)

    def _on_error(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:  # then `finished` never comes
            self._end(-1, self._process.errorString() if self._process else "")

    def _on_finished(self, code: int, _status: object) -> None:
        said = bytes(self._process.readAllStandardError().data()) if self._process else b""
        self._end(code, said.decode(errors="replace")[-_TAIL:].strip())

    def _end(self, code: int, said: str) -> None:
        process, self._process = self._process, None
        number, self.number = self.number, ""
        if process is not None:
            process.deleteLater()
        if code and not self._is_stopping:
            self.failed.emit(number, said.splitlines()[-1] if said else "")
        self.changed.emit()
