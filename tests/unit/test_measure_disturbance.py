"""Steps that something from outside disturbed are marked; thresholds, and what they are made from."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
import torch

from tests.helpers.training import CPU
from tfx_engine.measure.device import DeviceSample
from tfx_engine.measure.disturbance import DEVICE_DISTURBED, Disturbance
from tfx_engine.measure.energy import TOO_SHORT, Energy
from tfx_engine.measure.others import DISTURBED, SHORTEST_S, Others, Times, are_disturbing
from tfx_engine.measure.readout import StepReading
from tfx_engine.protocol.taint import MEMORY_PROBE
from tfx_engine.runfile.plausible import check_facts


def marked(disturbance, taint=None):
    reading = StepReading(1, "measure", 1, mark=None, taint=taint)
    disturbance.mark([reading])
    return reading.taint


def others_using(cores, seconds=1.0):
    times = iter([Times(0.0, 100.0, 50.0), Times(seconds, 100.0 + (cores + 1) * seconds, 50.0 + seconds)])
    return Others(lambda: next(times))


@pytest.mark.parametrize(("others", "threads", "cores", "expected"), [
    (0.15, 2, 2, False), (0.25, 2, 2, True),  # a quiet desktop; a tenth of the run's processors
    (10.0, 4, 16, False), (12.5, 4, 16, True),  # what the run leaves free is anybody's
    (0.05, 8, 2, False), (0.25, 8, 2, True),  # more threads than there are cores
])
def test_others_disturb_beyond_what_the_run_leaves_free_and_a_tenth(others, threads, cores, expected):
    assert are_disturbing(others, threads, cores) is expected


def test_what_others_took_is_everything_less_our_own():
    used, wall_s = others_using(0.5).look()
    assert used == pytest.approx(0.5) and wall_s == 1.0
    assert others_using(0.5, seconds=SHORTEST_S / 2).look() is None  # ticks are a hundredth of a second


def test_a_busy_program_is_others_and_this_process_is_not():
    others, busy_s = Others(), 0.4
    used = []
    for command in (None, f"import time; t = time.time()\nwhile time.time() - t < {3 * busy_s}: pass"):
        child = subprocess.Popen([sys.executable, "-c", command]) if command else None
        others.look()
        begun = time.perf_counter()
        while time.perf_counter() - begun < busy_s:
            pass  # this process is at work in both
        used.append((others.look() or (0.0, 0.0))[0])
        if child is not None:
            child.kill()
            child.wait()
    assert used[1] > 0.2


def test_steps_beside_busy_programs_are_marked_and_those_that_are_marked_already_stay_so():
    assert marked(Disturbance(CPU, DeviceSample, others_using(3.0), cores=2)) == DISTURBED
    assert marked(Disturbance(CPU, DeviceSample, others_using(3.0), cores=2), MEMORY_PROBE) == MEMORY_PROBE
    assert marked(Disturbance(CPU, DeviceSample, others_using(0.0), cores=2)) is None


@pytest.mark.parametrize(("sample", "expected"), [
    (DeviceSample(other_processes=0, clock_events=0x5), None),  # idle, or at its power limit: as always
    (DeviceSample(), None),  # nobody can be asked
    (DeviceSample(other_processes=1), DEVICE_DISTURBED),
    (DeviceSample(clock_events=0x24), "the device's clocks were lowered: too warm"),
])
def test_steps_on_a_gpu_are_marked_by_what_its_driver_says(sample, expected):
    assert marked(Disturbance(torch.device("cuda"), lambda: sample)) == expected


def sampled(counter=None, power=None, seconds=10.0):
    energy = Energy()
    for at in range(int(2 * seconds) + 3):
        t_s = at / 2
        energy.sample(t_s, DeviceSample(
            energy_j=1e6 + counter * t_s if counter else None, power_w=power * t_s if power else None))
    for step in range(int(seconds)):
        energy.step(0.25 + step, 1.25 + step, tokens=100)
    return energy.result()


def test_energy_comes_from_the_counter_and_else_from_the_power():
    counted = sampled(counter=50.0, power=1.0)
    assert counted["source"] == "counter" and counted["per_step"] == pytest.approx(50.0)
    assert counted["per_token"] == pytest.approx(0.5) and counted["total"] == pytest.approx(500.0)
    integrated = sampled(power=10.0)  # watts that grow by ten a second, from 2.5 to 102.5
    assert integrated["source"] == "power" and integrated["total"] == pytest.approx(525.0, rel=1e-3)


@pytest.mark.parametrize("of", [{"counter": 50.0}, {"power": 10.0}])
def test_what_is_said_of_energy_can_be_read_from_a_run_file(of):
    check_facts({"energy_j": sampled(**of)})


def test_energy_that_cannot_be_had_says_why_or_has_been_said_already():
    assert sampled(counter=50.0, seconds=1.0) == TOO_SHORT
    assert sampled() is None
