"""The tabs of docks that lie upon each other: where there is no room for all they scroll, and no word is cut."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QRect, Qt
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QTabBar, QToolButton

from tfx_workbench.exhibits.palette import LIGHT, Palette

_PADDING = 8  # px beside a word, as in the style sheet
_LINE = 2  # px under the tab in front


class DockTabs(QObject):
    """Paints tab bars that Qt makes itself, as `adopt` hands them over. Half a tab at an edge gets "…", not half a
    letter."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._palette: Palette = LIGHT

    def set_palette(self, palette: Palette) -> None:
        """Take on the colours of a theme."""
        self._palette = palette

    def adopt(self, bar: QTabBar) -> None:
        """Make a bar one of these."""
        bar.setElideMode(Qt.TextElideMode.ElideNone)
        bar.setUsesScrollButtons(True)
        bar.setExpanding(False)
        bar.setMouseTracking(True)
        bar.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint and isinstance(watched, QTabBar):
            self._paint(watched)
            return True
        if event.type() in (QEvent.Type.HoverMove, QEvent.Type.HoverLeave) and isinstance(watched, QTabBar):
            watched.update()
        return False

    def _paint(self, bar: QTabBar) -> None:
        with QPainter(bar) as painter:
            under = bar.tabAt(bar.mapFromGlobal(bar.cursor().pos())) if bar.underMouse() else -1
            for index, (box, text, _) in enumerate(words_of(bar)):
                is_front = index == bar.currentIndex()
                painter.setPen(QColor(self._palette.text if is_front or index == under else self._palette.muted))
                painter.drawText(box.adjusted(_PADDING, 0, 0, -_LINE), Qt.AlignmentFlag.AlignVCenter, text)
                if is_front and not box.isEmpty():
                    line = QRect(box.left(), box.bottom() - _LINE + 1, box.width(), _LINE)
                    painter.fillRect(line, QColor(self._palette.accent))


def words_of(bar: QTabBar) -> list[tuple[QRect, str, bool]]:
    """Of each tab what is to be seen of it: its place, as much of its title as fits there, and whether that is all."""
    arrows = [b.x() for b in bar.findChildren(QToolButton) if b.isVisible()]
    room = QRect(0, 0, min(arrows, default=bar.width()), bar.height())
    found = []
    for index in range(bar.count()):
        whole = bar.tabRect(index)
        seen = whole.intersected(room)
        mode = Qt.TextElideMode.ElideLeft if whole.left() < seen.left() else Qt.TextElideMode.ElideRight
        title = bar.tabText(index)
        text = bar.fontMetrics().elidedText(title, mode, max(0, seen.width() - 2 * _PADDING))
        found.append((seen, text, text == title))
    return found
