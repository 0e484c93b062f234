"""Whether something disturbed the steps that were just read: why they are left out of the statistics, if they are.

On the CPU each look is at what other programs took of the processors since the last one (see `others`), so it holds for
exactly the steps between. On a GPU it is the driver's newest reading, at most half a second old: that other processes
used the device, or that its clocks were lowered to protect it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import psutil
import torch

from tfx_engine.measure.device import SLOWED_DOWN, DeviceSample
from tfx_engine.measure.others import DISTURBED, Others, are_disturbing
from tfx_engine.measure.readout import StepReading
from tfx_engine.protocol.marker import tr_mark

DEVICE_DISTURBED = tr_mark("another process used the device")
CLOCKS = tr_mark("the device's clocks were lowered: {reasons}")


class Disturbance:
    """Marks the readings that were disturbed. `newest` gives the last sample of the device."""

    def __init__(
        self, device: torch.device, newest: Callable[[], DeviceSample], others: Others | None = None,
        cores: int | None = None,
    ) -> None:
        self._newest, self._is_cpu = newest, device.type == "cpu"
        self._others = others or Others()
        self._cores = cores or psutil.cpu_count(logical=False) or psutil.cpu_count() or 1

    def mark(self, readings: Sequence[StepReading]) -> None:
        """Steps that ended since the last call get their `taint`, where they have none already."""
        reason = self._on_cpu() if self._is_cpu else self._on_device()
        if reason is not None:
            for reading in readings:
                reading.taint = reading.taint or reason

    def _on_cpu(self) -> str | None:
        found = self._others.look()
        if found is None or not are_disturbing(found[0], torch.get_num_threads(), self._cores):
            return None
        return DISTURBED

    def _on_device(self) -> str | None:
        sample = self._newest()
        if sample.other_processes:
            return DEVICE_DISTURBED
        reasons = [words for bit, words in SLOWED_DOWN.items() if (sample.clock_events or 0) & bit]
        return CLOCKS.format(reasons=", ".join(reasons)) if reasons else None
