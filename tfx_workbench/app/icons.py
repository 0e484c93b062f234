"""The program's own icons: small SVG files in `resources/icons`, painted in a colour of the palette."""

from __future__ import annotations

from PySide6.QtGui import QIcon, QPixmap

from tfx_engine.protocol.cards import resource

_SCALE = 4  # pixels per unit: sharp on any screen


def app_icon() -> QIcon:
    """The icon of the program."""
    path = resource("icons", "app.svg")
    return QIcon(str(path)) if path.is_file() else QIcon()


def tinted(name: str, colour: str, side: int = 12) -> QIcon:
    """The icon of that name in one colour, `side` units wide; an empty one where the file is missing."""
    path = resource("icons", f"{name}.svg")
    if not path.is_file():
        return QIcon()
    pixels = side * _SCALE
    text = path.read_text(encoding="utf-8").replace("currentColor", colour)
    text = text.replace('width="16" height="16"', f'width="{pixels}" height="{pixels}"')
    pixmap = QPixmap()
    pixmap.loadFromData(text.encode(), "SVG")
    pixmap.setDevicePixelRatio(_SCALE)
    return QIcon(pixmap)
