"""`main`: from nothing to a usable window in well under a second.

Nothing that is slow is imported before the window was painted: no pyqtgraph, no engine client, never torch.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from tfx_workbench.app.allocator import settle
from tfx_workbench.app.display import sentence_instead_of_abort
from tfx_workbench.app.errors import ErrorHook
from tfx_workbench.app.file_open import FileOpenEvents
from tfx_workbench.app.settings import Settings
from tfx_workbench.app.theme import Theme

if TYPE_CHECKING:
    from tfx_workbench.app.window import MainWindow

LOG_FILE = "window.log"
APP_ID = "io.github.tfxworkbench.workbench"  # of the desktop entry: whose icon and name a window's are
SIGNAL_POLL_MS = 200  # Python looks at Ctrl-C only between its own instructions


def main(
    files: Sequence[str] = (), store: str | Path | None = None, demo: bool = False, headless: bool = False,
    screenshot: str | Path | None = None,
) -> int:
    """Open the window and stay until it is closed; the exit code.

    `demo` runs the five-technique comparison by itself. With `headless` or `screenshot` the program ends when that is
    done; the picture is saved as `screenshot`, in both themes where the name contains `{theme}`.
    """
    settle()
    app = make_application(headless)
    settings = Settings()
    settings.is_kept = not headless  # a picture taken on the side must not change what somebody left in the form
    errors = ErrorHook(settings.folder / LOG_FILE)
    errors.install()
    try:
        return _run(app, settings, errors, list(files), store, demo, headless, screenshot)
    finally:
        errors.remove()


def make_application(headless: bool = False) -> QApplication:
    """The application; without a display where `headless`."""
    existing = QApplication.instance()
    if isinstance(existing, QApplication):
        return existing
    arguments = ["tfx-workbench", *(["-platform", "offscreen"] if headless else [])]
    with sentence_instead_of_abort():
        app = QApplication(arguments)
    app.setApplicationName("tfx-workbench")
    app.setApplicationDisplayName("TFX Workbench")
    app.setDesktopFileName(APP_ID)
    return app


def _run(
    app: QApplication, settings: Settings, errors: ErrorHook, files: list[str], store: str | Path | None, demo: bool,
    headless: bool, screenshot: str | Path | None,
) -> int:
    from tfx_engine.runfile.store import default_store
    from tfx_workbench.app.remembering import WINDOW_SIZE
    from tfx_workbench.app.window import MainWindow
    from tfx_workbench.session.draft import Draft
    from tfx_workbench.session.session import Session

    theme = Theme(app, settings.theme)
    draft = Draft()
    draft.restore(settings.draft())
    on_disconnect = "stop" if headless else settings.on_disconnect  # nobody would see what goes on after the end
    session = Session(Path(store) if store else default_store(), draft, on_disconnect)
    window = MainWindow(session, settings, theme)
    errors.caught.connect(lambda line, _whole: window.say_error(line, settings.folder / LOG_FILE))
    window.closed.connect(app.quit)
    signals = _end_on_signals(app, window)
    FileOpenEvents(app, session.open)
    if headless:
        window.resize(WINDOW_SIZE)  # a display that is not there is small
    window.show()
    QTimer.singleShot(0, window, lambda: _begin(window, files))
    if demo or screenshot:
        from tfx_workbench.app.demo import Demo

        Demo(window, demo=demo, screenshot=str(screenshot) if screenshot else "", ends=headless or bool(screenshot))
    app.setQuitOnLastWindowClosed(True)
    code = app.exec()
    window.close()
    window.deleteLater()
    app.processEvents()
    return 128 + signals[0] if headless and signals else code


def _begin(window: MainWindow, files: list[str]) -> None:
    window.repaint()
    window.begin()
    if files:
        window.session.open(files)


def _end_on_signals(app: QApplication, window: MainWindow) -> list[int]:
    """Ctrl-C and a polite kill close the window in its proper order; the signals that came.

    The handler only takes a note: it may run in the middle of anything, also of drawing, which holds the runs' locks.
    """
    asked: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _frame: asked.append(number))
    timer = QTimer(app)
    timer.timeout.connect(lambda: window.close() if asked else None)
    timer.start(SIGNAL_POLL_MS)
    return asked


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
