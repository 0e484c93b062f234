"""F6: the keyboard goes from pane to pane, from the top bar over the form and the panels to the runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QApplication, QWidget

if TYPE_CHECKING:
    from tfx_workbench.app.window import MainWindow

_REASON = Qt.FocusReason.ShortcutFocusReason


class Panes(QObject):
    """The parts of one window in the order of F6."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window

    def go(self, step: int) -> None:
        """Put the keyboard into the next pane (1) or the one before (-1) that can take it."""
        panes = self._panes()
        focus = QApplication.focusWidget()
        start = -1 if step > 0 else 0
        here = next((i for i, pane in enumerate(panes) if focus is not None and _contains(pane, focus)), start)
        for i in range(1, len(panes) + 1):
            if self._enter(panes[(here + step * i) % len(panes)]):
                return

    def _panes(self) -> list[QWidget]:
        window = self._window
        page = [window.pages.pane.page] if window.pages.pane is not None else []
        return [window.top, window.pane, *page, *window.area.docks.values(), window.table]

    def _enter(self, pane: QWidget) -> bool:
        if not pane.isVisible() or pane.visibleRegion().isEmpty():
            return False
        if pane is self._window.table:
            self._window.table.take_focus()
            return True
        target = next((w for w in (pane, *pane.findChildren(QWidget)) if _takes_keys(w)), None)
        if target is not None:
            target.setFocus(_REASON)
        return target is not None


def _contains(pane: QWidget, widget: QWidget) -> bool:
    return pane is widget or pane.isAncestorOf(widget)


def _takes_keys(widget: QWidget) -> bool:
    return widget.isVisible() and widget.isEnabled() and bool(widget.focusPolicy() & Qt.FocusPolicy.TabFocus)
