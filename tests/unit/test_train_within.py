"""What probes within a step cost: by the host's clock where the host waits, else by the device's own."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.helpers.training import small_setup
from tfx_engine.measure.budget import Budget
from tfx_engine.measure.memory import StepMemory
from tfx_engine.measure.parts import Parts
from tfx_engine.measure.readout import Readout, StepReading
from tfx_engine.train.within import Within


class Mark:
    """A stretch of 7 ms of a device's time."""

    def __init__(self, events):
        self.events = events
        events.append("start")

    def stop(self):
        self.events.append("stop")

    def done(self):
        return True

    def read(self):
        return 7.0, 100.0


class Clock:
    def __init__(self):
        self.events = []

    def start(self):
        return Mark(self.events)


class Meter:
    def start(self):
        pass

    def stop(self):
        return StepMemory()


def probed(device, is_on=True):
    """(what was read of a step that this device did, its clock)."""
    setup, clock = small_setup(), Clock()
    setup = dataclasses.replace(setup, device=torch.device(device))
    within = Within(setup, Meter(), Parts(), Budget(setup.config.run), clock)
    for parameter in setup.training.model.parameters():
        parameter.grad = torch.ones_like(parameter)
    within.begin(is_on)
    reading = StepReading(1, "measure", 1, mark=Mark([]), loss_tensor=torch.tensor(1.0))
    within.gradients_are_there(reading)
    within.end(reading)
    readout = Readout(torch.device("cpu"))
    readout.add(reading)
    readout.fetch(wait=True)
    return reading, clock


@pytest.mark.parametrize("device", ["cuda", "xpu"])
def test_a_device_with_a_clock_of_its_own_says_what_probes_took_it(device):
    reading, clock = probed(device)
    assert clock.events == ["start", "stop"] and reading.grad_norm > 0
    assert reading.probe_ms >= 7.0  # and what the host did right around the step


def test_a_host_that_waits_needs_no_other_clock():
    reading, clock = probed("cpu")
    assert clock.events == [] and reading.probe_mark is None and reading.probe_ms > 0


def test_a_step_without_probes_costs_nothing():
    for device in ("cpu", "cuda"):
        reading, clock = probed(device, is_on=False)
        assert clock.events == [] and reading.probe_ms is None and reading.grad_norm is None
