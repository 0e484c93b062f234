"""Errors that nobody caught: they are logged, the window says so in its message bar, and goes on."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import cast

from PySide6.QtCore import QMessageLogContext, QObject, QtMsgType, Signal, qInstallMessageHandler

from tfx_engine.protocol.private import private_opener

_log = logging.getLogger("tfx_workbench")
_KEPT_BYTES = 1_000_000


class ErrorHook(QObject):
    """Takes over `sys.excepthook` and its kin while it is installed; `caught` comes in the thread of the window."""

    caught = Signal(str, str)  # one line, whole traceback

    def __init__(self, log_file: Path | None = None) -> None:
        super().__init__()
        self._handler: logging.Handler | None = None
        self._log_file = log_file
        self._last = ""
        self._old_hooks: tuple[Callable[..., object], Callable[..., object]] | None = None

    def install(self) -> None:
        """Start catching."""
        if self._log_file is not None:
            self._handler = _file_handler(self._log_file)
            _log.addHandler(self._handler)
            _log.setLevel(logging.INFO)
        self._old_hooks = (sys.excepthook, threading.excepthook)
        sys.excepthook = self._on_error
        threading.excepthook = self._on_thread_error
        qInstallMessageHandler(_on_qt_message)

    def remove(self) -> None:
        """Give back what `install` took."""
        if self._old_hooks is not None:
            sys.excepthook, threading.excepthook = self._old_hooks
            self._old_hooks = None
        qInstallMessageHandler(None)
        if self._handler is not None:
            _log.removeHandler(self._handler)
            self._handler.close()
            self._handler = None

    def _on_error(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
            return
        line = f"{kind.__name__}: {error}"
        if line == self._last:  # an error in a paint event comes again with every frame
            return
        self._last = line
        whole = "".join(traceback.format_exception(kind, error, trace))
        _log.error("uncaught error\n%s", whole)
        self.caught.emit(line, whole)

    def _on_thread_error(self, args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            self._on_error(args.exc_type, args.exc_value, args.exc_traceback)


class _PrivateFile(logging.FileHandler):
    """A log that is its owner's alone: a traceback may quote anything."""

    def _open(self) -> TextIOWrapper:
        file = open(self.baseFilename, self.mode, encoding=self.encoding, opener=private_opener)  # noqa: SIM115
        return cast(TextIOWrapper, file)


def _file_handler(path: Path) -> logging.Handler:
    """A handler that starts the file again when it grew large."""
    try:
        if path.exists() and path.stat().st_size > _KEPT_BYTES:
            path.replace(path.with_suffix(".old.log"))
        handler: logging.Handler = _PrivateFile(path, encoding="utf-8", delay=True)
    except OSError:
        handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    return handler


def _on_qt_message(kind: QtMsgType, _context: QMessageLogContext, message: str) -> None:
    levels = {
        QtMsgType.QtDebugMsg: logging.DEBUG, QtMsgType.QtInfoMsg: logging.INFO, QtMsgType.QtWarningMsg: logging.WARNING,
        QtMsgType.QtCriticalMsg: logging.ERROR, QtMsgType.QtFatalMsg: logging.CRITICAL,
    }
    _log.log(levels.get(kind, logging.WARNING), "Qt: %s", message)
