"""What the device reported over a run, in bounded memory: older samples are put together by twos, extremes kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfx_engine.runfile.tables import DEVICE_READINGS
from tfx_workbench.runs.series import Rows, Series, halved, joined, single_steps, thinned

CAPACITY = 2048  # rows


class DeviceColumns:
    """The samples of one run, column by column over seconds."""

    def __init__(self) -> None:
        self.seq = 0
        self._rows: dict[str, Rows] = {}

    def extend(self, samples: Mapping[str, Any]) -> bool:
        """Append the samples that `RunReader.device_samples` gave; whether there were any."""
        if not len(samples["seq"]):
            return False
        self.seq = int(samples["seq"][-1])
        seconds = np.asarray(samples["t_ms"], np.float64) / 1000
        always = np.ones(len(seconds), np.bool_)
        for name in DEVICE_READINGS:
            rows = single_steps(seconds, np.asarray(samples[name], np.float64), always)
            if name in self._rows:
                rows = joined([self._rows[name], rows])
            while len(rows.x) > CAPACITY:
                rows = halved(rows)
            self._rows[name] = rows
        return True

    def series(self, column: str, points: int) -> Series:
        """One column over seconds since the run was taken up; without points where nothing was sampled."""
        if column not in DEVICE_READINGS:
            raise KeyError(column)
        return thinned(self._rows.get(column, _EMPTY), points)


_EMPTY = single_steps(np.empty(0), np.empty(0), np.empty(0, np.bool_))
