"""A window with many panels in sight at once: those in front, then others of the menu, in rows of four."""

from __future__ import annotations

import itertools

from PySide6.QtCore import Qt

from tfx_workbench.app.window import MainWindow
from tfx_workbench.panels import all_panels

IN_A_ROW = 4
LIVE = ("throughput", "loss", "memory", "device", "gradients", "attention", "overhead", "memory_modules", "time",
        "step_timeline", "operators", "roofline")  # of one run that grows, the most lively first


def arrange(window: MainWindow, count: int) -> list[str]:
    """Leave `count` panels, all in sight; their names."""
    area = window.area
    window._behind.clear()
    factories = {factory.name: factory for factory in all_panels()}
    wanted = [name for name in [*LIVE, *factories] if name in factories]
    wanted = list(dict.fromkeys(wanted))[:count]
    for name in [name for name in area.docks if name not in wanted]:
        dock = area.docks.pop(name)
        dock.panel.close_panel()
        area.removeDockWidget(dock)
        dock.deleteLater()
    area.add_panels([factories[name](area) for name in wanted if name not in area.docks])
    area.apply_theme(window.theme.palette)
    docks = [area.docks[name] for name in wanted]
    for dock in docks:
        dock.setFloating(False)
        area.removeDockWidget(dock)
    rows = [docks[i:i + IN_A_ROW] for i in range(0, len(docks), IN_A_ROW)]
    for row in rows:
        area.addDockWidget(Qt.DockWidgetArea.TopDockWidgetArea, row[0], Qt.Orientation.Vertical)
        row[0].show()
    for row in rows:
        for left, right in itertools.pairwise(row):
            area.splitDockWidget(left, right, Qt.Orientation.Horizontal)
            right.show()
    return wanted
