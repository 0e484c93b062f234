"""Steps are timed by the right clock; their readings come many at once, in order."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from tests.helpers.training import CPU
from tfx_engine.measure.clock import EventClock, HostClock, make_clock
from tfx_engine.measure.readout import Readout, StepReading


def test_a_step_lasts_from_start_to_stop():
    clock = make_clock(CPU, time.perf_counter_ns())
    mark = clock.start()
    time.sleep(0.02)
    mark.stop()
    time.sleep(0.01)
    step_ms, end_ms = mark.read()
    assert 20 <= step_ms <= end_ms < 1000
    assert mark.done()


class FakeDevice:
    """A device module like torch.cuda, whose events finish when the test says so."""

    finished_until = 0.0
    now = 0.0
    waits = 0

    def synchronize(self) -> None:
        self.waits += 1

    def Event(self, enable_timing: bool):
        device = self

        class Event:
            def record(self) -> None:
                self.at = device.now

            def query(self) -> bool:
                return self.at <= device.finished_until

            def synchronize(self) -> None:
                device.waits += 0 if self.query() else 1

            def elapsed_time(self, other) -> float:
                return other.at - self.at

        return Event()


def test_events_time_a_step_without_waiting_for_it():
    device = FakeDevice()
    clock = EventClock(device, time.perf_counter_ns())
    waits = device.waits
    device.now = 5.0
    mark = clock.start()
    device.now = 12.0
    mark.stop()
    assert not mark.done() and device.waits == waits
    device.finished_until = 12.0
    step_ms, end_ms = mark.read()
    assert mark.done() and step_ms == 7.0 and end_ms >= 12.0 and device.waits == waits


def test_a_device_without_events_is_waited_for():
    device = FakeDevice()
    mark = HostClock(0, device).start()
    mark.stop()
    assert device.waits == 2


def reading(step: int, mark, loss: float, norms=None) -> StepReading:
    tensor = None if norms is None else torch.tensor(norms)
    return StepReading(step, "measure", 10, mark, loss_tensor=torch.tensor(loss), norms_tensor_L=tensor)


class Finished:
    def __init__(self, done: bool = True) -> None:
        self.is_done = done

    def stop(self) -> None: ...

    def done(self) -> bool:
        return self.is_done

    def read(self) -> tuple[float, float]:
        return 2.0, 5.0


def test_finished_steps_are_fetched_in_order_and_the_others_later():
    readout, late = Readout(CPU), Finished(False)
    readout.add(reading(1, Finished(), 1.5, [3.0, 4.0]))
    readout.add(reading(2, Finished(), 2.5))
    readout.add(reading(3, late, 3.5, [1.0, float("nan")]))
    readout.add(reading(4, Finished(), 4.5))
    fetched = readout.fetch()
    assert [(r.step, r.loss) for r in fetched] == [(1, 1.5), (2, 2.5)]
    assert fetched[0].layer_grad_norm.tolist() == [3.0, 4.0] and fetched[0].grad_norm == 5.0
    assert fetched[1].grad_norm is None
    rest = readout.fetch(wait=True)
    assert [r.step for r in rest] == [3, 4] and rest[0].grad_norm == 1.0
    assert readout.fetch(wait=True) == []


def test_the_update_ratio_leaves_out_layers_without_weights():
    r = reading(1, Finished(), 1.0)
    assert r.update_ratio is None and r.layer_update_ratio is None
    r.update_L, r.weight_L = np.array([3.0, 0.0, np.nan], np.float32), np.array([30.0, 0.0, np.nan], np.float32)
    assert r.update_ratio == pytest.approx(0.1)
    np.testing.assert_allclose(r.layer_update_ratio, [0.1, np.nan, np.nan])


def test_reading_is_due_a_few_times_a_second(monkeypatch):
    readout, now = Readout(CPU), [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    assert not readout.due()  # nothing to read
    readout.add(reading(1, Finished(), 1.0))
    assert readout.due()
    readout.fetch()
    readout.add(reading(2, Finished(), 1.0))
    assert not readout.due()
    now[0] += 0.25
    assert readout.due()
