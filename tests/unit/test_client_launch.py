"""How children are started: the environment they get, and that they end with who started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.services import until
from tfx_engine.protocol import launch


def test_a_child_gets_nothing_that_is_the_windows_alone() -> None:
    given = {"QT_QPA_PLATFORM": "offscreen", "QML2_IMPORT_PATH": "x", "CUDA_VISIBLE_DEVICES": "1"}
    child = launch.child_environment(given)
    assert not [name for name in child if name.startswith("Q")]
    assert child["CUDA_VISIBLE_DEVICES"] == "1" and child["PYTHONUNBUFFERED"] == "1"
    assert given["QT_QPA_PLATFORM"] == "offscreen"  # ours stays as it is


def test_what_the_user_set_for_the_profiler_stays() -> None:
    assert launch.child_environment({"KINETO_LOG_LEVEL": "0"})["KINETO_LOG_LEVEL"] == "0"


def test_a_frozen_program_gives_its_children_the_libraries_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    child = launch.child_environment({
        "PYTHONHOME": "x", "PYTHONPATH": "x", "LD_LIBRARY_PATH": "/bundle", "LD_LIBRARY_PATH_ORIG": "/mine",
        "DYLD_LIBRARY_PATH": "/bundle",
    })
    assert child["LD_LIBRARY_PATH"] == "/mine"
    assert not {"PYTHONHOME", "PYTHONPATH", "DYLD_LIBRARY_PATH", "LD_LIBRARY_PATH_ORIG"} & child.keys()


def test_a_child_finds_the_engine_from_any_folder_and_nothing_of_that_folder(tmp_path: Path) -> None:
    (tmp_path / "random.py").write_text("raise SystemExit('the wrong module')")
    done = subprocess.run(launch.module_argv("tfx_engine", "--help"), cwd=tmp_path, env=launch.child_environment({}),
                          capture_output=True, text=True)
    assert done.returncode == 0 and "serve" in done.stdout, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel does this on Linux only")
def test_on_linux_a_child_ends_with_its_parent_even_where_it_reads_nothing() -> None:
    child = "from tfx_engine.protocol.launch import end_with_parent; end_with_parent(); import time; time.sleep(60)"
    parent = (
        "import subprocess, sys, time; from tfx_engine.protocol.launch import child_environment\n"
        f"print(subprocess.Popen([sys.executable, '-c', {child!r}], env=child_environment()).pid, flush=True)\n"
        "time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True,
                          env=launch.child_environment()) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        until(lambda: b"time.sleep" in Path(f"/proc/{pid}/cmdline").read_bytes())
        process.kill()
    until(lambda: _ended(pid), timeout_s=10)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel does this on Linux only")
def test_a_parent_that_died_before_that_was_set_is_noticed() -> None:
    program = "from tfx_engine.protocol.launch import end_with_parent; end_with_parent(); import time; time.sleep(60)"
    environment = {**launch.child_environment(), launch.PARENT: str(2**22 + 1)}  # nobody has that number
    done = subprocess.run([sys.executable, "-c", program], env=environment, timeout=30)
    assert done.returncode == -signal.SIGTERM


def _ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_child_leads_a_session_of_its_own() -> None:
    # Compared within the child: the session's leader of this process may live where it has no number (a container).
    child = subprocess.run([sys.executable, "-c", "import os; print(os.getsid(0) == os.getpid())"], capture_output=True,
                           text=True, **launch.own_session())
    assert child.stdout.strip() == "True"


def test_threads_of_a_worker_do_not_hold_a_processor_while_they_wait_unless_one_asks_for_that():
    assert launch.child_environment({})["GOMP_SPINCOUNT"] == "10000"
    assert launch.child_environment({"GOMP_SPINCOUNT": "7"})["GOMP_SPINCOUNT"] == "7"
    assert "GOMP_SPINCOUNT" not in launch.child_environment({"OMP_WAIT_POLICY": "ACTIVE"})


@pytest.mark.skipif(sys.platform != "linux", reason="AppImages are Linux's")
def test_who_is_started_from_an_appimage_keeps_its_files_there_after_the_window_is_gone() -> None:
    ours, theirs = os.pipe()  # the runtime writes, and unmounts as soon as nobody could read
    os.set_blocking(theirs, False)
    window = (
        "import subprocess, sys; from tfx_engine.protocol import launch; launch.hold_mount()\n"
        "child = [sys.executable, '-c', 'import time; time.sleep(60)']\n"
        "child = subprocess.Popen(child, env=launch.child_environment(), stdout=2, **launch.own_session())\n"
        "print(child.pid, flush=True)"
    )
    environment = {**launch.child_environment(), "APPDIR": str(Path(sys.executable).parent)}
    done = subprocess.run([sys.executable, "-c", window], stdout=subprocess.PIPE, text=True, pass_fds=[ours],
                          env=environment, check=True)
    os.close(ours)
    pid = int(done.stdout)
    try:
        assert os.write(theirs, b"x") == 1
        os.kill(pid, signal.SIGKILL)
        until(lambda: _ended(pid))
        with pytest.raises(BrokenPipeError):
            os.write(theirs, b"x")
    finally:
        os.close(theirs)


@pytest.mark.skipif(sys.platform != "linux", reason="AppImages are Linux's")
@pytest.mark.parametrize("folder", ["", "/somewhere/else"])
def test_pipes_that_are_no_mount_of_ours_are_not_handed_on(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPDIR", folder)  # of a terminal, say
    monkeypatch.delenv(launch.MOUNT, raising=False)
    launch.hold_mount()
    assert launch.own_session()["pass_fds"] == ()
