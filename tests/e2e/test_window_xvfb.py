"""A real window on a real X server, driven by a real keyboard, with real training: run, kill, find again, stop."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.helpers.network import assert_no_network
from tests.helpers.private import assert_private
from tests.helpers.services import gone, has_steps, info, steps, until

CONFIG = """
name = "small"
[model]
width = 32
layers = 2
heads = 2
context = 32
[run]
batch = 2
measure_steps = 1000000
device = "cpu"
threads = 1
"""
Start = Callable[..., "subprocess.Popen[bytes]"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("Xvfb") is None, reason="Xvfb is not installed"),
    pytest.mark.skipif(shutil.which("xdotool") is None, reason="xdotool is not installed"),
]


@pytest.fixture
def display() -> Iterator[str]:
    """A screen that nobody sees."""
    reader, writer = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1680x1010x24", "-nolisten", "tcp", "-noreset"],
        pass_fds=(writer,), stderr=subprocess.DEVNULL)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        number = pipe.readline().strip()
    yield f":{number}"
    server.terminate()
    server.wait(10)


@pytest.fixture
def environment(display: str, tmp_path: Path, repo: Path) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if k != "TFX_WORKER_MODULE"}
    path = os.pathsep.join(filter(None, [str(repo), os.environ.get("PYTHONPATH")]))
    own = {"DISPLAY": display, "QT_QPA_PLATFORM": "xcb", "TFX_HOME": str(tmp_path / "home"), "PYTHONPATH": path}
    return {**inherited, **own}


@pytest.fixture
def start(environment: dict[str, str], repo: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def run(*arguments: str) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-m", "tfx_workbench", *arguments], env=environment, cwd=repo))
        return started[-1]

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait(10)
    end_everything_of(environment["TFX_HOME"])


def end_everything_of(home: str) -> None:
    """A window leaves its runs going: where the test failed, nobody else would end them."""
    for process in psutil.process_iter():
        try:
            if process.environ().get("TFX_HOME") == home:
                process.kill()
        except psutil.Error:
            continue  # gone already, or somebody else's


def press(environment: dict[str, str], keys: str) -> None:
    """Press keys in the window, as soon as it is there."""

    def find() -> str:
        words = ["xdotool", "search", "--onlyvisible", "--name", "^TFX Workbench$"]
        return subprocess.run(words, env=environment, capture_output=True, text=True, check=False).stdout.split("\n")[0]

    number = until(find)
    subprocess.run(["xdotool", "windowfocus", "--sync", number], env=environment, check=True)
    subprocess.run(["xdotool", "key", keys], env=environment, check=True)


def the_run(home: Path) -> Path | None:
    """The one run of the library, where there is one."""
    return next(iter(sorted((home / "runs").glob("*.tfx"))), None)


def test_f5_trains_kill_9_of_the_window_does_not_matter_and_the_next_window_stops_it(
    environment: dict[str, str], start: Start, tmp_path: Path
) -> None:
    config, home = tmp_path / "small.toml", tmp_path / "home"
    config.write_text(CONFIG)
    first = start(str(config))
    draft = home / "draft.json"
    until(lambda: draft.is_file() and "small" in draft.read_text())
    press(environment, "F5")
    run = until(lambda: the_run(home))
    until(lambda: has_steps(run, 10))
    assert assert_no_network(first.pid) >= 3, "the window, its service and a worker"
    assert_private(home)

    first.send_signal(signal.SIGKILL)
    first.wait(10)
    measured = len(steps(run))
    until(lambda: len(steps(run)) > measured + 20)
    worker = psutil.Process(info(run).pid or 0)

    second = start()

    def stop_it() -> bool:  # the key does nothing until the window has found the run
        press(environment, "shift+F5")
        return info(run).status == "stopped"

    until(stop_it)
    assert len(steps(run)) > measured
    assert gone([worker], within_s=20)

    second.terminate()
    assert second.wait(30) == 0, "a window that is asked to go closes in order"
