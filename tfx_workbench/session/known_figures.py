"""The figures of runs as they were last worked out: when they are due again, and which nobody was told of yet."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Set
from typing import Any

from tfx_engine.runfile.errors import RunFileError
from tfx_workbench.runs.row import RunRow
from tfx_workbench.session.figures import Figures, figures_of
from tfx_workbench.session.shared_run import SharedRun

FIGURES_EVERY_S = 1.05  # a live run makes a new summary once a second
_log = logging.getLogger(__name__)


class KnownFigures:
    """Used by the reading thread only. Keys are the paths of run files as text."""

    def __init__(self) -> None:
        self.by_key: dict[str, Figures] = {}
        self._at_s: dict[str, float] = {}  # when they were worked out
        self._stale: set[str] = set()  # runs that have changed since
        self._untold: dict[str, Figures] = {}
        self._marks: dict[str, tuple[str, int]] = {}  # how runs stood that were opened for their figures alone

    def work_out(self, key: str, run: SharedRun) -> None:
        """Those of a run that was refreshed just now."""
        self._at_s[key] = time.monotonic()
        self._stale.discard(key)
        figures = figures_of(run)
        before = self.by_key.get(key)
        self.by_key[key] = figures
        if before != figures:
            self._untold[key] = figures

    def refreshed(self, key: str, run: SharedRun, has_changed: bool) -> None:
        """A run was refreshed: work its figures out where they are stale, those of a live one about once a second."""
        if has_changed:
            self._stale.add(key)
        is_due = time.monotonic() - self._at_s.get(key, 0.0) > FIGURES_EVERY_S
        if key in self._stale and (is_due or not run.is_live):
            self.work_out(key, run)

    def read_one(self, rows: dict[str, RunRow], without: Set[str]) -> bool:
        """Open the newest run whose figures are not known as it stands now; False where there is none."""
        for key, row in reversed(rows.items()):
            if key in without or row.status == "queued":
                continue
            mark = (row.status, row.steps)
            if self._marks.get(key) == mark:
                continue
            self._marks[key] = mark
            try:
                run = SharedRun(key)
                run.load()
                self.work_out(key, run)
                run.close()
            except RunFileError as error:
                _log.info("no figures of %s: %s", key, error)
            return True
        return False

    def untold(self) -> dict[str, Figures]:
        """What changed since this was last asked."""
        untold, self._untold = self._untold, {}
        return untold

    def forget_all_but(self, keys: Collection[str]) -> None:
        """Other runs are gone."""
        of_runs: tuple[dict[str, Any], ...] = (self.by_key, self._at_s, self._marks)
        for known in of_runs:
            for key in [k for k in known if k not in keys]:
                del known[key]
