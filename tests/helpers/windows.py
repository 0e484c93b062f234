"""Whole windows to test, with a home, a library and an engine service of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QApplication

from tfx_workbench.app.settings import Settings
from tfx_workbench.app.theme import Theme
from tfx_workbench.app.window import MainWindow
from tfx_workbench.session.draft import Draft
from tfx_workbench.session.session import Session
from tfx_workbench.widgets.exhibit_view import ExhibitView

PATIENCE_S = 120.0  # far more than anything takes


def wait(condition: Callable[[], Any], what: str = "", timeout_s: float = PATIENCE_S) -> Any:
    """Run the event loop until the condition gives something true, and return that."""
    deadline = time.monotonic() + timeout_s
    while True:
        QCoreApplication.processEvents()
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what or condition}"
        time.sleep(0.005)


def spend(seconds: float) -> None:
    """Run the event loop for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QCoreApplication.processEvents()
        time.sleep(0.005)


@contextmanager
def window(
    home: Path, *, begun: bool = True, engine: bool = False, size: tuple[int, int] = (1280, 800)
) -> Iterator[MainWindow]:
    """A window over the library `home/runs`; with `engine` it starts the service as in real life."""
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    settings = Settings(home)
    theme = Theme(app, settings.theme)
    draft = Draft()
    draft.restore(settings.draft())
    session = Session(home / "runs", draft, "finish")
    if not engine:
        session.engine.start = lambda: None  # type: ignore[method-assign]
    made = MainWindow(session, settings, theme)
    made.resize(*size)
    made.show()
    try:
        if begun:
            made.begin()
            while not made.is_whole:
                made.add_behind()
        QCoreApplication.processEvents()
        yield made
    finally:
        made.close()
        made.deleteLater()
        theme.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        QCoreApplication.processEvents()


def seen_views(made: MainWindow) -> dict[str, ExhibitView]:
    """The exhibits in front, by the name of their panel; those behind tabs are not drawn."""
    panels = {name: dock.panel for name, dock in made.area.docks.items()}
    return {name: panel.view for name, panel in panels.items()  # type: ignore[attr-defined]
            if panel.isVisible() and not panel.visibleRegion().isEmpty()}


def drawn_views(made: MainWindow) -> dict[str, ExhibitView]:
    """Of those the ones that have something to show, and show it."""
    return {name: view for name, view in seen_views(made).items() if view.exhibit is not None and not view.empty_text}


def all_drawn(made: MainWindow) -> bool:
    """Whether every panel in front shows something."""
    return bool(seen_views(made)) and drawn_views(made).keys() == seen_views(made).keys()
