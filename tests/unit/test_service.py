"""The service: queue, workers, outcomes. A real service process; its workers are the stand-in, which needs no torch."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.helpers.services import PATIENCE_S, Listening, family, gone, has_steps, info, steps, until
from tfx_engine.client import ServiceGone, control
from tfx_engine.protocol.config import parse_config
from tfx_engine.protocol.messages import Estimate, Reply, Submit
from tfx_engine.protocol.problems import ConfigError
from tfx_engine.runfile.create import create
from tfx_engine.runfile.lock import is_locked
from tfx_engine.runfile.reader import RunReader
from tfx_engine.service.events import WorkerGone
from tfx_engine.service.worker_process import WorkerProcess

Start = Callable[..., Listening]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start a client with its service; `standin` says how the stand-in workers behave."""
    monkeypatch.setenv("TFX_WORKER_MODULE", "tests.helpers.standin_worker")
    clients: list[Listening] = []

    def begin(standin: str = "", **arguments: Any) -> Listening:
        monkeypatch.setenv("TFX_STANDIN", standin)
        client = Listening(arguments.pop("store", tmp_path / "store"), **{"warm": False, **arguments})
        client.start()
        clients.append(client)
        return client

    yield begin
    for client in clients:
        client.close(0)
        assert client.pid is not None
        if psutil.pid_exists(client.pid):
            os.kill(client.pid, signal.SIGTERM)
        assert client.wait(15)


def named(*names: str) -> list[dict[str, Any]]:
    """Configurations of these names; the stand-in does what the name says."""
    return [{"name": name, "model": {"width": 16, "layers": 1, "heads": 2, "context": 16}} for name in names]


def test_a_worker_that_has_audited_ends_and_the_next_question_has_another(start: Start) -> None:
    client = start(warm=True)
    for _ in range(2):
        assert [row["claim"] for row in client.audit(named("quick")[0])] == ["hides"]
    assert client.validate(named("quick")[0]) == ()
    (run,) = client.submit(named("quick"))
    assert client.wait_for("ended", run).detail["status"] == "finished"
    states = [n.detail["state"] for n in client.notices if n.kind == "warm"]
    assert states.count("starting") >= 3 and "died" not in states
    with pytest.raises(ConfigError, match=r"model\.width"):
        client.audit({"model": {"width": -1}})


# ------------------------------------------------------------------------------------------------ the queue


def test_runs_are_done_in_order_one_at_a_time(start: Start) -> None:
    client = start()
    runs = client.submit(named("quick", "quick", "quick"))
    for run in runs:
        assert client.wait_for("ended", run).detail["status"] == "finished"
        assert steps(run) == [1, 2]
    order = [(n.kind, n.run) for n in client.notices if n.kind in ("started", "ended")]
    assert order == [(kind, str(run)) for run in runs for kind in ("started", "ended")]


def test_after_a_failure_the_queue_goes_on(start: Start) -> None:
    client = start()
    crash, leave, quick = client.submit(named("crash", "exit", "quick"))
    assert client.wait_for("ended", crash).detail["status"] == "interrupted"
    assert client.wait_for("ended", leave).detail["status"] == "interrupted"
    assert client.wait_for("ended", quick).detail["status"] == "finished"
    assert "SIGSEGV" in info(crash).reason and len(steps(crash)) > 3
    assert "exit code 3" in info(leave).reason and "had enough" in info(leave).reason


def test_a_submission_with_one_wrong_configuration_is_refused_whole(start: Start, tmp_path: Path) -> None:
    client = start()
    wrong = {"name": "b", "model": {"widht": 3, "heads": 0}}
    with pytest.raises(ConfigError) as caught:
        client.submit([*named("quick"), wrong])
    assert {p.path for p in caught.value.problems} == {"configs[1].model.widht", "configs[1].model.heads"}
    with pytest.raises(ConfigError) as caught:
        client.submit(named("refuse"))  # only a worker finds that out
    assert [p.path for p in caught.value.problems] == ["name"]
    with pytest.raises(ConfigError):
        client.submit([])
    assert client.queue() == {"queue": [], "running": None}
    assert not list((tmp_path / "store").glob("*"))


