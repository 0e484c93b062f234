"""The worker as a process: it answers, does one run, and ends when it must, whatever it is doing."""

from __future__ import annotations

import signal
import sys
import time

import pytest

from tests.helpers.worker import Worker, queue_run, read, until
from tests.survival.windows import cpu_s
from tfx_engine.protocol.messages import Reply
from tfx_engine.protocol.worker_messages import Check, Ended, Examine, Predict, Ready, RunFile, Stop, WarmedUp

ENDLESS = {"measure_steps": 1_000_000}
# One step of this model takes far longer than an interruption may: attention over a very long context.
LONG_STEP = {
    "model": {"width": 256, "heads": 4, "head_width": 64, "layers": 1, "context": 16_384, "vocab": 16},
    "techniques": {"position": {"use": "none"}}, "run": {"batch": 24, "probes": False, "warmup_steps": 1},
}


def test_a_worker_answers_checks_then_does_its_run_and_ends(tmp_path):
    run = queue_run(tmp_path, run={"measure_steps": 3})
    with Worker() as worker:
        assert worker.hear(Ready).torch
        worker.say(Check(id=1, config={"model": {"width": 30, "heads": 4}}))
        worker.say(Check(id=2, config={"run": {"device": "cuda:77"}}))
        worker.say(Check(id=3, config={}))
        worker.say(b"this is no message\n")
        worker.say(Examine(id=4))
        replies = [worker.hear(Reply) for _ in range(4)]
        worker.say(RunFile(path=str(run)))
        assert worker.hear(WarmedUp).device == "cpu"
        assert worker.hear(Ended).status == "finished"
        assert worker.process.wait(30) == 0
    assert [reply.id for reply in replies] == [1, 2, 3, 4]
    assert [reply.ok for reply in replies] == [False, False, True, True]
    assert replies[0].problems[0]["path"] == "model.heads" and replies[1].problems[0]["path"] == "run.device"
    assert replies[2].result["params"]["total"] > 0 and replies[2].result["flops_per_token"]["model"] > 0
    assert replies[3].result["automatic_device"] and replies[3].result["ram_bytes"] > 0
    assert read(run, "info").status == "finished" and read(run, "count_steps") == 7


def test_the_time_of_a_step_is_predicted_and_broken_off_for_the_next():
    deep = {"model": {"width": 64, "heads": 4, "layers": 40}, "run": {"device": "cpu"}}
    experts = {"feedforward": {"use": "mixture_of_experts", "experts": 64}}
    slow = {**deep, "techniques": experts}  # seconds, where the other takes a fraction of one
    with Worker() as worker:
        worker.hear(Ready)
        worker.say(Predict(id=1, config=deep, level="time"))
        first = worker.hear(Reply)
        worker.say(Predict(id=2, config=slow, level="time"))
        worker.say(Check(id=3, config=deep))
        checked = worker.hear(Reply)
        worker.say(Predict(id=4, config={"model": {"heads": 7}}, level="time"))
        broken, wrong = worker.hear(Reply), worker.hear(Reply)
    assert first.ok and first.result["step_ms"] > 0
    assert (checked.id, checked.ok) == (3, True), "at once"
    assert (broken.id, broken.problems[0]["code"]) == (2, "superseded")
    assert not wrong.ok and wrong.problems[0]["code"] != "superseded"


def test_an_idle_worker_ends_when_the_service_does():
    with Worker() as worker:
        worker.hear(Ready)
        worker.end_of_file()
        assert worker.process.wait(30) == 0


def test_end_of_file_interrupts_the_run_between_steps(tmp_path):
    run = queue_run(tmp_path, run=ENDLESS)
    with Worker() as worker:
        worker.begin(run)
        until(lambda: read(run, "count_steps") > 5)
        worker.end_of_file()
        worker.process.wait(5)
    info = read(run, "info")
    assert (info.recorded_status, info.reason) == ("interrupted", "The engine service ended.")
    assert read(run, "count_steps") > 5


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_the_service_can_stop_the_run_without_a_letter(tmp_path):
    run = queue_run(tmp_path, run={"measure_steps": 10**6})
    with Worker() as worker:
        worker.begin(run)
        worker.hear(WarmedUp)
        worker.say(Stop())
        assert worker.hear(Ended).status == "stopped"
    assert read(run, "info").status == "stopped"


def test_a_signal_interrupts_the_run(tmp_path):
    run = queue_run(tmp_path, run=ENDLESS)
    with Worker() as worker:
        worker.begin(run)
        until(lambda: read(run, "count_steps"))
        worker.process.send_signal(signal.SIGTERM)
        worker.process.wait(5)
    info = read(run, "info")
    assert info.recorded_status == "interrupted" and "SIGTERM" in info.reason


@pytest.mark.parametrize("how", ["end of file", pytest.param("signal", marks=pytest.mark.skipif(
    sys.platform == "win32", reason="Windows has no such signal"))])
def test_a_step_that_takes_too_long_is_cut_off(tmp_path, how):
    run = queue_run(tmp_path, **LONG_STEP)
    with Worker() as worker:
        worker.begin(run)
        until(lambda: any(e.code == "warmup" for e in read(run, "events")))
        computed_s = cpu_s(worker.process.pid)
        until(lambda: cpu_s(worker.process.pid) > computed_s + 0.5)  # well into the step
        begun = time.monotonic()
        worker.end_of_file() if how == "end of file" else worker.process.send_signal(signal.SIGTERM)
        worker.process.wait(30)
        assert time.monotonic() - begun < 5
    info = read(run, "info")
    assert info.recorded_status == "interrupted" and info.reason.endswith("The step under way was cut off.")


def test_a_killed_worker_leaves_everything_committed_and_reads_as_interrupted(tmp_path):
    run = queue_run(tmp_path, run=ENDLESS)
    with Worker() as worker:
        worker.begin(run)
        until(lambda: read(run, "count_steps") > 20)
        before = read(run, "count_steps")
        worker.process.kill()
        worker.process.wait(30)
    info = read(run, "info")
    assert (info.status, info.recorded_status) == ("interrupted", "running")
    assert read(run, "count_steps") >= before


def test_what_a_run_prints_is_in_its_log_and_never_in_the_conversation(tmp_path, monkeypatch):
    """A hook that Python runs at start makes the worker print, from Python and from C, all the time."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys, threading, time\n"
        "def shout():\n"
        "    while 'tfx_engine.worker.run' not in sys.modules: time.sleep(0.01)\n"
        "    while True:\n"
        "        print('from python'); os.write(1, b'from C\\n'); time.sleep(0.05)\n"
        "threading.Thread(target=shout, daemon=True).start()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    run = queue_run(tmp_path, run={"measure_steps": 200})
    with Worker() as worker:
        worker.begin(run)
        worker.hear(WarmedUp)
        assert worker.hear(Ended).status == "finished"
        worker.process.wait(30)
    printed = {line.text for line in read(run, "logs") if line.stream == "stderr"}
    assert {"from python", "from C"} <= printed


def test_a_file_that_is_no_run_fails_in_words(tmp_path):
    path = tmp_path / "not.tfx"
    path.write_text("hello")
    with Worker() as worker:
        worker.begin(path)
        ended = worker.hear(Ended)
    assert ended.status == "failed" and str(path) in ended.reason
