"""The settings, in a window beside the window; every change takes effect at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QFormLayout, QLabel

from tfx_workbench.app.engine_box import EngineBox
from tfx_workbench.app.own_techniques import OwnTechniquesBox
from tfx_workbench.widgets.segmented import Segment, Segmented

if TYPE_CHECKING:
    from tfx_workbench.app.window import MainWindow


class SettingsDialog(QDialog):
    """Theme, what closing the window does to runs, where things are kept, what runs are done in."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.setWindowTitle(self.tr("Settings"))
        settings = window.settings
        form = QFormLayout(self)
        form.setContentsMargins(16, 16, 16, 16)
        form.setVerticalSpacing(12)
        form.setHorizontalSpacing(16)
        theme = Segmented([
            Segment("auto", self.tr("as the system")), Segment("light", self.tr("light")),
            Segment("dark", self.tr("dark")),
        ], self.tr("Theme"))
        theme.set_value(settings.theme)
        theme.chosen.connect(window.view_menu.choose_theme)
        form.addRow(self.tr("Theme"), theme)
        going = Segmented([
            Segment("finish", self.tr("go on to their end")), Segment("stop", self.tr("are stopped")),
        ], self.tr("When the window is closed, runs"))
        going.set_value(settings.on_disconnect)
        going.chosen.connect(lambda value: setattr(settings, "on_disconnect", value))
        form.addRow(self.tr("When the window is closed, runs"), going)
        note = QLabel(self.tr("Takes effect when the window is opened the next time."))
        note.setObjectName("muted")
        form.addRow("", note)
        places = (
            (self.tr("Runs are kept in"), window.session.store), (self.tr("Settings are kept in"), settings.folder),
        )
        for title, path in places:
            label = QLabel(str(path))
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            form.addRow(title, label)
        form.addRow(self.tr("Runs are done in"), EngineBox())
        form.addRow(self.tr("Own techniques"), OwnTechniquesBox(window.own))
        self.resize(560, self.sizeHint().height())
