"""All attention heads at once: a row per layer, a column per head; one of them is chosen."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPoint, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QHelpEvent, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from tfx_workbench.exhibits.exhibit import Images
from tfx_workbench.exhibits.palette import DARK, Palette
from tfx_workbench.widgets.attention_images import thumbnails
from tfx_workbench.widgets.exhibit_words import said
from tfx_workbench.widgets.words import plain_tip

_GAP, _LARGEST, _SMALLEST = 3, 112, 4  # px
_SIDE = 48  # pixels of a thumbnail, at most
_RING = 2


class AttentionGrid(QWidget):
    """Emits `chosen(row, head)` on a click, and on arrow keys."""

    chosen = Signal(int, int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._images: Images | None = None
        self._pictures: list[list[QImage]] = []
        self._drawn: tuple[str, bool] | None = None
        self._colours = DARK
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName(self.tr("All attention heads"))

    def apply_theme(self, palette: Palette) -> None:
        """Take on these colours."""
        self._colours = palette
        if self._images is not None:
            self.show_images(self._images)

    def show_images(self, images: Images) -> None:
        """Take on new maps; the pictures are made again only where the capture is another."""
        self._images = images
        if self._drawn != (images.key, self._colours.dark):
            self._pictures = thumbnails(images.maps, _SIDE, self._colours.dark)
            self._drawn = (images.key, self._colours.dark)
            self.updateGeometry()
        self.setAccessibleDescription(
            self.tr("{layer}, head {head} is chosen").format(
                layer=said(images.layer_names[images.layer]), head=images.head + 1)
        )
        self.update()

    # ------------------------------------------------------------------ geometry

    def _shape(self) -> tuple[int, int]:
        return len(self._pictures), max((len(row) for row in self._pictures), default=0)

    def _cell(self) -> int:
        rows, heads = self._shape()
        if not rows or not heads:
            return _SMALLEST
        return max(_SMALLEST, min(_LARGEST, (self.width() + _GAP) // heads, (self.height() + _GAP) // rows))

    def width_for(self, height: int, most: int) -> int:
        """The width that the grid wants at a height, at most `most`."""
        rows, heads = self._shape()
        if not rows:
            return most
        cell = min(_LARGEST, (height + _GAP) // rows, (most + _GAP) // max(1, heads))
        return max(_SMALLEST, cell) * heads

    def height_for(self, width: int, most: int) -> int:
        """The height that the grid wants at a width, at most `most`."""
        rows, heads = self._shape()
        if not rows:
            return most
        cell = min(_LARGEST, (width + _GAP) // max(1, heads), (most + _GAP) // rows)
        return max(_SMALLEST, cell) * rows

    def minimumSizeHint(self) -> QSize:
        return QSize(60, 60)

    def sizeHint(self) -> QSize:
        return QSize(160, 120)

    def place(self, row: int, head: int) -> QRect:
        """The rectangle of one thumbnail."""
        cell = self._cell()
        return QRect(head * cell, row * cell, cell - _GAP, cell - _GAP)

    def _at(self, point: QPoint) -> tuple[int, int] | None:
        rows, heads = self._shape()
        row, head = point.y() // self._cell(), point.x() // self._cell()
        return (row, head) if 0 <= row < rows and 0 <= head < heads else None

    # ------------------------------------------------------------------ painting

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._images is None:
            return
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            line = QPen(QColor(self._colours.line), 1)
            for row, pictures in enumerate(self._pictures):
                for head, image in enumerate(pictures):
                    place = self.place(row, head)
                    painter.drawImage(place, image)
                    if not self._colours.dark:
                        painter.setPen(line)
                        painter.drawRect(QRectF(place).adjusted(0.5, 0.5, -0.5, -0.5))
            ring = QRectF(self.place(self._images.layer, self._images.head)).adjusted(-0.5, -0.5, 0.5, 0.5)
            painter.setPen(QPen(QColor(self._colours.accent), _RING))
            painter.drawRect(ring.intersected(QRectF(self.rect()).adjusted(1, 1, -1, -1)))

    # ------------------------------------------------------------------ mouse and keyboard

    def mousePressEvent(self, event: QMouseEvent) -> None:
        found = self._at(event.position().toPoint())
        if found is not None:
            self.chosen.emit(*found)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        moves = {Qt.Key.Key_Left: (0, -1), Qt.Key.Key_Right: (0, 1), Qt.Key.Key_Up: (-1, 0), Qt.Key.Key_Down: (1, 0)}
        move = moves.get(Qt.Key(event.key()))
        if move is None or self._images is None:
            super().keyPressEvent(event)
            return
        rows, heads = self._shape()
        row, head = self._images.layer + move[0], self._images.head + move[1]
        if 0 <= row < rows and 0 <= head < heads:
            self.chosen.emit(row, head)

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent) and self._images is not None:
            found = self._at(event.pos())
            if found is not None:
                words = self.tr("{layer}, head {head}").format(
                    layer=said(self._images.layer_names[found[0]]), head=found[1] + 1)
                QToolTip.showText(event.globalPos(), plain_tip(words), self, self.place(*found))
                return True
        return super().event(event)
