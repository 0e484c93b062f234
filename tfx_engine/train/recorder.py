"""To whom the loop hands what it read. A recorder returns at once: whoever reads the recording is never waited for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from tfx_engine.measure.attention import AttentionMaps
from tfx_engine.measure.evaluation import HeldOut
from tfx_engine.measure.memory_split import MemorySplit
from tfx_engine.measure.profiling import StepProfile
from tfx_engine.measure.readout import StepReading
from tfx_engine.protocol.status import Phase


class Recorder(Protocol):
    """Takes readings from one thread, the loop's."""

    def phase(self, name: Phase) -> None:
        """A phase begins."""

    def steps(self, readings: Sequence[StepReading]) -> None:
        """Finished steps in order."""

    def turn(self, round_: int, block: int) -> None:
        """The steps that follow are of this round and block of an interleaved comparison."""

    def memory(self, split: MemorySplit, step: int, phase: Phase) -> None:
        """The split of a step's memory."""

    def profile(self, profile: StepProfile, step: int) -> None:
        """Where the time of a step goes; the last step that was looked at."""

    def snapshot(self, pickled: bytes) -> None:
        """What CUDA's allocator holds after a step, and what it did in it."""

    def attention(self, maps: AttentionMaps, step: int) -> None:
        """The attention after so many steps."""

    def evaluation(self, held_out: HeldOut, step: int) -> None:
        """What held-out data says after so many steps."""

    def fact(self, key: str, value: Any) -> None:
        """Something that is true of the whole run."""

    def missing(self, key: str, reason: str) -> None:
        """Why a figure is not there."""

    def event(self, kind: str, code: str, template: str, **args: Any) -> None:
        """Something happened; `template` is an English `str.format` template over `args`."""
