"""The smoke test of an installer: puts it on this machine, uses what it brought, takes it away again.

    python packaging/smoke.py FORMAT INSTALLER

The program is started as a desktop starts it, in an environment that names nothing but a home and a display, and, where
Linux lets us, without a network and where neither this checkout nor the Python it was made with can be seen. The tests
run in the order in which they stand. Pictures of the window are left in build/installers/pictures, to be looked at.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from alone import environment
from display import Display, shows_something
from formats import Format, Installed, format_of
from product import BUILD, ROOT, product

HERE = Path(__file__).resolve().parent
FORMAT, INSTALLER = "TFX_SMOKE_FORMAT", "TFX_SMOKE_INSTALLER"
PICTURES = BUILD / "pictures"
WINDOW_S, STAYS_S = 120, 8
SMALL = """
name = "small"
model = { width = 32, layers = 1, heads = 2, context = 16 }
run = { batch = 2, warmup_steps = 0, measure_steps = 2, profile = false, audit = false, probes = false, threads = 1 }
"""


def check_installer(name: str, installer: Path, python: Path) -> int:
    """Run the tests below with that Python, which has pytest; its exit code."""
    environment = {**os.environ, FORMAT: name, INSTALLER: str(installer.resolve()), "PYTHONPATH": str(HERE)}
    options = ["-c", os.devnull, "--rootdir", str(HERE), "-p", "no:cacheprovider", "-v", "-x", "-s"]
    return subprocess.call([str(python), "-m", "pytest", *options, __file__], env=environment)


class Product:
    """The installed program: how to start it as somebody would who has nothing of ours."""

    def __init__(self, installed: Installed, home: Path) -> None:
        self.installed = installed
        self.home = home
        self.runs: list[Path] = []  # what the demonstration left

    def environment(self, **more: str) -> dict[str, str]:
        """All that the program is told."""
        return environment(self.home, **more)

    def argv(self, *arguments: str, program: Path | None = None) -> list[str]:
        """A command line of the workbench, or another program of it, in a place where it finds nothing but itself."""
        return [*_apart(), str(program or self.installed.workbench), *arguments]

    def call(self, *arguments: str, timeout: float = 300) -> str:
        """What a command prints. It must end well."""
        done = subprocess.run(self.argv(*arguments), capture_output=True, text=True, env=self.environment(),
                              timeout=timeout, cwd=self.home)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def answer(self, *arguments: str) -> Any:
        """The one object that a command prints with --json."""
        return json.loads(self.call(*arguments, "--json").splitlines()[-1])


@functools.cache
def _apart() -> tuple[str, ...]:
    """As root on Linux: a name space without a network, in which this checkout and its Python are empty folders."""
    unshare = shutil.which("unshare")
    if not sys.platform.startswith("linux") or os.geteuid() != 0 or not unshare:
        return ()
    hidden = {str(ROOT), sys.prefix} | ({sys.base_prefix} - {"/usr"})
    mounts = " && ".join(f"mount -t tmpfs none '{place}'" for place in sorted(hidden, reverse=True))
    script = f'PATH=/usr/sbin:/usr/bin:/sbin:/bin; {mounts} && unset PATH && exec "$0" "$@"'
    apart = (unshare, "--net", "--mount", "/bin/sh", "-c", script)
    tried = subprocess.run([*apart, "/bin/true"], capture_output=True, text=True)
    if tried.returncode:
        print(f"\nnot apart from this machine: {tried.stderr.strip()}")
    return () if tried.returncode else apart


@pytest.fixture(scope="module")
def form() -> Format:
    return format_of(os.environ[FORMAT])


@pytest.fixture(scope="module")
def installer() -> Path:
    return Path(os.environ[INSTALLER])


@pytest.fixture(scope="module")
def program(form: Format, installer: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """Installed for as long as the tests of this file last; what fails in between still leaves a clean machine."""
    installed = form.install(installer)
    yield Product(installed, tmp_path_factory.mktemp("home"))
    if installed.workbench.exists():
        form.uninstall(installed)


@pytest.fixture(scope="module")
def display() -> Iterator[Display]:
    PICTURES.mkdir(parents=True, exist_ok=True)
    with Display() as shown:
        yield shown


def test_the_judge_of_its_format_finds_no_error(form: Format, installer: Path) -> None:
    examine = getattr(form, "examine", None)
    assert examine is None or examine(installer) == []


def test_it_is_installed_and_knows_its_version(program: Product) -> None:
    assert program.call("--version").split()[-1] == product().version


def test_the_doctor_finds_everything_there(program: Product) -> None:
    checks = {check["name"]: check for check in program.answer("doctor")["checks"]}
    wanted = ("python", "sqlite", "store", "window", "plots", "engine", "torch", "cpu")
    assert [name for name in wanted if not checks.get(name, {}).get("ok")] == [], checks


def test_the_window_opens_within_its_time(program: Product, display: Display) -> None:
    times = []
    for start in range(3):  # the first reads from the disk
        began = time.monotonic()
        with _window(program, display) as window:
            display.wait_for_window(WINDOW_S, window)
            times.append(f"{time.monotonic() - began:.2f} s{_processor(window.pid)}")
            if start == 2:
                time.sleep(STAYS_S)
                assert window.poll() is None
                _photograph(program, display, PICTURES / "window.png")
    print(f"\nwindow up after {', '.join(times)}")


def test_the_demonstration_runs_and_writes_its_report(program: Product) -> None:
    began = time.monotonic()
    store = program.home / "demonstration"
    said = program.call("--demo", "--headless", "--store", str(store), timeout=1800)
    print(f"\n{said}\ndemonstration: {time.monotonic() - began:.0f} s")
    program.runs = sorted(store.glob("*.tfx"))
    assert len(program.runs) == 6
    assert [path for path in program.runs if program.answer("show", str(path))["status"] != "finished"] == []
    reports, pictures = list(store.glob("*.html")), list(store.glob("*.png"))
    assert reports and "<svg" in reports[0].read_text(encoding="utf-8")
    assert pictures and pictures[0].read_bytes().startswith(b"\x89PNG")
    shutil.copy(pictures[0], PICTURES / "demonstration.png")


def test_the_desktop_knows_what_opens_a_run(form: Format, program: Product) -> None:
    associated = getattr(form, "associated", None)
    assert associated is None or associated(program.installed) == []


def test_a_double_click_opens_a_run(program: Product, display: Display) -> None:
    with _window(program, display, *map(str, program.runs)) as window:
        display.wait_for_window(WINDOW_S, window)
        time.sleep(STAYS_S)
        assert window.poll() is None
        _photograph(program, display, PICTURES / "runs.png", *map(str, program.runs))


@pytest.mark.parametrize("end", ["html", "pdf", "svg", "csv"])
def test_it_writes_a_report(program: Product, end: str) -> None:
    file = program.home / f"report.{end}"
    choice = ["--exhibits", "loss"] if end in ("svg", "csv") else []
    program.call("report", *map(str, program.runs[:2]), *choice, "-o", str(file))
    assert file.stat().st_size > 200


def test_a_run_becomes_a_script_as_the_sources_are_there(program: Product) -> None:
    file = program.home / "run.py"
    program.call("export", str(program.runs[0]), "--format", "script", "-o", str(file))
    compile(file.read_text(encoding="utf-8"), str(file), "exec")


def test_every_technique_trains_a_step_and_what_cannot_is_refused_in_words(program: Product) -> None:
    from every_technique import run_all, write_configs
    from freeze.environment import PYTHON

    assert PYTHON.exists()
    folder = program.home / "techniques"
    engine = program.argv(program=program.installed.engine)
    outcome = run_all(engine, write_configs(folder / "configs"), folder / "runs")
    print(f"\n{len(outcome.finished)} variants trained a step")
    for name, words in outcome.refused.items():
        print(f"refused: {name}: {words}")
    assert outcome.failed == {} and len(outcome.finished) > 100


def test_the_engine_runs_in_a_python_that_the_user_chose(program: Product) -> None:
    from freeze.environment import PYTHON

    python = str(PYTHON)
    checks = _in_the_open(program, "doctor", "--json", TFX_ENGINE_PYTHON=python)
    engine = next(check for check in checks["checks"] if check["name"] == "engine")
    assert engine["ok"] and python in engine["detail"], engine
    config = program.home / "small.toml"
    config.write_text(SMALL, encoding="utf-8")
    store = program.home / "own python"
    run = _in_the_open(program, "run", str(config), "--store", str(store), "--json", TFX_ENGINE_PYTHON=python)
    assert (run["status"], run["steps"]) == ("finished", 2), run


def test_it_is_removed_without_leftovers(form: Format, program: Product) -> None:
    assert form.uninstall(program.installed) == []
    assert all(run.exists() for run in program.runs)  # what was measured is the user's


def _processor(pid: int) -> str:
    """How much of that time was the process's own, where Linux says: on a busy machine the rest is waiting."""
    file = Path(f"/proc/{pid}/stat")
    if not file.exists():
        return ""
    user, system = file.read_text().rpartition(") ")[2].split()[11:13]
    return f" ({(int(user) + int(system)) / os.sysconf('SC_CLK_TCK'):.2f} s of processor time)"


def _photograph(program: Product, display: Display, file: Path, *runs: str) -> None:
    """What can be seen now; where nobody may look, what the program itself draws."""
    if display.can_be_photographed:
        display.photograph(file)
        return
    program.call(*runs, "--headless", "--screenshot", str(file))
    shows_something(file)


def _window(program: Product, display: Display, *arguments: str) -> Any:
    """The window as a process that is ended in the end."""
    command = program.argv(*arguments, program=program.installed.window)
    environment = program.environment(**display.variables())
    process = subprocess.Popen(command, env=environment, cwd=program.home, stderr=subprocess.PIPE)
    return _Ended(process)


class _Ended:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def __enter__(self) -> subprocess.Popen[bytes]:
        return self.process

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        said = self.process.communicate(timeout=30)[1].decode(errors="replace")
        assert "Traceback" not in said, said


def _in_the_open(program: Product, *arguments: str, **more: str) -> Any:
    """As `answer`, where the rest of this machine can be seen."""
    done = subprocess.run([str(program.installed.workbench), *arguments], capture_output=True, text=True,
                          env=program.environment(**more), cwd=program.home, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    sys.exit(check_installer(sys.argv[1], Path(sys.argv[2]), Path(sys.executable)))
