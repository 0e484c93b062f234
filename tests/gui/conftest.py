"""Every GUI test leaves the application as it found it: no window, no dialog, nothing left to delete."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from PySide6 import QtCore, QtWidgets
from shiboken6 import isValid


@pytest.fixture(autouse=True)
def tidy_application(qapp: QtWidgets.QApplication, request: pytest.FixtureRequest) -> Iterator[None]:
    """Close what the test left open, flush deferred deletion, and fail where a dialog was left waiting."""
    before = set(qapp.topLevelWidgets())
    yield
    dialog = qapp.activeModalWidget()
    for window in set(qapp.topLevelWidgets()) - before:
        if isValid(window) and window.isVisible():  # one may go with another
            window.close()
    qapp.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)
    qapp.processEvents()
    gc.collect()
    if dialog is not None:
        pytest.fail(f"{request.node.name} left a modal dialog open: {dialog.windowTitle()!r}")
