"""What the window needs of a panel, and nothing else: every docked panel is one of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QMenu, QWidget

from tfx_workbench.exhibits.palette import Palette
from tfx_workbench.exhibits.runview import RunView


class Panel(QWidget):
    """One docked panel.

    The window calls `update_runs` from its one frame timer, only while the panel is visible and only where a run
    changed in one of the parts that the panel `needs`, or the selection of runs changed. `close_panel` comes exactly
    once, before the widget is deleted.
    """

    choices_changed = Signal()  # what `choices()` says is worth remembering
    export_wanted = Signal(object, str)  # an exhibit, and what is wanted of it: see `export_menu`
    probe_wanted = Signal(object, int, int)  # run file, layer, head: capture this head in full resolution
    start_wanted = Signal(str, str)  # an ablation, the levels of one of its configurations as JSON: run it

    name = ""
    title = ""
    needs: frozenset[str] = frozenset()
    nothing_run = False  # there is no run yet that could be shown

    def update_runs(self, runs: Sequence[RunView], choices: Mapping[str, str] | None = None) -> None:
        """Show these runs; `choices`, where given, replace what was chosen in the panel."""
        raise NotImplementedError

    def choices(self) -> dict[str, str]:
        """What is chosen in the panel, for settings and reports."""
        raise NotImplementedError

    def apply_theme(self, palette: Palette) -> None:
        """Take on these colours."""
        raise NotImplementedError

    def add_export_items(self, menu: QMenu) -> None:
        """Add to a menu what can be saved of the panel; nothing by default."""

    def close_panel(self) -> None:
        """Let go of plots and runs; the panel is not used afterwards."""
        raise NotImplementedError
