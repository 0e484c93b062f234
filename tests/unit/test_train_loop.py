"""The loop around the step: phases, probes that change nothing, controls between steps, losses that are lost."""

from __future__ import annotations

import threading
import time

import pytest
import torch

from tests.helpers.training import ListRecorder, loop_of, recorded, small_setup
from tfx_engine.train import stepping
from tfx_engine.train.control import ProbeRequest, RunControl, StopFlag

RUN = {"warmup_steps": 2, "measure_steps": 12, "memory_every": 10, "probe_budget_percent": 100}


@pytest.fixture(scope="module")
def run() -> ListRecorder:
    return recorded(small_setup(run=RUN))


def test_every_step_is_recorded_once_in_its_phase(run):
    assert [r.step for r in run.readings] == list(range(1, 16))
    assert [r.phase for r in run.readings] == ["warmup"] * 2 + ["measure"] * 12 + ["probe"]
    assert run.phases == ["warmup", "measure", "probe"]


def test_every_reading_is_complete(run):
    for reading in run.readings:
        assert reading.step_ms > 0 and reading.loss > 0 and reading.tokens == 27 and reading.learning_rate == 1e-3
    for reading in (r for r in run.readings if r.probed):
        assert reading.grad_norm > 0 and reading.memory.rss_bytes > 0
        assert len(reading.layer_grad_norm) == len(small_setup().layer_names)
    assert [r.t_ms for r in run.readings] == sorted(r.t_ms for r in run.readings)


def test_some_measured_steps_go_without_probes_to_show_what_those_cost(run):
    without = [r for r in run.readings if not r.probed]
    assert [r.step - RUN["warmup_steps"] for r in without] == [2, 5, 8, 11]
    assert all(r.grad_norm is None and r.memory.rss_bytes is None and r.update_ratio is None for r in without)
    assert "Read at 8 of 12 measured steps" in run.reasons["grad_norm"]
    overhead = run.facts["overhead"]
    assert overhead["step_percent"] > 0 and overhead["percent"] == run.facts["overhead_percent"]
    assert set(overhead["captures_percent"]) >= {"memory", "update", "finite"} and overhead["budget_percent"] == 100


def test_memory_is_split_at_the_end_of_warm_up_within_and_after_measuring(run):
    assert [(step, phase) for step, phase, _ in run.splits] == [(2, "warmup"), (12, "measure"), (15, "probe")]
    tainted = {r.step: r.taint for r in run.readings if r.taint}
    assert tainted == dict.fromkeys((2, 12, 15), "memory probe")
    for step, _, split in run.splits:
        assert run.readings[step - 1].memory.allocated_bytes == split.peak_bytes
    assert run.readings[4].memory.allocated_bytes is None


def test_attention_and_held_out_loss_are_taken_before_the_first_step_and_after_the_last(run):
    for steps in ([step for step, _ in run.maps], [step for step, _ in run.evaluations]):
        assert steps[0] == 0 and steps[-1] == 14 and steps == sorted(set(steps))


def test_the_update_ratio_is_never_taken_on_a_memory_probe(run):
    with_ratio = {r.step for r in run.readings if r.update_ratio is not None}
    assert with_ratio and with_ratio <= {r.step for r in run.readings if r.taint is None and r.phase == "measure"}


@pytest.mark.parametrize("techniques", [
    {}, {"embedding": {"use": "token", "dropout": 0.3}}, {"recompute": "every_block"}, {"adapter": "lora"},
    {"precision": "bfloat16_autocast"},
], ids=lambda t: next(iter(t), "plain"))
def test_probes_never_change_the_training(techniques):
    every = {"attention_every": 1, "memory_every": 2, "validate_every": 1}
    quiet = recorded(small_setup(techniques, run={**RUN, "probes": False}))
    watched = recorded(small_setup(techniques, run={**RUN, **every}))
    assert len(quiet.losses) == 14
    assert quiet.losses == watched.losses[:14]  # to the bit


def test_the_same_configuration_gives_the_same_losses(run):
    assert recorded(small_setup(run=RUN)).losses == run.losses


def test_without_probes_only_clock_and_loss_are_measured():
    quiet = recorded(small_setup(run={**RUN, "probes": False}))
    assert not (quiet.splits or quiet.maps or quiet.evaluations) and quiet.phases == ["warmup", "measure"]
    for reading in quiet.readings:
        assert reading.step_ms > 0 and reading.loss > 0
        assert reading.grad_norm is None and reading.memory.rss_bytes is None and reading.update_ratio is None


def test_a_run_without_warm_up_measures_from_the_first_step():
    quiet = recorded(small_setup(run={"warmup_steps": 0, "measure_steps": 3}))
    assert [r.phase for r in quiet.readings] == ["measure"] * 3 + ["probe"]
    assert [r.taint for r in quiet.readings[:3]] == [None] * 3


class StopAt(ListRecorder):
    """Stops the run when it has seen a step."""

    def __init__(self, step: int, control: RunControl) -> None:
        super().__init__()
        self._step, self._control = step, control

    def steps(self, readings) -> None:
        super().steps(readings)
        if readings[-1].step >= self._step:
            self._control.stop.set("stopped", "enough")