def test_a_store_that_cannot_be_written_is_said_in_words(start: Start, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    client = start(store=tmp_path / "file" / "store")
    with pytest.raises(ConfigError) as caught:
        client.submit(named("quick"))
    assert str(tmp_path / "file") in caught.value.problems[0].sentence()


def test_a_run_goes_where_its_configuration_says(start: Start, tmp_path: Path) -> None:
    client = start()
    (run,) = client.submit([{**named("quick")[0], "run": {"store": str(tmp_path / "other")}}])
    assert run.parent == tmp_path / "other"
    client.wait_for("ended", run, status="finished")


def test_a_relative_path_is_taken_from_where_the_client_is(start: Start, tmp_path: Path,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    client = start()
    (run,) = client.submit([{**named("quick")[0], "data": {"path": "mine.txt"}}])
    assert info(run).config["data"]["path"] == str(tmp_path / "mine.txt")


def test_the_text_of_a_configuration_is_kept_as_written(start: Start) -> None:
    client = start()
    kept, made = client.submit(named("quick", "quick"), toml=["# mine\nname = 'quick'\n"], comparison="pair")
    assert info(kept).config_toml == "# mine\nname = 'quick'\n" and info(kept).comparison == "pair"
    assert 'name = "quick"' in info(made).config_toml


def test_what_is_known_beforehand_is_a_fact_of_the_run(start: Start) -> None:
    client = start()
    first, second = client.submit(named("quick", "quick"), facts=[{"ablation": {"levels": {"norm": "rms_norm"}}}])
    client.wait_for("ended", second)
    with closing(RunReader(first)) as reader, closing(RunReader(second)) as other:
        assert reader.facts()["ablation"] == {"levels": {"norm": "rms_norm"}}
        assert "ablation" not in other.facts()


def test_a_queued_run_can_be_removed_and_a_running_one_cannot(start: Start) -> None:
    client = start()
    running, queued, last = client.submit(named("endless", "quick", "quick"))
    client.wait_for("started", running)
    assert client.queue()["queue"] == [str(queued), str(last)]
    assert client.queue("remove", queued) == {"queue": [str(last)], "running": str(running)}
    assert info(queued).status == "stopped" and "emoved from the queue" in info(queued).reason
    for run, code in ((running, "is-running"), (queued, "not-queued")):
        with pytest.raises(ConfigError) as caught:
            client.queue("remove", run)
        assert caught.value.problems[0].code == code
    control(running, "stop")
    client.wait_for("ended", running, status="stopped")
    client.wait_for("ended", last, status="finished")


# ------------------------------------------------------------------------------------------------ adopting


def test_queued_runs_of_a_dead_service_are_adopted_in_their_order(start: Start) -> None:
    dead = start()
    first, *rest = dead.submit(named("endless", "quick", "quick"))
    until(lambda: has_steps(first))
    assert all(is_locked(run) for run in rest)
    processes = family(dead.pid or 0)
    os.kill(dead.pid or 0, signal.SIGKILL)
    assert dead.wait_for("gone").detail["exit_code"] == -signal.SIGKILL
    assert gone(processes)
    heir = start()
    for run in rest:
        heir.wait_for("ended", run, status="finished")
    assert info(first).status == "interrupted"


def test_what_another_service_holds_is_left_alone(start: Start) -> None:
    owner = start()
    running, queued = owner.submit(named("endless", "quick"))
    owner.wait_for("started", running)
    other = start()
    other.hello()
    other.queue("adopt")
    (own,) = other.submit(named("quick"))
    other.wait_for("ended", own)
    assert other.queue() == {"queue": [], "running": None} and info(queued).status == "queued"


def test_a_run_on_its_way_to_a_worker_is_not_adopted_by_another_service(start: Start) -> None:
    first = start()
    (run,) = first.submit(named("dawdle"))
    first.wait_for("started", run)
    assert info(run).recorded_status == "queued", "its worker has not taken it yet"
    second = start()
    second.hello()
    second.queue("adopt")
    first.wait_for("ended", run, status="finished")
    assert steps(run) == [1, 2]
    assert not [notice for notice in second.notices if notice.kind == "started"]


def test_a_command_does_not_run_what_others_left(start: Start, tmp_path: Path) -> None:
    config, problems = parse_config(named("quick")[0])
    assert not problems
    left = tmp_path / "store" / "left.tfx"
    create(left, config, "")
    (tmp_path / "store" / "broken.tfx").write_bytes(b"no run file")
    command = start(on_disconnect="stop")
    (run,) = command.submit(named("quick"))
    command.wait_for("ended", run)
    assert info(left).status == "queued"
    command.queue("adopt")  # unless it asks for it
    command.wait_for("ended", left, status="finished")


# ------------------------------------------------------------------------------------------------ workers


def test_a_deep_check_is_answered_by_the_warm_worker(start: Start) -> None:
    client = start(warm=True)
    assert client.wait_for("warm", state="ready").detail["torch"] == "stand-in"
    assert client.validate(named("quick")[0]) == ()
    assert [p.message for p in client.validate(named("refuse")[0])] == ["is 'refuse'."]
    assert client.validate(named("refuse")[0], deep=False) == ()
    assert [p.path for p in client.validate({"model": {"heads": "x"}})] == ["model.heads"]


def test_an_estimate_is_asked_of_the_warm_worker_and_refused_where_the_configuration_is_wrong(start: Start) -> None:
    client = start(warm=True)
    found = client.estimate(named("quick")[0], "instant", 7)
    assert (found["level"], found["device_bytes"]) == ("instant", 7)
    with pytest.raises(ConfigError, match=r"model\.heads"):
        client.estimate({"model": {"heads": "x"}})


def test_the_time_of_a_step_is_not_predicted_beside_a_run_on_the_cpu(start: Start) -> None:
    client = start(standin="on-cpu", warm=True)
    asked = Estimate(id=0, config=named("quick")[0], level="time")
    assert client.call(asked).ok
    (run,) = client.submit(named("endless"))
    client.wait_for("started", run)
    assert [p["code"] for p in client.call(asked).problems] == ["run-under-way"]


def test_the_warm_worker_becomes_the_worker_of_the_run(start: Start) -> None:
    client = start(warm=True)
    pid = client.wait_for("warm", state="ready").detail["pid"]
    (run,) = client.submit(named("quick"))
    assert client.wait_for("started", run).detail["pid"] == pid


def test_the_next_worker_is_warmed_beside_a_run_on_a_device(start: Start) -> None:
    client = start(warm=True)
    (run,) = client.submit(named("endless"))
    client.wait_for("started", run)
    client.wait_for("warm", state="ready")
    assert client.queue()["running"] == str(run)


def test_beside_a_run_on_the_cpu_no_worker_is_warmed_until_it_is_asked_for(start: Start) -> None:
    client = start(standin="on-cpu", warm=True)
    (run,) = client.submit(named("endless"))
    client.wait_for("started", run)
    until(lambda: has_steps(run, 30))
    assert len(family(client.pid or 0)) == 2
    assert client.validate(named("quick")[0]) == ()
    assert len(family(client.pid or 0)) == 3


def test_a_crash_of_the_warm_worker_is_said_and_mended(start: Start) -> None:
    client = start(warm=True)
    os.kill(client.wait_for("warm", state="ready").detail["pid"], signal.SIGKILL)
    died = client.wait_for("warm", state="died")
    assert "SIGKILL" in died.detail["reason"] and "memory" in died.detail["reason"]
    client.wait_for("warm", state="ready")


def test_a_worker_that_never_starts_is_tried_a_few_times_and_the_reason_is_shown(start: Start) -> None:
    client = start(standin="broken", warm=True)
    given_up = client.wait_for("warm", state="given-up")
    assert "ImportError" in given_up.detail["reason"] and given_up.detail["crashes"] == 3
    assert client.validate(named("quick")[0]) == ()  # as far as the service itself can tell
    assert "ImportError" in client.doctor()["missing"]["torch"]
    with pytest.raises(ConfigError) as caught:
        client.submit(named("quick"))
    assert caught.value.problems[0].code == "not-checked"
    assert "ImportError" in caught.value.problems[0].message


def test_queued_runs_fail_one_by_one_where_no_worker_starts(start: Start, tmp_path: Path) -> None:
    config, _ = parse_config(named("quick")[0])
    left = [tmp_path / "store" / f"{name}.tfx" for name in "ab"]
    for position, run in enumerate(left):
        create(run, config, "", queue_position=position)
    client = start(standin="broken")
    for run in left:
        assert "ImportError" in client.wait_for("ended", run, status="failed").detail["reason"]
        assert info(run).status == "failed" and "ImportError" in info(run).reason


def test_a_check_that_kills_the_worker_costs_that_check_alone(start: Start) -> None:
    client = start(warm=True)
    with pytest.raises(ConfigError) as caught:
        client.submit(named("crash-the-check"))
    assert "SIGKILL" in caught.value.problems[0].message
    (run,) = client.submit(named("quick"))
    client.wait_for("ended", run, status="finished")


def test_stray_prints_of_a_worker_become_log_lines(start: Start) -> None:
    client = start()
    (run,) = client.submit(named("print"))
    assert client.wait_for("log", run).detail["text"] == '{"say":"ended","status":"failed"}'
    assert client.wait_for("log", run).detail["text"] == "printed from C"
    client.wait_for("ended", run, status="finished")


def test_what_a_worker_leaves_behind_is_ended_with_it(start: Start) -> None:
    client = start()
    (run,) = client.submit(named("leave-child"))
    left = int(client.wait_for("log", run).detail["text"].partition(": ")[2].rstrip("}"))
    client.wait_for("ended", run, status="finished")
    assert not psutil.pid_exists(left) or psutil.Process(left).status() == psutil.STATUS_ZOMBIE


def test_a_worker_does_not_get_what_is_the_windows_alone(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_PLUGIN_PATH", "/nowhere")
    client = start()
    (run,) = client.submit(named("quick"))
    client.wait_for("ended", run)
    with closing(RunReader(run)) as reader:
        environment = reader.facts()["environment"]
    assert not [name for name in environment if name.startswith("QT_")]
    assert environment["PYTHONUNBUFFERED"] == "1" and "KINETO_LOG_LEVEL" in environment


def test_doctor_says_what_service_and_worker_know(start: Start, tmp_path: Path) -> None:
    found = start().doctor()
    assert found["torch"] == "stand-in" and found["store"] == str(tmp_path / "store")
    assert found["store_free_bytes"] > 0 and "missing" not in found


# ------------------------------------------------------------------------------------------------ the end


def test_an_idle_service_ends_with_its_client(start: Start) -> None:
    client = start(warm=True)
    client.wait_for("warm", state="ready")
    processes = family(client.pid or 0)
    assert len(processes) == 2
    client.close(5)
    assert gone(processes)


def test_after_the_window_the_queue_is_finished(start: Start) -> None:
    client = start()
    runs = client.submit(named("quick", "quick"))
    client.close(0)
    assert client.wait(30)
    assert [info(run).status for run in runs] == ["finished", "finished"]


def test_after_a_command_everything_stops(start: Start) -> None:
    client = start(on_disconnect="stop")
    running, queued = client.submit(named("endless", "quick"))
    until(lambda: has_steps(running))
    processes = family(client.pid or 0)
    before = time.monotonic()
    client.close()
    assert gone(processes, 5.0 - (time.monotonic() - before))
    assert [info(run).status for run in (running, queued)] == ["interrupted", "interrupted"]
    assert "before its turn" in info(queued).reason


@pytest.mark.parametrize("how", ["closed", "told to stop"])
def test_what_is_still_being_checked_when_everything_stops_is_never_queued(start: Start, tmp_path: Path, how) -> None:
    client = start(on_disconnect="stop")
    replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
    client.request(Submit(id=0, configs=named("slow-check")), replies.put)
    client.wait_for("warm", state="ready")  # it is asked at once
    if how == "told to stop":
        client.shutdown(stop=True)
        assert not replies.get(timeout=1).ok
    client.close()
    assert client.wait(30)
    assert not list((tmp_path / "store").glob("*.tfx"))


def test_a_worker_that_does_not_end_is_killed(start: Start) -> None:
    client = start(on_disconnect="stop")
    (run,) = client.submit(named("hang"))
    until(lambda: has_steps(run))
    processes = family(client.pid or 0)
    client.close(6)
    assert gone(processes, 0.5)
    assert info(run).status == "interrupted" and "program that had started" in info(run).reason


def test_a_worker_that_is_not_ready_yet_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFX_STANDIN", "importing")
    events: queue.SimpleQueue[Any] = queue.SimpleQueue()
    worker = WorkerProcess("tests.helpers.standin_worker", events)
    worker.end(3600.0)
    assert isinstance(events.get(timeout=PATIENCE_S), WorkerGone)


def test_terminating_a_service_keeps_the_queue_of_a_window(start: Start) -> None:
    client = start()
    running, queued = client.submit(named("endless", "quick"))
    until(lambda: has_steps(running))
    processes = family(client.pid or 0)
    os.kill(client.pid or 0, signal.SIGTERM)
    assert gone(processes)
    assert [info(run).status for run in (running, queued)] == ["interrupted", "queued"]
    assert not is_locked(queued)


def test_an_interrupt_is_for_the_client_alone(start: Start) -> None:
    client = start()
    (run,) = client.submit(named("endless"))
    until(lambda: has_steps(run))
    os.kill(client.pid or 0, signal.SIGINT)
    control(run, "stop")
    client.wait_for("ended", run, status="stopped")


def test_shutdown_with_stop_stops_runs_politely(start: Start) -> None:
    client = start()
    running, queued = client.submit(named("endless", "quick"))
    until(lambda: has_steps(running))
    client.shutdown(stop=True)
    with pytest.raises((ConfigError, ServiceGone)):
        client.submit(named("quick"))
    assert client.wait(10)
    assert [info(run).status for run in (running, queued)] == ["stopped", "stopped"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk is always full here")
def test_a_stop_that_finds_no_room_for_a_letter_reaches_the_worker_all_the_same(start: Start) -> None:
    client = start(on_disconnect="stop")
    (run,) = client.submit(named("endless"))
    until(lambda: has_steps(run))
    Path(f"{run}.mail").symlink_to("/dev/full")
    client.shutdown(stop=True)
    assert client.wait(10)
    assert info(run).status == "stopped"


def test_shutdown_without_stop_finishes_first(start: Start) -> None:
    client = start()
    runs = client.submit(named("quick", "quick"))
    client.shutdown()
    with pytest.raises((ConfigError, ServiceGone)):
        client.submit(named("quick"))
    assert client.wait(30)
    assert [info(run).status for run in runs] == ["finished", "finished"]
    assert not [n for n in client.notices if n.kind == "gone"]  # nobody is surprised


# ------------------------------------------------------------------------------------------------ starting


def test_a_service_is_up_without_torch_and_numpy() -> None:
    program = ("import sys; import tfx_engine.service.main; "
               "print([m for m in ('torch', 'numpy', 'psutil', 'asyncio', 'PySide6') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
