"""The watched runs against the baseline: when their differences are worked out anew."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from tfx_engine.runfile.errors import RunFileError
from tfx_workbench.analysis.rounds import role
from tfx_workbench.session.figures import Effects, Figures, effects_of
from tfx_workbench.session.shared_run import SharedRun

EFFECTS_EVERY_S = 1.0
# What differences come from; of runs that take turns they are worked out anew as rarely as their rounds are read.
_OF_STEPS, _OF_TURNS = frozenset({"steps", "memory", "info"}), frozenset({"turns", "memory", "info"})
_log = logging.getLogger(__name__)


class Comparing:
    """Used by the reading thread only. Keys are the paths of run files as text; a baseline of "" is none."""

    def __init__(self) -> None:
        self._baseline = ""
        self._versions: dict[str, int] = {}  # how often what differences come from has changed
        self._mark: tuple[tuple[str, int], ...] = ()  # what was compared last, in which versions
        self._at_s = 0.0

    def set_baseline(self, key: str) -> bool:
        """Compare with this run from now on; False where that was so already."""
        if key == self._baseline:
            return False
        self._baseline, self._at_s, self._mark = key, 0.0, ()
        return True

    def refreshed(self, key: str, run: SharedRun, what: frozenset[str]) -> None:
        """These parts of a run changed."""
        if what & (_OF_TURNS if role(run) else _OF_STEPS):
            self._versions[key] = self._versions.get(key, 0) + 1

    def differences(
        self, watched: Mapping[str, SharedRun], figures: Mapping[str, Figures]
    ) -> dict[str, Effects] | None:
        """All that are shown against the baseline, as the panels compare them: the same family, the same intervals.

        None where nothing new can be said, or it was said a moment ago.
        """
        baseline = watched.get(self._baseline)
        if baseline is None or time.monotonic() - self._at_s < EFFECTS_EVERY_S:
            return None
        self._at_s = time.monotonic()
        known = {key: run for key, run in watched.items() if key in figures}
        mark = tuple((key, self._versions.get(key, 0)) for key in (self._baseline, *known))
        if mark == self._mark or self._baseline not in known:
            return None
        self._mark = mark
        del known[self._baseline]
        try:
            return effects_of(baseline, known, figures)
        except RunFileError as error:
            _log.info("no differences: %s", error)
            return None
