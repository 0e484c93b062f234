"""One docked panel: the panel's own head is the bar by which it is dragged, and the whole is one quiet card."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QRectF, Qt
from PySide6.QtGui import QColor, QContextMenuEvent, QEnterEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QDockWidget, QHBoxLayout, QLabel, QMenu, QPushButton, QWidget

from tfx_workbench.exhibits.palette import LIGHT, Palette
from tfx_workbench.widgets.panel import Panel
from tfx_workbench.widgets.restyling import restyle
from tfx_workbench.widgets.words import plain_tip

_RADIUS = 8.0


class CardDock(QDockWidget):
    """Holds one panel. Its `objectName` is the panel's name, under which its place is remembered."""

    def __init__(self, panel: Panel, parent: QWidget) -> None:
        super().__init__(panel.title, parent)
        self.panel = panel
        self._colours: Palette = LIGHT
        self.setObjectName(panel.name)
        self.setAccessibleName(panel.title)
        self.setFeatures(
            QDockWidget.DockWidgetFeature.DockWidgetMovable | QDockWidget.DockWidgetFeature.DockWidgetClosable
            | QDockWidget.DockWidgetFeature.DockWidgetFloatable
        )
        self.setWidget(panel)
        self._bar = _TitleBar(self, _head_of(panel))
        self.setTitleBarWidget(self._bar)

    def apply_theme(self, palette: Palette) -> None:
        """Take on these colours."""
        self._colours = palette
        self.panel.apply_theme(palette)
        self.update()

    def enterEvent(self, event: QEnterEvent) -> None:
        self._bar.show_close(True)
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        self._bar.show_close(False)
        super().leaveEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.fillRect(self.rect(), QColor(self._colours.background))
            painter.setPen(QPen(QColor(self._colours.line), 1))
            painter.setBrush(QColor(self._colours.card))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), _RADIUS, _RADIUS)


class _TitleBar(QWidget):
    """The head of the panel with a way to close it; a right click offers to float it."""

    def __init__(self, dock: CardDock, head: QWidget) -> None:
        super().__init__(dock)
        self._dock = dock
        self.setToolTip("")
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 8, 6, 0)
        row.setSpacing(4)
        row.addWidget(head, 1)
        self._close = QPushButton("×")
        self._close.setObjectName("disclosure")
        self._close.setAccessibleName(self.tr("Close {title}").format(title=dock.windowTitle()))
        self._close.setToolTip(plain_tip(self.tr("Close this panel; the View menu brings it back.")))
        self._close.setFixedSize(20, 20)
        self._close.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._close.clicked.connect(dock.close)
        keep = self._close.sizePolicy()
        keep.setRetainSizeWhenHidden(True)
        self._close.setSizePolicy(keep)
        self._close.hide()
        row.addWidget(self._close, 0, Qt.AlignmentFlag.AlignTop)

    def show_close(self, on: bool) -> None:
        """Offer to close the panel: only where the mouse is, the others stay quiet."""
        self._close.setVisible(on)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        floating = self._dock.isFloating()
        menu.addAction(self.tr("Dock") if floating else self.tr("Float"), lambda: self._dock.setFloating(not floating))
        menu.addAction(self.tr("Close"), self._dock.close)
        menu.addSeparator()
        self._dock.panel.add_export_items(menu)
        menu.popup(event.globalPos())


def _head_of(panel: Panel) -> QWidget:
    """The panel's own head, taken out of its card; a plain title where it has none."""
    view = getattr(panel, "view", None)
    head = getattr(view, "header", None)
    if view is None or head is None:
        title = QLabel(panel.title)
        title.setObjectName("cardTitle")
        return title
    view.setObjectName("dockedCard")  # the dock paints the card now
    restyle(view)
    layout = view.layout()
    margins = layout.contentsMargins()
    layout.setContentsMargins(margins.left(), 2, margins.right(), margins.bottom())
    return head  # type: ignore[no-any-return]
