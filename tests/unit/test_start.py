"""The decisions of the set-up, without a network: which torch, which packages, what is done already."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import start
from set_up import explain, progress, system_libraries, torch_build


def report(*packages: tuple[str, str]) -> dict:
    return {
        "install": [
            {"metadata": {"name": name, "version": version}, "download_info": {"url": f"file:///no/{name}"}}
            for name, version in packages
        ]
    }


# ------------------------------------------------------------------------------ what was typed


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], (False, "auto", [])),
        (["five.toml"], (False, "auto", ["five.toml"])),
        (["--torch", "cpu", "run", "five.toml"], (False, "cpu", ["run", "five.toml"])),
        (["test"], (True, "auto", [])),
        (["test", "--torch=cuda", "tests/unit", "-x"], (True, "cuda", ["tests/unit", "-x"])),
        (["--torch", "cpu", "test"], (True, "cpu", [])),
        (["run", "test"], (False, "auto", ["run", "test"])),
    ],
)
def test_our_own_arguments_come_first_and_the_rest_is_passed_on(argv, expected):
    assert start.parse(argv) == expected


@pytest.mark.parametrize("argv", [["--torch"], ["--torch", "rocm"], ["--torch="]])
def test_an_unknown_build_is_refused_with_the_choices(argv):
    with pytest.raises(progress.Refusal, match="auto, cpu or cuda"):
        start.parse(argv)


def test_tests_run_in_one_process_only_when_arguments_are_given():
    assert start.command_for(start.Request(True, "auto", []), True) == ["-m", "tests.helpers.suite"]
    with_path = start.Request(True, "auto", ["tests/unit"])
    assert start.command_for(with_path, True) == ["-m", "pytest", "tests/unit"]


def test_without_a_display_the_demonstration_runs_unless_something_else_was_asked():
    nothing, run = start.Request(False, "auto", []), start.Request(False, "auto", ["run", "a.toml"])
    assert start.command_for(nothing, True)[-2:] == ["--demo", "--headless"]
    assert start.command_for(nothing, False)[-1] == "tfx_workbench"
    assert start.command_for(run, True)[-2:] == ["run", "a.toml"]


@pytest.mark.parametrize(
    ("environment", "platform", "headless"),
    [
        ({}, "linux", True),
        ({"DISPLAY": ":0"}, "linux", False),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", False),
        ({"DISPLAY": ":0", "QT_QPA_PLATFORM": "offscreen"}, "linux", True),
        ({"QT_QPA_PLATFORM": "vnc:size=800x600"}, "linux", False),
        ({}, "win32", False),
        ({}, "darwin", False),
    ],
)
def test_a_display_is_told_from_none(environment, platform, headless):
    assert start.is_headless(environment, platform) is headless


# ------------------------------------------------------------------------------ the stamp


@pytest.mark.parametrize(
    ("stamp", "testing", "torch", "enough"),
    [
        ({}, False, "auto", False),
        ({"key": "k", "extra": "app", "torch": "cpu"}, False, "auto", True),
        ({"key": "k", "extra": "app", "torch": "cpu"}, True, "auto", False),
        ({"key": "k", "extra": "test", "torch": "cpu"}, False, "auto", True),
        ({"key": "k", "extra": "test", "torch": "cpu"}, True, "cpu", True),
        ({"key": "k", "extra": "test", "torch": "cpu"}, True, "cuda", False),
        ({"key": "old", "extra": "test", "torch": "cpu"}, False, "auto", False),
    ],
)
def test_a_stamp_serves_the_requests_it_covers(stamp, testing, torch, enough):
    assert start.is_enough(stamp, start.Request(testing, torch, []), "k") is enough


def test_the_key_changes_with_the_project_the_python_and_the_place():
    keys = {
        start.key_of(b"a", "3.11", "/x"),
        start.key_of(b"b", "3.11", "/x"),
        start.key_of(b"a", "3.12", "/x"),
        start.key_of(b"a", "3.11", "/y"),
    }
    assert len(keys) == 4


def test_a_broken_stamp_counts_as_none(tmp_path, monkeypatch):
    stamp, python = tmp_path / "stamp.json", tmp_path / "python"
    monkeypatch.setattr(start, "STAMP", stamp)
    monkeypatch.setattr(start, "PYTHON", python)
    stamp.write_text('{"key": "k')
    assert start.read_stamp() == {}
    stamp.write_text('{"key": "k"}')
    assert start.read_stamp() == {}, "there is no Python in the environment"
    python.touch()
    assert start.read_stamp() == {"key": "k"}


def test_an_environment_that_somebody_else_made_is_not_deleted(tmp_path, monkeypatch):
    monkeypatch.setattr(start, "VENV", tmp_path)
    monkeypatch.setattr(start, "LOG", tmp_path / "setup.log")
    (tmp_path / "precious").touch()
    with pytest.raises(progress.Refusal, match="move it away"):
        start.remove_environment()
    assert (tmp_path / "precious").exists()


# ------------------------------------------------------------------------------ torch


@pytest.mark.parametrize(
    ("packages", "build"),
    [
        ([("torch", "2.9.0"), ("nvidia-cublas-cu12", "12.8")], "cuda"),
        ([("torch", "2.13.0"), ("cuda-bindings", "13.0")], "cuda"),
        ([("torch", "2.9.0+cu128")], "cuda"),
        ([("torch", "2.9.0+cpu"), ("nvidia-ml-py", "12")], "cpu"),
        ([("torch", "2.9.0"), ("numpy", "2.3")], "cpu"),
        ([("numpy", "2.3")], None),
    ],
)
def test_the_build_is_read_from_what_pip_reports(packages, build):
    assert torch_build.build_in(report(*packages)) == build


@pytest.mark.parametrize(
    ("asked", "gpu", "found", "wanted", "tool", "backend"),
    [
        ("auto", False, "cpu", "cpu", "pip", "cpu"),
        ("auto", True, "cuda", "cuda", "pip", "auto"),
        ("auto", False, "cuda", "cpu", "uv", "cpu"),  # Linux without a GPU
        ("auto", True, "cpu", "cuda", "uv", "auto"),  # Windows with one
        ("cpu", True, "cuda", "cpu", "uv", "cpu"),
        ("cpu", True, "cpu", "cpu", "pip", "cpu"),
        ("cuda", False, "cuda", "cuda", "pip", "auto"),
    ],
)
def test_plain_pip_is_used_exactly_where_it_takes_the_right_build(asked, gpu, found, wanted, tool, backend):
    plan = torch_build.plan(asked, gpu, found)
    assert (plan.wanted, plan.tool, plan.backend) == (wanted, tool, backend)
    assert plan.may_fall_back is (asked == "auto")


class FakeSteps(progress.Steps):
    """Notes the commands instead of running them; those with a word of `failing` in them fail."""

    def __init__(self, log: Path, found: dict, failing: str = "\0") -> None:
        super().__init__(log)
        self.found, self.failing = found, failing
        self.commands: list[str] = []

    def run(self, command: list[str], **variables: str) -> None:
        self.commands.append(" ".join(command[1:]))
        if "--report" in command:
            import json

            Path(command[command.index("--report") + 1]).write_text(json.dumps(self.found))
        if self.failing in command:
            raise progress.CommandFailed("NewConnectionError")


CUDA = report(("torch", "2.9.0"), ("nvidia-cudnn", "9"))


def install(steps: FakeSteps, asked: str, monkeypatch: pytest.MonkeyPatch, gpu: bool = False) -> list[str]:
    monkeypatch.setattr(torch_build, "has_nvidia_gpu", lambda: gpu)
    torch_build.install(steps, Path("python"), "torch>=2", asked)
    return steps.commands


def test_a_cpu_build_comes_from_uv_where_pip_would_fetch_cuda(tmp_path, monkeypatch, capsys):
    commands = install(FakeSteps(tmp_path / "log", CUDA), "auto", monkeypatch)
    assert commands[-1] == "-m uv pip install --python python --torch-backend=cpu torch>=2"
    assert "CPU one with uv, about 200 MB" in capsys.readouterr().out


def test_with_a_gpu_and_too_little_disk_the_cpu_build_is_taken_and_said(tmp_path, monkeypatch, capsys):
    free = {"bytes": torch_build.CUDA_ROOM - 1}
    monkeypatch.setattr(torch_build.shutil, "disk_usage", lambda _: SimpleNamespace(free=free["bytes"]))
    commands = install(FakeSteps(tmp_path / "log", CUDA), "auto", monkeypatch, gpu=True)
    assert "--torch-backend=cpu" in commands[-1]
    assert "about 10.0 GB of disk" in (said := capsys.readouterr().out) and "--torch cuda" in said
    asked = install(FakeSteps(tmp_path / "log", CUDA), "cuda", monkeypatch, gpu=True)
    assert "--torch-backend" not in asked[-1]  # who names it gets it
    free["bytes"] += 1
    assert "--torch-backend" not in install(FakeSteps(tmp_path / "log", CUDA), "auto", monkeypatch, gpu=True)[-1]


def test_a_torch_that_is_there_is_left_alone(tmp_path, monkeypatch):
    assert len(install(FakeSteps(tmp_path / "log", report()), "auto", monkeypatch)) == 1


def test_the_large_download_is_announced_with_its_size_where_nothing_else_can_be_had(
    tmp_path, monkeypatch, capsys
):
    commands = install(FakeSteps(tmp_path / "log", CUDA, failing="uv"), "auto", monkeypatch)
    assert commands[-1].endswith("torch>=2") and " uv" not in commands[-1]
    assert "CUDA build, about 3.0 GB" in capsys.readouterr().out


def test_a_cpu_build_that_was_asked_for_is_never_replaced_by_the_large_download(tmp_path, monkeypatch):
    steps = FakeSteps(tmp_path / "log", CUDA, failing="uv")
    with pytest.raises(progress.Refusal, match="CPU build of torch could not be fetched"):
        install(steps, "cpu", monkeypatch)
    assert not [command for command in steps.commands if command.endswith("raw torch>=2")]


def test_the_installed_build_is_read_without_importing_torch(tmp_path):
    file = tmp_path / "torch" / "version.py"
    assert torch_build.installed_build(tmp_path) is None
    file.parent.mkdir()
    file.write_text("__version__ = '2.9'\ncuda: Optional[str] = '12.8'\nhip: Optional[str] = None\n")
    assert torch_build.installed_build(tmp_path) == "cuda"
    file.write_text("__version__ = '2.9+cpu'\ncuda: Optional[str] = None\n")
    assert torch_build.installed_build(tmp_path) == "cpu"


def test_the_requirement_on_torch_stands_in_one_place(repo):
    line = torch_build.requirement_in((repo / "pyproject.toml").read_text(encoding="utf-8"))
    assert line == "torch>=2.7,<2.14"


# ------------------------------------------------------------------------------ system libraries


@pytest.mark.parametrize(
    ("library", "package"),
    [
        ("libEGL.so.1", "libegl1"),
        ("libX11-xcb.so.1", "libx11-xcb1"),
        ("libX11.so.6", "libx11-6"),
        ("libxcb-cursor.so.0", "libxcb-cursor0"),
        ("libdbus-1.so.3", "libdbus-1-3"),
        ("libgssapi_krb5.so.2", "libgssapi-krb5-2"),
        ("libglib-2.0.so.0", "libglib2.0-0"),
        ("libxkbcommon-x11.so.0", "libxkbcommon-x11-0"),
    ],
)
def test_the_package_of_a_library_is_found_by_debians_rule(library, package):
    assert system_libraries.package_of(library) == package


@pytest.mark.skipif(sys.platform == "win32", reason="Debian only")
def test_without_ensurepip_the_line_to_type_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(system_libraries.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(system_libraries.shutil, "which", lambda name: f"/usr/bin/{name}")
    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    with pytest.raises(progress.Refusal, match=f"sudo apt-get install .* {package}\n"):
        system_libraries.get_venv_module(progress.Steps(tmp_path / "log"))


def test_missing_libraries_are_read_from_ldd_without_qts_own():
    output = (
        "\tlibEGL.so.1 => not found\n\tlibQt6Core.so.6 => not found\n"
        "\tlibc.so.6 => /lib/libc.so.6 (0x1)\n\tlibEGL.so.1 => not found\n"
    )
    assert system_libraries.not_found(output) == ["libEGL.so.1"]


def test_a_package_counts_as_installed_under_its_other_name():
    wanted = ["libglib2.0-0", "fonts-inter", "xvfb"]
    assert system_libraries.missing_packages(wanted, {"libglib2.0-0t64", "fonts-dejavu-core"}) == ["xvfb"]


def test_a_package_is_installed_by_the_name_that_this_system_knows(monkeypatch):
    told = (
        "xvfb:\n  Installed: 2:21\n  Candidate: 2:21\n  Version table:\n"
        "libglib2.0-0:\n  Installed: (none)\n  Candidate: (none)\n  Version table:\n"
        "fonts-inter:\n  Installed: (none)\n  Candidate: 4.0\n  Version table:\n"
    )
    done = subprocess.CompletedProcess([], 0, stdout=told, stderr="")
    monkeypatch.setattr(system_libraries.subprocess, "run", lambda *_, **__: done)
    asked = ["xvfb", "libglib2.0-0", "fonts-inter", "unheard-of"]
    assert system_libraries.known_here(asked) == ["xvfb", "libglib2.0-0t64", "fonts-inter", "unheard-of"]


# ------------------------------------------------------------------------------ progress and faults


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        ("Collecting torch<2.14,>=2.7\n", "looking at torch"),
        ("  Downloading torch-2.9.0-cp311-none-any.whl (184.1 MB)\n", "downloading torch"),
        ("Progress 92000000 of 184000000\n", "before (92 of 184 MB)"),
        ("Installing collected packages: mpmath, sympy\n", "installing 2 packages"),
        ("Requirement already satisfied: numpy\n", "before"),
    ],
)
def test_the_progress_line_says_what_the_installer_is_busy_with(line, detail):
    assert progress.detail_of(line, "before") == detail


def test_a_command_that_fails_hands_back_its_output_and_leaves_it_in_the_log(tmp_path):
    steps = progress.Steps(tmp_path / "setup.log")
    with pytest.raises(progress.CommandFailed, match="no way"):
        steps.run([sys.executable, "-c", "print('no way'); raise SystemExit(3)"])
    assert "no way" in (tmp_path / "setup.log").read_text()


def test_children_do_not_inherit_what_leads_out_of_the_environment(monkeypatch):
    for name in progress.LEADS_AWAY:
        monkeypatch.setenv(name, "elsewhere")
    assert not set(progress.LEADS_AWAY) & set(progress.child_environment())


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("Retrying: NewConnectionError\nERROR: No matching distribution found", "Check the network"),
        ("Max retries exceeded ... SSLError(CERTIFICATE_VERIFY_FAILED)", "certificate"),
        ("ERROR: No matching distribution found for torch", "Python 3.11, 3.12 and 3.13"),
        ("something odd\nERROR: that was it\n", "ERROR: that was it"),
    ],
)
def test_faults_are_explained_in_words_with_the_log(output, words):
    text = explain.explain(output, Path("setup.log"))
    assert words in text and "setup.log" in text


def test_the_help_needs_no_environment(repo):
    done = subprocess.run([sys.executable, repo / "start.py", "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "--torch auto|cpu|cuda" in done.stdout
