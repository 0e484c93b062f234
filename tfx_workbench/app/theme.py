"""The look of the window: Fusion, one palette for light and one for dark, and one style sheet made from it."""

from __future__ import annotations

import re
import sys

from PySide6.QtCore import QDir, QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QPalette
from PySide6.QtWidgets import QApplication

from tfx_engine.protocol.cards import resource
from tfx_workbench.app.style_sheet import STYLE_SHEET
from tfx_workbench.exhibits.palette import DARK, LIGHT, Palette

AUTO = "auto"
FONT_POINTS = 9
FONT_FAMILY = "Inter"  # where there is one; else the system's own interface font

_SCHEMES = {AUTO: Qt.ColorScheme.Unknown, DARK.name: Qt.ColorScheme.Dark, LIGHT.name: Qt.ColorScheme.Light}


class Theme(QObject):
    """The colours in force. `choose` one of "auto", "light", "dark"; `changed` carries the new `Palette`."""

    changed = Signal(object)

    def __init__(self, app: QApplication, name: str = AUTO) -> None:
        super().__init__(app)
        self._app = app
        self._name = name if name in _SCHEMES else AUTO
        self.palette = LIGHT
        QDir.setSearchPaths("tfx", [str(resource("icons"))])  # of the style sheet
        app.setStyle("Fusion")
        app.setFont(interface_font(app.font()))
        app.styleHints().colorSchemeChanged.connect(self._follow_system)
        self.choose(self._name)

    @property
    def name(self) -> str:
        """What was chosen: "auto", "light" or "dark"."""
        return self._name

    def choose(self, name: str) -> None:
        """Apply a theme to the whole application."""
        self._name = name if name in _SCHEMES else AUTO
        self._app.styleHints().setColorScheme(_SCHEMES[self._name])
        self._apply()

    def _follow_system(self) -> None:
        if self._name == AUTO:
            self._apply()

    def _apply(self) -> None:
        dark = self._name == DARK.name
        if self._name == AUTO:
            dark = self._app.styleHints().colorScheme() == Qt.ColorScheme.Dark
        self.palette = DARK if dark else LIGHT
        self._app.setPalette(qt_palette(self.palette))
        self._app.setStyleSheet(style_sheet(self.palette))
        self.changed.emit(self.palette)


def interface_font(system: QFont) -> QFont:
    """The system's interface font, or Inter where it is installed, with tabular figures."""
    font = QFont(system)
    if sys.platform.startswith("linux") and FONT_FAMILY in QFontDatabase.families():
        font.setFamilies([FONT_FAMILY, *system.families()])
    font.setPointSizeF(FONT_POINTS if sys.platform != "darwin" else FONT_POINTS + 3)
    font.setFeature(QFont.Tag("tnum"), 1)
    return font


def qt_palette(palette: Palette) -> QPalette:
    """The same colours for Qt's own widgets."""
    role = QPalette.ColorRole
    colours = {
        role.Window: palette.background, role.WindowText: palette.text, role.Base: palette.card,
        role.AlternateBase: palette.raised, role.Text: palette.text, role.Button: palette.raised,
        role.ButtonText: palette.text, role.BrightText: palette.worse, role.Highlight: palette.accent,
        role.HighlightedText: palette.on_accent, role.ToolTipBase: palette.raised, role.ToolTipText: palette.text,
        role.PlaceholderText: palette.muted, role.Link: palette.accent, role.LinkVisited: palette.accent,
        role.Light: palette.raised, role.Midlight: palette.raised, role.Mid: palette.line, role.Dark: palette.line,
        role.Shadow: palette.line, role.Accent: palette.accent,
    }
    result = QPalette()
    for name, colour in colours.items():
        result.setColor(name, QColor(colour))
    for name in (role.WindowText, role.Text, role.ButtonText):
        result.setColor(QPalette.ColorGroup.Disabled, name, QColor(palette.muted))
    return result


def style_sheet(palette: Palette) -> str:
    """The style sheet with the colours filled in: `@muted` becomes `palette.muted`."""
    return re.sub(r"@(\w+)", lambda match: palette.colour(match[1]), STYLE_SHEET)
