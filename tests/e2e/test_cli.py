"""The command line with a real engine and real training: results, refusals, Ctrl-C, kill, orders from elsewhere."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.helpers.commandline import TIMEOUT_S, Done, argv, command, start, write_config
from tests.helpers.network import assert_no_network
from tests.helpers.private import assert_private
from tests.helpers.services import family, gone, has_steps, info, steps, until
from tfx_engine.client import Client
from tfx_engine.protocol.cards import resource
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_workbench.commands.configs import read_configs

ENDLESS = {"measure_steps": 10**8}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    """A store; whatever process still works for this test when it ends is killed."""
    yield tmp_path / "store"
    for process in psutil.Process().children(recursive=True):
        process.kill()


def only_run(store: Path) -> Path:
    """The one run file in a store, as soon as it is there."""
    return until(lambda: next(iter(store.glob("*.tfx")), None))


def started(store: Path, *arguments: str | Path) -> tuple[subprocess.Popen[str], Path]:
    """A `run` that goes on forever, and its run file; three steps are in it."""
    config = write_config(store.parent, "endless", run=ENDLESS)
    process = start("run", config, "--store", store, *arguments)
    run = only_run(store)
    until(lambda: has_steps(run, 3))
    assert assert_no_network(process.pid) >= 3, "the command, its service and a worker"
    assert_private(store)
    return process, run


def ended(process: subprocess.Popen[str]) -> Done:
    """The end of a started command. A traceback may not be seen here either."""
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert "Traceback" not in out + err, out + err
    return Done(process.returncode, out, err)


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """A store with two real runs and one between them that failed, and the command that made them."""
    folder = tmp_path_factory.mktemp("two")
    sizes = {"width": 1_000_000, "heads": 1, "vocab": 8}  # one matrix of it takes 4 TB
    configs = [
        write_config(folder, "plain", model={"width": 32}),
        write_config(folder, "huge", model=sizes, data={"task": "copy", "symbols": 2}),
        write_config(folder, "lora", model={"width": 32}, techniques={"adapter": {"use": "lora", "rank": 2}}),
    ]
    return folder / "store", command("run", *configs, "--store", folder / "store", "--json")


def finished(done: Done) -> list[dict[str, Any]]:
    """The two runs that ended well."""
    return [run for run in done.objects if run["name"] != "huge"]


# ------------------------------------------------------------------------------------------ what a run gives


def test_every_run_is_one_object_as_it_ends(two_runs: tuple[Path, Done]) -> None:
    store, done = two_runs
    assert [run["name"] for run in done.objects] == ["plain", "huge", "lora"]
    for run in finished(done):
        assert (run["schema"], run["status"]) == (1, "finished")
        assert Path(run["run"]).parent == store
        assert run["measured_steps"] + run["left_out_steps"] == 4  # others on this machine may have disturbed one
        assert run["tokens_per_s"]["low"] <= run["tokens_per_s"]["median"] <= run["tokens_per_s"]["high"]
        assert run["loss"]["first"] == pytest.approx(5.5, abs=0.5), "a byte at random has ln 256 nats"


def test_the_composition_adds_up_to_the_peak(two_runs: tuple[Path, Done]) -> None:
    for run in finished(two_runs[1]):
        memory = run["memory_bytes"]
        assert memory["peak"] == sum(memory[name] for name in CATEGORIES)
        assert memory["parameters"] >= 4 * (run["params"]["total"] - run["params"]["trainable"])


def test_lora_trains_a_small_part_with_small_gradients_and_state(two_runs: tuple[Path, Done]) -> None:
    plain, lora = finished(two_runs[1])
    assert lora["params"]["trainable"] < 0.2 * plain["params"]["trainable"]
    for name in ("gradients", "optimizer"):
        assert lora["category_peak_bytes"][name] < 0.4 * plain["category_peak_bytes"][name]


def test_show_gives_the_same_figures_later(two_runs: tuple[Path, Done]) -> None:
    store, done = two_runs
    shown = command("show", "plain", "--store", store, "--json")
    assert shown.objects == [done.objects[0]]


def test_compare_sees_what_differs(two_runs: tuple[Path, Done]) -> None:
    (comparison,) = command("compare", "plain", "lora", "--store", two_runs[0], "--json").objects
    (other,) = comparison["runs"]
    assert other["config_diff"]["techniques.adapter.use"] == {"baseline": "none", "run": "lora"}
    assert other["effects"]["trainable_params"]["percent"] < -80


# ------------------------------------------------------------------------------------------ what is refused


def test_what_only_the_engine_can_see_is_refused_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "binary.bin").write_bytes(bytes(range(256)) * 16)
    (tmp_path / "short.txt").write_text("too short")
    wrong = {
        name: write_config(tmp_path, name.partition(".")[0], data={"task": "text", "path": str(tmp_path / name)})
        for name in ("missing.txt", "empty.txt", "binary.bin", "short.txt")
    }
    fine = write_config(tmp_path, "fine")
    done = command("run", fine, *wrong.values(), "--store", tmp_path / "store", "--json")
    (refusal,) = done.objects
    assert (done.code, refusal["ok"]) == (2, False)
    places = [problem["path"] for problem in refusal["problems"]]
    for config in wrong.values():
        assert any(place.startswith(f"{config}: ") for place in places), places
    assert not any(place.startswith(str(fine)) for place in places)
    assert list((tmp_path / "store").glob("*.tfx")) == []


@pytest.mark.parametrize(
    ("sections", "path", "words"),
    [
        ({"techniques": {"position": {"use": "rotery"}}}, "techniques.position.use", "rotery"),
        ({"model": {"widht": 16}}, "model.widht", "Did you mean 'width'?"),
        ({"model": {"layers": "two"}}, "model.layers", "must be a whole number"),
        ({"model": {"heads": 3}}, "model.heads", "does not divide"),
    ],
    ids=["technique", "key", "type", "heads"],
)
def test_a_wrong_configuration_is_a_sentence_with_its_place(tmp_path: Path, sections, path: str, words: str) -> None:
    config = write_config(tmp_path, **sections)
    for arguments in (["check", config], ["run", config, "--store", tmp_path / "store"]):
        done = command(*arguments)
        assert done.code == 2
        assert path in done.err
        assert words in done.err
    assert not (tmp_path / "store").exists()


def test_a_store_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = command("run", write_config(tmp_path), "--store", tmp_path / "file" / "store")
    assert done.code == 2
    assert "cannot be written" in done.err


def test_check_finds_nothing_wrong_with_what_runs(tmp_path: Path) -> None:
    done = command("check", write_config(tmp_path), "--json")
    assert (done.code, done.objects) == (0, [{"schema": 1, "ok": True, "problems": [], "missing": {}}])


def test_the_presets_can_be_run_here(tmp_path: Path) -> None:
    presets = [path for path in resource("presets").rglob("*.toml") if path.name != "index.toml"]
    with Client(tmp_path / "store", on_disconnect="stop", warm=False) as client:
        for given in read_configs([str(path) for path in presets]):
            problems = client.validate(given.data)
            assert [problem for problem in problems if problem.level == "error"] == [], given.file


# ------------------------------------------------------------------------------------------ how a run ends


def test_one_that_fails_does_not_stop_the_next(two_runs: tuple[Path, Done]) -> None:
    done = two_runs[1]
    assert done.code == 1, done.err
    _, huge, after = done.objects
    assert (huge["status"], after["status"]) == ("failed", "finished")
    assert "Out of memory" in huge["reason"]
    assert huge["loss"]["final"] is None


def test_ctrl_c_stops_the_run_and_keeps_what_was_measured(store: Path) -> None:
    process, run = started(store, "--json")
    processes = family(process.pid)
    process.send_signal(signal.SIGINT)
    done = ended(process)
    assert done.code == 130
    assert [result["status"] for result in done.objects] == ["stopped"]
    assert info(run).recorded_status == "stopped"
    assert len(steps(run)) >= 3
    assert gone(processes)


def test_ctrl_c_twice_leaves_at_once(store: Path) -> None:
    process, run = started(store)
    processes = family(process.pid)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    assert ended(process).code == 130
    assert gone(processes)
    assert info(run).status in ("stopped", "interrupted")


def test_ctrl_c_before_anything_runs_leaves_nothing_behind(store: Path) -> None:
    process = start("run", write_config(store.parent, run=ENDLESS), "--store", store)
    until(lambda: len(family(process.pid)) > 1)
    processes = family(process.pid)
    process.send_signal(signal.SIGINT)
    assert ended(process).code == 130
    assert gone(processes)


def test_a_killed_command_takes_worker_and_service_along_and_the_run_is_interrupted(store: Path) -> None:
    process, run = started(store)
    processes = family(process.pid)
    assert len(processes) >= 3, "command, service, worker"
    process.kill()
    process.communicate()
    assert gone(processes, within_s=5.0)
    assert info(run).status == "interrupted"
    assert len(steps(run)) >= 3


def test_a_command_whose_service_is_killed_says_so_and_fails(store: Path) -> None:
    process, _ = started(store, "--json")
    service = psutil.Process(process.pid).children()[0]
    service.kill()
    done = ended(process)
    assert done.code == 1
    assert [result["status"] for result in done.objects] == ["interrupted"]
    assert "engine" in done.err


def test_on_a_terminal_a_bar_shows_how_far_the_run_is_and_a_setting_reaches_it(store: Path) -> None:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    config = write_config(store.parent, run={"measure_steps": 300})
    deeper = ("--set", "model.layers=2", "--set", "name=deeper")
    process = subprocess.Popen(argv("run", config, *deeper, "--store", store), stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    pieces: list[bytes] = []

    def read() -> None:  # all the while: a terminal holds 4 KB, and a slow run draws the bar more often
        with contextlib.suppress(OSError):  # the other end is closed
            while piece := os.read(ours, 2**16):
                pieces.append(piece)

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    out, _ = process.communicate(timeout=TIMEOUT_S)
    reading.join(TIMEOUT_S)
    shown = b"".join(pieces).decode()
    os.close(ours)
    assert process.returncode == 0
    assert "\r" in shown
    assert "1/1  [" in shown
    assert shown.rstrip(" ").endswith("\r"), "the bar is taken away"
    assert out.startswith(b"deeper: finished.")
    assert info(only_run(store)).config["model"]["layers"] == 2


# ------------------------------------------------------------------------------------------ orders from elsewhere


def test_another_command_line_pauses_resumes_and_stops_a_run(store: Path) -> None:
    process, run = started(store)
    (paused,) = command("pause", run.stem, "--store", store, "--json").objects
    assert paused == {"schema": 1, "run": str(run), "action": "pause", "acknowledged": True}
    until(lambda: not _grows(run))
    assert "was heard" in command("resume", "endless", "--store", store).out
    until(lambda: _grows(run))
    assert command("stop", run).code == 0
    done = ended(process)
    assert done.code == 1
    assert info(run).recorded_status == "stopped"
    assert "endless: stopped." in done.out
    assert "nothing to pause" in command("pause", run).err


def _grows(run: Path) -> bool:
    """Whether steps arrive within half a second; the writer commits every quarter."""
    before = len(steps(run))
    try:
        return bool(until(lambda: len(steps(run)) > before, timeout_s=0.5))
    except AssertionError:
        return False


def test_a_reader_of_the_output_may_leave(two_runs: tuple[Path, Done]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)  # before anything is said
    listing = subprocess.Popen(argv("list", "--store", two_runs[0], "--json"), stdout=theirs, stderr=subprocess.PIPE,
                               text=True)
    os.close(theirs)
    assert listing.communicate(timeout=TIMEOUT_S)[1] == ""
    assert listing.returncode == 1


def test_doctor_says_what_works(tmp_path: Path) -> None:
    (report,) = command("doctor", "--store", tmp_path / "store", "--json").objects
    checks = {check["name"]: check for check in report["checks"]}
    for needed in ("python", "sqlite", "store", "engine", "torch", "cpu"):
        assert checks[needed]["ok"] is True, checks[needed]
    assert all(check["hint"] for check in report["checks"] if check["ok"] is False)


def test_the_program_knows_its_version_without_loading_anything_slow() -> None:
    done = command("--version")
    assert (done.code, done.err) == (0, "")
    code = "import sys, tfx_workbench.cli; sys.exit(any(name in sys.modules for name in ('torch', 'PySide6', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ).returncode == 0


def test_an_estimate_is_a_table_or_one_object_and_needs_no_such_device(tmp_path: Path) -> None:
    config = write_config(tmp_path, "far away", model={"width": 65536, "layers": 200}, run={"device": "cuda:5"})
    done = command("estimate", config, "--json")
    assert done.code == 0, done.err
    (figures,) = done.objects
    assert figures["schema"] == 1 and figures["params"]["total"] > 10**13
    assert figures["flops_per_token"]["backward"] > figures["flops_per_token"]["forward"]
    told = command("estimate", config, "--instant", "--device-memory", "24GiB")
    assert told.code == 0 and f"{figures['params']['total']:,}" in told.out
    refused = command("estimate", config, "--set", "techniques.attention.use=grouped_query",
                      "--set", "techniques.attention.kv_heads=7", "--json")
    assert refused.code == 2 and not refused.objects[0]["ok"]
