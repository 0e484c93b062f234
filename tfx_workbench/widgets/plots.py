"""The canvas: all plots of one exhibit in one graphics view. Imports pyqtgraph (0.2 to 0.7 s): import late.

Mouse: hovering reads values off, the wheel zooms, dragging pans, a double click shows everything. Keyboard: arrows walk
from value to value, + and - zoom, Home shows everything, Escape leaves; Enter or a click chooses a point.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QContextMenuEvent, QHideEvent, QKeyEvent, QMouseEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QWidget

from tfx_workbench.exhibits.exhibit import Marker, Plot
from tfx_workbench.exhibits.palette import DARK, Palette
from tfx_workbench.exhibits.readout import Readout, neighbour, point_at, read
from tfx_workbench.widgets.exhibit_words import said
from tfx_workbench.widgets.hover_box import HoverBox
from tfx_workbench.widgets.plot_frame import PlotFrame
from tfx_workbench.widgets.plot_items import brush

_GAP = 8.0  # px between plots
_ZOOM = 0.7
_STILL, _NEAR = 4.0, 12.0  # px that a click may move, and be away from the point that is meant
_SHAPE = 1.6  # width / height of a plot at its best


class PlotCanvas(pg.GraphicsView):
    """Shows a tuple of `Plot`s; frames are kept as long as the keys of the plots stay the same."""

    chosen = Signal(str, str)  # a point was clicked: name of a choice, key of its option
    menu_wanted = Signal(object)  # place on the screen
    looked_at = Signal(str, object)  # key of a plot; (low, high) of x that is shown of it, None: all

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, background=DARK.card)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAntialiasing(False)
        self.setMouseTracking(True)
        self._palette = DARK
        self._plots: tuple[Plot, ...] = ()
        self._frames: dict[str, PlotFrame] = {}
        self._hover = HoverBox(self)
        self._reading: tuple[str, float, float] | None = None  # key of the plot, x, y
        self._pressed: QPointF | None = None
        self._closed = False

    @property
    def frames(self) -> dict[str, PlotFrame]:
        """The frame of each plot, by its key."""
        return self._frames

    @property
    def hover(self) -> HoverBox:
        """The box with the values under the mouse."""
        return self._hover

    # ------------------------------------------------------------------ data

    def show_plots(self, plots: tuple[Plot, ...], palette: Palette) -> None:
        """Take on new data and colours."""
        self._plots, self._palette = plots, palette
        self._hover.apply_theme(palette)
        self.setBackgroundBrush(brush(palette.card))
        if [p.key for p in plots] != list(self._frames):
            self._make_frames()
        for plot in plots:
            self._frames[plot.key].show_plot(plot, palette)
        # Transforms that only change while it paints make Qt paint everything a second time.
        self.scene().prepareForPaint()
        if self._reading is not None:
            self._read(*self._reading)

    def _make_frames(self) -> None:
        self._drop_frames()
        for plot in self._plots:
            frame = PlotFrame(self._palette)
            self.scene().addItem(frame)
            self._frames[plot.key] = frame
            frame.looked_at.connect(functools.partial(self.looked_at.emit, plot.key))
        self._arrange()

    def _drop_frames(self) -> None:
        self._leave()
        for frame in self._frames.values():
            frame.close_frame()
            self.scene().removeItem(frame)
        self._frames = {}

    def close_canvas(self) -> None:
        """Take everything down in order; what is left to the interpreter's end crashes now and then."""
        if not self._closed:
            self._closed = True
            self._drop_frames()
            self._hover.setParent(None)
            self._hover.deleteLater()
            self.close()

    # ------------------------------------------------------------------ layout

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        if getattr(self, "_frames", None):
            self._arrange()

    def _arrange(self) -> None:
        width, height, count = float(self.width()), float(self.height()), len(self._frames)
        columns = min(range(1, count + 1), key=lambda c: _misfit(width, height, count, c), default=1)
        rows = math.ceil(count / columns)
        cell_h = (height - (rows - 1) * _GAP) / rows
        for i, frame in enumerate(self._frames.values()):
            row, column = divmod(i, columns)
            in_row = min(columns, count - row * columns)  # those of the last row share its width
            cell_w = (width - (in_row - 1) * _GAP) / in_row
            frame.setGeometry(QRectF(column * (cell_w + _GAP), row * (cell_h + _GAP), cell_w, cell_h))
            frame.refresh()

    # ------------------------------------------------------------------ reading values off

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        super().mouseMoveEvent(event)
        self.hover_at(event.position())

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self._leave()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        if not self._closed:
            self._leave()

    def hover_at(self, place: QPointF) -> None:
        """Read off what is at a place in this widget's pixels."""
        for key, frame in self._frames.items():
            inner = frame.mapFromScene(self.mapToScene(place.toPoint()))
            if frame.data_rect().contains(inner):
                self._read(key, *frame.to_values(inner))
                return
        self._leave()

    def _read(self, key: str, x: float, y: float) -> None:
        plot = next((p for p in self._plots if p.key == key), None)
        readout = read(plot, x, y) if plot is not None else None
        if readout is None:
            self._leave()
            return
        self._reading = (key, x, y)
        for other, frame in self._frames.items():
            frame.overlay.set_cross(readout.x if other == key else None)
        self._show_readout(self._frames[key], readout, y)

    def _show_readout(self, frame: PlotFrame, readout: Readout, y: float) -> None:
        place = self.mapFromScene(frame.mapToScene(frame.to_pixels(readout.x, y)))
        rows = [(r.colour, said(r.label), r.value) for r in readout.readings]
        self._hover.show_at(place, said(readout.heading), rows)

    def _leave(self) -> None:
        self._reading = None
        self._hover.hide()
        for frame in self._frames.values():
            frame.overlay.set_cross(None)

    # ------------------------------------------------------------------ choosing points

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._pressed = event.position()
        super().mousePressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        super().mouseReleaseEvent(event)
        pressed, self._pressed = self._pressed, None
        if pressed is None or (event.position() - pressed).manhattanLength() > _STILL:
            return
        if event.button() == Qt.MouseButton.LeftButton:
            self.click_at(event.position())
        elif event.button() == Qt.MouseButton.RightButton:
            self.menu_wanted.emit(event.globalPosition().toPoint())

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        # With the mouse the menu comes with the release: dragging with the right button zooms.
        if event.reason() != QContextMenuEvent.Reason.Mouse:
            self.menu_wanted.emit(event.globalPos())
        event.accept()

    def click_at(self, place: QPointF) -> None:
        """Choose the point at a place in this widget's pixels, where there is one that chooses anything."""
        for key, frame in self._frames.items():
            inner = frame.mapFromScene(self.mapToScene(place.toPoint()))
            plot = next((p for p in self._plots if p.key == key), None)
            if plot is None or not frame.data_rect().contains(inner):
                continue
            point = point_at(plot, *frame.to_values(inner))
            if point is not None:
                up = math.log10(point.y) if plot.y.log and point.y > 0 else point.y
                if (frame.to_pixels(point.x, up) - inner).manhattanLength() <= _NEAR:
                    self._choose(point)

    def _choose(self, point: Marker | None) -> None:
        if point is not None and point.chooses:
            self.chosen.emit(point.chooses, point.choice)

    # ------------------------------------------------------------------ keyboard

    def keyPressEvent(self, event: QKeyEvent) -> None:
        match event.key():
            case Qt.Key.Key_Left:
                self._walk(-1)
            case Qt.Key.Key_Right:
                self._walk(1)
            case Qt.Key.Key_Plus | Qt.Key.Key_Equal:
                self._each_frame("zoom", _ZOOM)
            case Qt.Key.Key_Minus:
                self._each_frame("zoom", 1 / _ZOOM)
            case Qt.Key.Key_Home:
                self._each_frame("reset_zoom")
            case Qt.Key.Key_Return | Qt.Key.Key_Enter if self._reading is not None:
                key, x, y = self._reading
                plot = next((p for p in self._plots if p.key == key), None)
                self._choose(point_at(plot, x, y) if plot is not None else None)
            case Qt.Key.Key_Escape:
                self._leave()
            case _:
                super().keyPressEvent(event)
                return
        event.accept()

    def _each_frame(self, method: str, *args: Any) -> None:
        for frame in self._frames.values():
            getattr(frame, method)(*args)

    def _walk(self, direction: int) -> None:
        if not self._plots:
            return
        key, x, y = self._reading or (self._plots[0].key, math.inf if direction < 0 else -math.inf, math.nan)
        plot = next((p for p in self._plots if p.key == key), self._plots[0])
        following = neighbour(plot, x, direction)
        if following is not None:
            middle = sum(self._frames[plot.key].view.viewRange()[1]) / 2
            self._read(plot.key, following, middle if math.isnan(y) else y)


def _misfit(width: float, height: float, count: int, columns: int) -> float:
    """How far plots in that many columns are from a good shape; uneven rows count a little, too."""
    rows = math.ceil(count / columns)
    shape = (width / columns) / max(1.0, height / rows)
    return abs(math.log(max(shape, 1e-6) / _SHAPE)) + 0.3 * (rows * columns - count)