def test_a_stop_keeps_everything_measured_and_ends_between_steps(monkeypatch):
    monkeypatch.setattr("tfx_engine.measure.readout.PERIOD_S", 0.0)
    control = RunControl()
    recorder = StopAt(5, control)
    loop_of(small_setup(run={"measure_steps": 1000}), recorder, control).run()
    assert [r.step for r in recorder.readings] == [1, 2, 3, 4, 5]
    assert recorder.evaluations[-1][0] == 5 and recorder.phases[-1] == "measure"


def test_a_stop_before_the_first_step_trains_nothing():
    control = RunControl()
    control.stop.set("stopped", "")
    recorder = ListRecorder()
    loop_of(small_setup(), recorder, control).run()
    assert recorder.readings == []


def test_a_pause_holds_between_steps_answers_probes_and_goes_on():
    control, recorder = RunControl(), ListRecorder()
    loop = loop_of(small_setup(run={"warmup_steps": 0, "measure_steps": 5}), recorder, control)
    control.pause()
    thread = threading.Thread(target=loop.run)
    thread.start()
    _until(lambda: recorder.events)
    control.ask(ProbeRequest(layer=1, head=2))
    _until(lambda: len(recorder.maps) == 2)
    assert loop.step == 0 and recorder.maps[-1][1].head == 2
    control.resume()
    thread.join(30)
    assert [code for code, _ in recorder.events] == ["paused", "resumed"]
    assert recorder.readings[0].taint == "after a pause" and recorder.readings[1].taint is None
    assert len(recorder.readings) == 6


def test_a_paused_run_can_be_stopped():
    control, recorder = RunControl(), ListRecorder()
    control.pause()
    thread = threading.Thread(target=loop_of(small_setup(), recorder, control).run)
    thread.start()
    _until(lambda: recorder.events)
    control.stop.set("stopped", "")
    thread.join(30)
    assert not thread.is_alive() and recorder.readings == []


def test_a_request_for_a_head_that_does_not_exist_is_an_event():
    control, recorder = RunControl(), ListRecorder()
    control.ask(ProbeRequest(layer=0, head=99))
    loop_of(small_setup(), recorder, control).run()
    assert "no-such-head" in [code for code, _ in recorder.events] and len(recorder.readings) == 6


def test_a_request_in_a_run_without_probes_is_an_event():
    control, recorder = RunControl(), ListRecorder()
    control.ask(ProbeRequest())
    loop_of(small_setup(run={"probes": False}), recorder, control).run()
    assert [code for code, _ in recorder.events] == ["probes-off"]


def _until(condition) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def lost_losses(monkeypatch):
    """Steps 3 to 5 give a loss that is not a number; the training itself is whole."""
    real = stepping.train_step

    def step(training, batch, index, *rest):
        loss = real(training, batch, index, *rest)
        return torch.tensor(float("nan")) if 3 <= index + 1 <= 5 else loss

    monkeypatch.setattr(stepping, "train_step", step)


def test_a_lost_loss_is_said_once_with_its_step_and_once_when_it_is_back(lost_losses):
    recorder = recorded(small_setup(run={"measure_steps": 8}))
    said = [(code, args["step"]) for code, args in recorder.events]
    assert said == [("loss-not-a-number", 3), ("loss-is-a-number-again", 6)]
    assert len(recorder.readings) == 10


def test_a_lost_loss_stops_the_run_where_that_is_wished(lost_losses, monkeypatch):
    monkeypatch.setattr("tfx_engine.measure.readout.PERIOD_S", 0.0)
    control, recorder = RunControl(), ListRecorder()
    loop_of(small_setup(run={"measure_steps": 8, "on_nan": "stop"}), recorder, control).run()
    assert [r.step for r in recorder.readings] == [1, 2, 3]
    assert control.stop.status == "stopped" and "step 3" in control.stop.reason


def test_a_real_divergence_is_noticed():
    setup = small_setup()
    with torch.no_grad():
        next(setup.training.model.parameters()).fill_(float("inf"))
    recorder = recorded(setup)
    assert [(code, args.get("step")) for code, args in recorder.events] == [
        ("origin-weight", 1), ("loss-not-a-number", 1), ("learns-nothing", None)]  # fmt: skip
    assert len(recorder.readings) == 6


def test_a_probe_without_memory_is_left_out_and_the_training_goes_on(monkeypatch):
    def no_memory(*arguments):
        raise torch.OutOfMemoryError("Tried to allocate 1.00 GiB.")

    monkeypatch.setattr("tfx_engine.train.probing.capture_attention", no_memory)
    recorder = recorded(small_setup())
    assert len(recorder.readings) == 6 and not recorder.maps
    assert {code for code, _ in recorder.events} == {"probe-out-of-memory"}


def test_what_was_read_is_handed_on_when_a_step_breaks_off(monkeypatch):
    real = stepping.train_step

    def step(training, batch, index, *rest):
        if index == 3:
            raise RuntimeError("broken")
        return real(training, batch, index, *rest)

    monkeypatch.setattr(stepping, "train_step", step)
    recorder = ListRecorder()
    loop = loop_of(small_setup(), recorder)
    with pytest.raises(RuntimeError, match="broken"):
        loop.run()
    assert [r.step for r in recorder.readings] == [1, 2, 3] and loop.step == 4


def test_the_first_word_about_a_stop_counts_but_an_interruption_is_always_heard():
    stop = StopFlag()
    stop.set("stopped", "first")
    stop.set("interrupted", "second")
    assert (stop.status, stop.reason, stop.is_interrupted) == ("stopped", "first", True)
