"""Paints any `Exhibit` as a quiet card: head, plots or tables or what to do when there is nothing, legend, notes.

pyqtgraph is imported when there is the first plot to paint, so that the window is up before it.
"""

from __future__ import annotations

import functools
import gc
import importlib
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QContextMenuEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QLabel, QMenu, QVBoxLayout, QWidget

from tfx_workbench.exhibits.exhibit import Exhibit, HeatMap
from tfx_workbench.exhibits.format import number, with_unit
from tfx_workbench.exhibits.kind import Choice
from tfx_workbench.exhibits.palette import DARK, Palette
from tfx_workbench.exhibits.ranges import colour_limits
from tfx_workbench.widgets.card import CardHeader, ElidedLabel
from tfx_workbench.widgets.exhibit_words import said
from tfx_workbench.widgets.export_menu import add_export_items
from tfx_workbench.widgets.legend_bar import Entry, LegendBar, Scale
from tfx_workbench.widgets.table_view import TableView

if TYPE_CHECKING:
    from tfx_workbench.widgets.plots import PlotCanvas

_SLICE_S = 0.008  # of the GUI thread at a time
_LOW, _LOWEST = 240, 170  # px of height, under which the legend has one line, and notes have none


@functools.cache
def warm_up() -> None:
    """Begin to bring in pyqtgraph: Qt's classes in the GUI thread, a few at a time, then the rest beside it.

    PySide makes each class when it is first touched, and pyqtgraph touches them all. Where another thread did that
    while a widget was made, the program could end with a segmentation fault (seen once in some thousand starts).
    """
    classes = ((module, name) for module in (QtCore, QtGui, QtWidgets) for name in dir(module))

    def few() -> None:
        begun_s = time.monotonic()
        for module, name in classes:
            getattr(module, name)
            if time.monotonic() - begun_s > _SLICE_S:
                QtCore.QTimer.singleShot(0, few)
                return
        threading.Thread(target=_import_plots, name="plots").start()

    QtCore.QTimer.singleShot(0, few)


def _import_plots() -> None:
    """Nothing is collected meanwhile: a collection of garbage in the GUI thread that comes upon a class half made ends
    the program with a segmentation fault (seen once in some hundred starts).
    """
    is_on = gc.isenabled()
    gc.disable()
    try:
        importlib.import_module("tfx_workbench.widgets.plots")
    finally:
        if is_on:
            gc.enable()


