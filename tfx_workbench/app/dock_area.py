"""The centre of the window: the panels as docks, their arrangement, and who is drawn when.

One timer, 30 times a second, looks which visible panels show something that changed, and draws as many of them as fit
into its time; the others are drawn a frame later. What is hidden is not drawn.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence

from PySide6.QtCore import QByteArray, QChildEvent, QObject, QSize, Qt, QTimer, Signal
from PySide6.QtWidgets import QMainWindow, QTabBar, QWidget

from tfx_workbench.app.dock import CardDock
from tfx_workbench.app.dock_tabs import DockTabs
from tfx_workbench.exhibits.palette import Palette
from tfx_workbench.exhibits.runview import RunView
from tfx_workbench.widgets.panel import Panel

FRAME_MS = 33
FRAME_BUDGET_MS = 14.0
COLUMNS = 3
IN_FRONT = 2 * COLUMNS  # panels that an arrangement begins with; further ones are behind them


class DockArea(QMainWindow):
    """A window within the window that holds nothing but docks."""

    probe_wanted = Signal(object, int, int)
    start_wanted = Signal(str, str)
    choices_changed = Signal(str, dict)
    export_wanted = Signal(object, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowFlags(Qt.WindowType.Widget)
        self.setDockNestingEnabled(True)
        self.setDockOptions(QMainWindow.DockOption.AllowNestedDocks | QMainWindow.DockOption.AllowTabbedDocks)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.NoContextMenu)
        self.docks: dict[str, CardDock] = {}
        self._tabs = DockTabs(self)

    def childEvent(self, event: QChildEvent) -> None:
        """Qt makes tab bars for docks as it needs them."""
        child = event.child()
        if event.polished() and isinstance(child, QTabBar):
            self._tabs.adopt(child)
        super().childEvent(event)

    def add_panels(self, panels: Sequence[Panel]) -> None:
        """Dock these panels in the arrangement that the window starts with."""
        for panel in panels:
            self.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, self._make(panel))
        self.arrange()

    def _make(self, panel: Panel) -> CardDock:
        self.docks[panel.name] = dock = CardDock(panel, self)
        panel.probe_wanted.connect(self.probe_wanted)
        panel.start_wanted.connect(self.start_wanted)
        panel.export_wanted.connect(self.export_wanted)
        panel.choices_changed.connect(lambda p=panel: self.choices_changed.emit(p.name, p.choices()))
        return dock

    def add_behind(self, panel: Panel) -> None:
        """Dock one more panel where it was, or as a tab behind those of the last row."""
        before = list(self.docks.values())
        fronts = [dock for dock in before if not dock.visibleRegion().isEmpty()]
        dock = self._make(panel)
        if not self.restoreDockWidget(dock):
            self.tabifyDockWidget(before[COLUMNS + len(before) % COLUMNS], dock)
            for front in fronts:
                front.raise_()

    def arrange(self) -> None:
        """All panels in two rows of three, further ones as tabs upon the last ones."""
        docks = list(self.docks.values())
        for dock in docks:
            dock.setFloating(False)
            self.removeDockWidget(dock)
        rows = [docks[i : i + COLUMNS] for i in range(0, 2 * COLUMNS, COLUMNS) if docks[i : i + COLUMNS]]
        for i, row in enumerate(rows):  # the rows first: then one separator runs between them from left to right
            if i == 0:
                self.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, row[0])
            else:
                self.splitDockWidget(rows[i - 1][0], row[0], Qt.Orientation.Vertical)
        for row in rows:
            for left, right in itertools.pairwise(row):
                self.splitDockWidget(left, right, Qt.Orientation.Horizontal)
        for i, dock in enumerate(docks[IN_FRONT:]):
            self.tabifyDockWidget(docks[COLUMNS + i % COLUMNS], dock)
        for dock in docks:
            dock.show()
        self._even_out(rows)
        for dock in docks[COLUMNS : 2 * COLUMNS]:
            dock.raise_()

    def _even_out(self, rows: Sequence[Sequence[CardDock]]) -> None:
        for row in rows:
            self.resizeDocks(list(row), [max(1, self.width() // len(row))] * len(row), Qt.Orientation.Horizontal)
        first = [row[0] for row in rows]
        self.resizeDocks(first, [max(1, self.height() // max(1, len(rows)))] * len(first), Qt.Orientation.Vertical)

    def restore(self, state: QByteArray | None, size: QSize | None = None) -> bool:
        """Take back an arrangement; False (and the arrangement of the start) where it is none.

        `size` is the size that the area had then. Qt restores widths in pixels and gives what is left to the first
        column; an area that changes its size shares it out.
        """
        if state is None:
            return False
        now = self.size()
        if size is not None and size.isValid():
            self.resize(size)
        done = self.restoreState(state)
        self.resize(now)
        return done

    def apply_theme(self, palette: Palette) -> None:
        """Take on these colours."""
        self._tabs.set_palette(palette)
        for dock in self.docks.values():
            dock.apply_theme(palette)

    def close_panels(self) -> None:
        """Take the panels down, one by one, before Qt does it in an order of its own."""
        for dock in self.docks.values():
            dock.panel.close_panel()
            self.removeDockWidget(dock)
            dock.deleteLater()
        self.docks.clear()


class Frames(QObject):
    """Draws what changed. `views` gives the runs to show, `hold` is entered while they are read."""

    def __init__(
        self, area: DockArea, views: Callable[[], Sequence[RunView]], hold: Callable[[], bool],
        release: Callable[[], None], parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._area, self._views, self._hold, self._release = area, views, hold, release
        self._dirty: dict[str, bool] = {}
        self._last = 0
        self._any = True
        self._timer = QTimer(self)
        self._timer.setInterval(FRAME_MS)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self.draw)

    def start(self) -> None:
        """Begin drawing."""
        self.mark_all()
        self._timer.start()

    def stop(self) -> None:
        """Draw no more."""
        self._timer.stop()

    def mark_all(self) -> None:
        """Which runs are shown has changed: every panel is out of date."""
        self._dirty = dict.fromkeys(self._area.docks, True)

    def show_whether_any(self, there_is: bool) -> None:
        """Whether there is any run at all: where there is none, the panels say how to get one."""
        if there_is != self._any:
            self._any = there_is
            self.mark_all()

    def mark(self, what: frozenset[str]) -> None:
        """These parts of a shown run changed."""
        for name, dock in self._area.docks.items():
            if dock.panel.needs & what:
                self._dirty[name] = True

    def draw(self) -> None:
        """Draw panels that are out of date until the time of a frame is used up; the next frame goes on from there."""
        waiting = [name for name in self._round() if self._dirty.get(name) and _is_seen(self._area.docks[name])]
        if not waiting or not self._hold():
            return
        try:
            start, views = time.perf_counter(), self._views()
            for name in waiting:
                self._dirty[name] = False
                self._last = list(self._area.docks).index(name)
                panel = self._area.docks[name].panel
                panel.nothing_run = not self._any
                panel.update_runs(views)
                if (time.perf_counter() - start) * 1000 > FRAME_BUDGET_MS:
                    break
        finally:
            self._release()

    def _round(self) -> list[str]:
        """The panels, beginning after the one that was drawn last, so that each gets its turn."""
        names = list(self._area.docks)
        return names[self._last + 1 :] + names[: self._last + 1]


def _is_seen(dock: CardDock) -> bool:
    return dock.panel.isVisible() and not dock.panel.visibleRegion().isEmpty()
