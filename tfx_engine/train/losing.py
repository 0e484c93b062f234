"""When the loss stops being a number."""

from __future__ import annotations

import math

from tfx_engine.measure.readout import StepReading
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.train.control import RunControl
from tfx_engine.train.recorder import Recorder

_LOST = tr_mark("The loss of step {step} is not a number ({loss}).")
_FOUND = tr_mark("The loss is a number again at step {step}, after {steps} steps.")


class LossWatch:
    """Says it once when the loss stops being a number, and once when it is one again; ends the run where it is to."""

    def __init__(self, recorder: Recorder, control: RunControl, on_nan: str) -> None:
        self._recorder, self._control, self._on_nan = recorder, control, on_nan
        self._lost_at: int | None = None  # since this step the loss is not a number

    def see(self, reading: StepReading) -> None:
        """A finished step."""
        lost = not math.isfinite(reading.loss)
        if lost and self._lost_at is None:
            self._lost_at = reading.step
            args = {"step": reading.step, "loss": str(reading.loss)}
            self._recorder.event("warning", "loss-not-a-number", _LOST, **args)
            if self._on_nan == "stop":
                self._control.stop.set("stopped", _LOST.format_map(args))
        elif not lost and self._lost_at is not None:
            steps = reading.step - self._lost_at
            self._recorder.event("warning", "loss-is-a-number-again", _FOUND, step=reading.step, steps=steps)
            self._lost_at = None
