"""Small trainings for tests of what measures them: set up, stepped, recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from tests.helpers.tiny import tiny_config
from tfx_engine.measure.attention import AttentionMaps
from tfx_engine.measure.clock import make_clock
from tfx_engine.measure.evaluation import HeldOut
from tfx_engine.measure.memory import make_meter
from tfx_engine.measure.memory_split import MemoryProbe, MemorySplit
from tfx_engine.measure.parts import Parts
from tfx_engine.measure.profiling import StepProfile
from tfx_engine.measure.readout import StepReading
from tfx_engine.protocol.status import Phase
from tfx_engine.train.control import RunControl
from tfx_engine.train.loop import Loop
from tfx_engine.train.setup import Setup, set_up
from tfx_engine.train.step import train_step

CPU = torch.device("cpu")


def small_setup(techniques: Mapping[str, Any] | None = None, device: torch.device = CPU, **sections: Any) -> Setup:
    """A training of odd sizes on one thread, ready to be stepped."""
    sections["run"] = {"threads": 1, "device": device.type, **sections.get("run", {})}
    return set_up(tiny_config(techniques, **sections), device)


def split_of_step(setup: Setup, step: int = 1) -> MemorySplit:
    """The memory split of the given step (from 1); those before it are done without looking."""
    for index in range(step - 1):
        train_step(setup.training, setup.task.batch(index, setup.device), index)
    batch = setup.task.batch(step - 1, setup.device)
    probe = MemoryProbe(setup.training.model, setup.training.optimizer, batch, setup.device)
    with probe:
        train_step(setup.training, batch, step - 1, Parts(), probe.gradients_are_there)
    return probe.split()


class ListRecorder:
    """Keeps what the loop hands on."""

    def __init__(self) -> None:
        self.phases: list[str] = []
        self.turns: list[tuple[int, int]] = []
        self.readings: list[StepReading] = []
        self.splits: list[tuple[int, str, MemorySplit]] = []
        self.profiles: list[StepProfile] = []
        self.snapshots: list[bytes] = []
        self.maps: list[tuple[int, AttentionMaps]] = []
        self.evaluations: list[tuple[int, float]] = []
        self.reasons: dict[str, str] = {}
        self.facts: dict[str, Any] = {}
        self.events: list[tuple[str, dict[str, Any]]] = []

    def phase(self, name: Phase) -> None:
        self.phases.append(name)

    def turn(self, round_: int, block: int) -> None:
        self.turns.append((round_, block))

    def steps(self, readings: Sequence[StepReading]) -> None:
        self.readings += readings

    def memory(self, split: MemorySplit, step: int, phase: Phase) -> None:
        self.splits.append((step, phase, split))

    def profile(self, profile: StepProfile, step: int) -> None:
        self.profiles.append(profile)

    def snapshot(self, pickled: bytes) -> None:
        self.snapshots.append(pickled)

    def attention(self, maps: AttentionMaps, step: int) -> None:
        self.maps.append((step, maps))

    def evaluation(self, held_out: HeldOut, step: int) -> None:
        self.evaluations.append((step, held_out.loss))

    def fact(self, key: str, value: Any) -> None:
        self.facts[key] = value

    def missing(self, key: str, reason: str) -> None:
        self.reasons[key] = reason

    def event(self, kind: str, code: str, template: str, **args: Any) -> None:
        self.events.append((code, args))

    @property
    def losses(self) -> list[float]:
        """By step."""
        return [reading.loss for reading in self.readings]


def loop_of(setup: Setup, recorder: ListRecorder, control: RunControl | None = None) -> Loop:
    """The real loop around a setup."""
    return Loop(setup, make_clock(setup.device, 0), make_meter(setup.device), recorder, control or RunControl())


def recorded(setup: Setup) -> ListRecorder:
    """A setup trained to its end by the real loop."""
    recorder = ListRecorder()
    loop_of(setup, recorder).run()
    return recorder
