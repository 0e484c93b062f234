"""The Pareto panel: two fields ask what fits, and a click on a hollow point runs that configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtWidgets import QWidget

from tfx_workbench.exhibits.kind import ExhibitType
from tfx_workbench.exhibits.pareto import START
from tfx_workbench.exhibits.runview import RunView
from tfx_workbench.widgets.exhibit_panel import ExhibitPanel
from tfx_workbench.widgets.limit_fields import LimitFields


class ParetoPanel(ExhibitPanel):
    """Emits `start_wanted(ablation, levels)` where a configuration that was predicted is to be run."""

    def __init__(self, exhibit: ExhibitType, parent: QWidget | None = None) -> None:
        super().__init__(exhibit, parent)
        self.limits = LimitFields(self.view)
        self.limits.changed.connect(self._limit)
        self.view.add_fields(self.limits)

    def update_runs(self, runs: Sequence[RunView], choices: Mapping[str, str] | None = None) -> None:
        """Show these runs."""
        super().update_runs(runs, choices)
        self.limits.show_values(self._chosen.get("memory_limit", ""), self._chosen.get("least_speed", ""))

    def choose(self, name: str, key: str) -> None:
        """Choose what is shown, or run what a point stands for."""
        if name != START:
            super().choose(name, key)
            return
        ids = [str(run.data.info.comparison) for run in self._runs if run.data.info.comparison.startswith("ablation-")]
        if ids:
            self.start_wanted.emit(ids[0], key)

    def _limit(self, memory: str, speed: str) -> None:
        self._chosen["memory_limit"] = memory
        self.choose("least_speed", speed)


PANEL = ("pareto", ParetoPanel)