class ExhibitView(QFrame):
    """A card with one exhibit. `show_exhibit` updates in place; `close_view` takes the plots down."""

    chosen = Signal(str, str)  # name of a choice, key of its option
    export_wanted = Signal(object, str)  # the exhibit, and what `export_menu` offers of it
    looked_at = Signal(str, object)  # key of a plot; (low, high) of x that is shown of it, None: all

    def __init__(self, title: str, choices: Sequence[Choice] = (), parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("card")
        self._palette = DARK
        self._exhibit: Exhibit | None = None
        self.header = CardHeader(title, choices, self)
        self.header.chosen.connect(self.chosen)
        self.legend = LegendBar(self)
        self.legend.hide()
        self._canvas: PlotCanvas | None = None
        self._table: TableView | None = None
        self._own_body: QWidget | None = None
        self._empty = QLabel(self)
        self._empty.setObjectName("empty")
        self._empty.setTextFormat(Qt.TextFormat.PlainText)
        self._empty.setWordWrap(True)
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._note = ElidedLabel(self)
        self._note.setObjectName("muted")
        font = self._note.font()
        font.setPointSizeF(max(7.0, font.pointSizeF() - 1))
        self._note.setFont(font)
        self._note.hide()
        self._box = QVBoxLayout(self)
        self._box.setContentsMargins(12, 8, 12, 8)
        self._box.setSpacing(4)
        self._box.addWidget(self.header)
        self._box.addWidget(self._empty, 1)
        self._box.addWidget(self.legend)
        self._box.addWidget(self._note)
        self.setAccessibleName(title)

    @property
    def canvas(self) -> PlotCanvas | None:
        """The plots, where there were any to paint so far."""
        return self._canvas

    @property
    def exhibit(self) -> Exhibit | None:
        """What is shown, once there is anything."""
        return self._exhibit

    @property
    def empty_text(self) -> str:
        """What the card says instead of a picture; "" where there is a picture."""
        return self._empty.text() if not self._empty.isHidden() else ""

    def add_export_items(self, menu: QMenu) -> None:
        """Offer to save or copy what is shown now, where there is anything."""
        shown = self._exhibit
        if shown is not None and not shown.empty:
            add_export_items(menu, lambda what: self.export_wanted.emit(shown, what))

    def pop_menu(self, place: QPoint) -> None:
        """The menu of the exhibit, at a place on the screen."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.add_export_items(menu)
        if menu.isEmpty():
            menu.deleteLater()
        else:
            menu.popup(place)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        self.pop_menu(event.globalPos())

    def set_body(self, body: QWidget) -> None:
        """Show this widget, which paints the exhibit itself, in place of plots."""
        self._own_body = body
        self._box.insertWidget(1, body, 1)
        body.hide()

    def set_strip(self, strip: QWidget) -> None:
        """Show this widget under all the others: controls of what is shown."""
        self._box.addWidget(strip)

    def unit_of(self, key: str) -> float | None:
        """How many steps or seconds one of the x axis of a plot is; None where that is not the course of a run."""
        plots = self._exhibit.plots if self._exhibit is not None else ()
        axis = next((plot.x for plot in plots if plot.key == key), None)
        units = {"": 1.0 if axis is not None and axis.whole else None, "s": 1.0, "min": 60.0}
        return units.get(axis.unit) if axis is not None else None

    def add_fields(self, fields: QWidget) -> None:
        """Put a row of fields under the head."""
        self._box.insertWidget(max(0, self._box.indexOf(self.header) + 1), fields)

    # ------------------------------------------------------------------ data

    def show_exhibit(self, exhibit: Exhibit) -> None:
        """Take on a new exhibit."""
        self._exhibit = exhibit
        self.header.set_sentence(said(exhibit.sentence))
        self.header.set_definitions([f"{said(d.title)}: {said(d.text)}" for d in exhibit.definitions])
        note = said(exhibit.notes[0]) if len(exhibit.notes) == 1 else "  ·  ".join(said(n) for n in exhibit.notes)
        self._note.set_text(note)
        self._note.setVisible(bool(note) and self.height() >= _LOWEST)
        self._show_body(exhibit)
        self._show_legend(exhibit)
        summary = said(exhibit.summary())
        if summary != self.accessibleDescription():
            self.setAccessibleDescription(summary)

    def apply_theme(self, palette: Palette) -> None:
        """Take on these colours."""
        self._palette = palette
        self.legend.apply_theme(palette)
        if self._exhibit is not None:
            self._show_body(self._exhibit)

    def _show_body(self, exhibit: Exhibit) -> None:
        own = self._own_body is not None and not exhibit.empty
        plots = bool(exhibit.plots) and not exhibit.empty and not own
        tables = bool(exhibit.tables) and not exhibit.empty and not own
        if plots:
            self._plots().show_plots(exhibit.plots, self._palette)
        if tables:
            self._tables().show_tables(exhibit.tables, self._palette, is_beside=plots)
        self._empty.setText(said(exhibit.empty))
        for widget, visible in ((self._canvas, plots), (self._own_body, own)):
            if widget is not None:
                widget.setVisible(visible)
        self._show_table(plots, tables, self.height())
        self._empty.setVisible(not (plots or tables or own))

    def _show_table(self, plots: bool, tables: bool, height: int) -> None:
        """A table beside a plot gives way where there is no height for both: the picture comes first."""
        if self._table is not None:
            self._table.setVisible(tables and not (plots and height < _LOW))

    def _show_legend(self, exhibit: Exhibit) -> None:
        if exhibit.empty:
            self.legend.show_legend(())
            return
        entries = [Entry(said(e.label), e.colour, e.style) for e in exhibit.legend]
        heat = next((layer for p in exhibit.plots for layer in p.layers if isinstance(layer, HeatMap)), None)
        self.legend.show_legend(entries, _scale(heat) if heat is not None else None)

    def _plots(self) -> PlotCanvas:
        if self._canvas is None:
            from tfx_workbench.widgets.plots import PlotCanvas

            self._canvas = PlotCanvas(self)
            self._canvas.looked_at.connect(self.looked_at)
            self._canvas.setAccessibleName(self.accessibleName())
            self._canvas.chosen.connect(self.chosen)
            self._canvas.menu_wanted.connect(self.pop_menu)
            below = self._table if self._table is not None else self._empty  # the head may be in the dock's title bar
            self._box.insertWidget(self._box.indexOf(below), self._canvas, 1)
        return self._canvas

    def _tables(self) -> TableView:
        if self._table is None:
            self._table = TableView(self)
            self._table.setAccessibleName(self.accessibleName())
            self._table.chosen.connect(self.chosen)
            self._box.insertWidget(self._box.indexOf(self._empty), self._table, 1)
        return self._table

    def resizeEvent(self, event: QResizeEvent) -> None:
        # What is drawn comes before what is said about it.
        self.legend.set_max_lines(1 if event.size().height() < _LOW else 2)
        self._note.setVisible(bool(self._note.whole_text()) and event.size().height() >= _LOWEST)
        shown = self._exhibit
        if shown is not None and not shown.empty and self._own_body is None:
            self._show_table(bool(shown.plots), bool(shown.tables), event.size().height())
        super().resizeEvent(event)

    def close_view(self) -> None:
        """Let go of the plots; the view is not used afterwards."""
        if self._canvas is not None:
            self._canvas.close_canvas()
            self._box.removeWidget(self._canvas)
            self._canvas.deleteLater()
            self._canvas = None
        self._exhibit = None


def _scale(heat: HeatMap) -> Scale:
    low, high = colour_limits(heat)
    if heat.log:
        low, high = 10.0**low, 10.0**high
    label = ", ".join(filter(None, [said(heat.label), heat.unit]))
    return Scale(number(low, 2), with_unit(number(high, 2), ""), label, heat.colour_map)
