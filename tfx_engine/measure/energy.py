"""The energy that the device took for a step: over all measured steps, shared out evenly among them.

From the device's own counter where it has one, else from its power, which is integrated. Both are of the whole device,
and of the whole time of the measured steps: with what is captured between them.
"""

from __future__ import annotations

import dataclasses
from array import array
from typing import Any

import numpy as np

from tfx_engine.measure.device import DeviceSample
from tfx_engine.protocol.marker import tr_mark

SHORTEST_S = 2.0  # of counters that are read twice a second, and move some ten times a second
TOO_SHORT = tr_mark("The measured steps took less than two seconds: too short for readings that come twice a second.")


@dataclasses.dataclass
class Energy:
    """Takes samples with their time, and the measured steps; `per_step` then says what a step took."""

    _t_s: array[float] = dataclasses.field(default_factory=lambda: array("d"))
    _energy_j: array[float] = dataclasses.field(default_factory=lambda: array("d"))
    _power_w: array[float] = dataclasses.field(default_factory=lambda: array("d"))
    _begun_s: float | None = None
    _ended_s: float = 0.0
    _steps: int = 0
    _tokens: int = 0

    def sample(self, t_s: float, sample: DeviceSample) -> None:
        """A reading of the device."""
        if sample.energy_j is not None or sample.power_w is not None:
            self._t_s.append(t_s)
            self._energy_j.append(np.nan if sample.energy_j is None else sample.energy_j)
            self._power_w.append(np.nan if sample.power_w is None else sample.power_w)

    def step(self, begun_s: float, ended_s: float, tokens: int) -> None:
        """A measured step; all of them count, also those that are left out of time statistics."""
        self._begun_s = begun_s if self._begun_s is None else self._begun_s
        self._ended_s = ended_s
        self._steps += 1
        self._tokens += tokens

    def result(self) -> dict[str, Any] | str | None:
        """The fact `energy_j`: `per_step`, `per_token`, `total`, `seconds`, `source`; or why there is none.

        None where the device says nothing, for which there is a reason already.
        """
        if not len(self._t_s) or self._begun_s is None:
            return None
        seconds = self._ended_s - self._begun_s
        if seconds < SHORTEST_S:
            return TOO_SHORT
        t_s, counter, power = (np.asarray(values) for values in (self._t_s, self._energy_j, self._power_w))
        known = np.isfinite(counter)
        source = "counter" if np.count_nonzero(known) > 1 else "power"
        if source == "power":
            known = np.isfinite(power)
            steps_j = np.diff(t_s[known]) * (power[known][1:] + power[known][:-1]) / 2
            counted = np.concatenate([[0.0], np.cumsum(steps_j)])
        else:
            counted = counter[known]
        first, last = max(self._begun_s, t_s[known][0]), min(self._ended_s, t_s[known][-1])
        if last - first < SHORTEST_S / 2:
            return TOO_SHORT
        at_first, at_last = np.interp([first, last], t_s[known], counted)
        total = float(at_last - at_first) * seconds / (last - first)
        return {
            "per_step": total / self._steps, "per_token": total / self._tokens, "total": total, "seconds": seconds,
            "source": source,
        }
