#!/usr/bin/env python3
"""Set up and start TFX Workbench on a machine that has Python 3.11 or newer and nothing else.

    python3 start.py [ARGUMENT...]        make .venv, install, open the workbench; arguments go to the program
    python3 start.py test [ARGUMENT...]   the same plus the test tools, then the whole test suite;
                                          arguments, such as a path, go to pytest

    --torch auto|cpu|cuda                 before other arguments: which build of torch to install.
                                          auto takes the CUDA build where there is an NVIDIA GPU

Everything goes into the folder .venv beside this file; deleting that folder undoes the set-up. Without a
display the first command runs the five-technique demonstration instead of opening a window, and says so. The
second start finds the stamp of the first and installs nothing.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent / "packaging"))

from set_up import system_libraries, torch_build
from set_up.explain import DISK_FULL, explain
from set_up.progress import CommandFailed, Refusal, Steps, child_environment, say

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
LOG = VENV / "setup.log"
STAMP = VENV / "setup-stamp.json"
WINDOWS = os.name == "nt"
PYTHON = VENV / ("Scripts/python.exe" if WINDOWS else "bin/python")
VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
SITE_PACKAGES = VENV / ("Lib/site-packages" if WINDOWS else f"lib/python{VERSION}/site-packages")


class Request(NamedTuple):
    """What was typed."""

    testing: bool
    torch: str  # "auto", "cpu" or "cuda"
    rest: list[str]


def parse(argv: list[str]) -> Request:
    """Split the command line into our own part and what the program or pytest gets."""
    rest, torch, testing = list(argv), "auto", False
    while rest:
        if rest[0] == "--torch":
            torch = rest[1] if len(rest) > 1 else ""
            del rest[:2]
        elif rest[0].startswith("--torch="):
            torch = rest.pop(0).partition("=")[2]
        elif rest[0] == "test" and not testing:
            testing = True
            rest.pop(0)
        else:
            break
    if torch not in ("auto", "cpu", "cuda"):
        raise Refusal(f"--torch takes auto, cpu or cuda, not {torch!r}.")
    return Request(testing, torch, rest)


# ---------------------------------------------------------------------------------------- the stamp


def key_of(pyproject: bytes, python: str, place: str) -> str:
    """What the installed environment depends on, as one hash."""
    return hashlib.sha256(b"\0".join([pyproject, python.encode(), place.encode()])).hexdigest()


def read_stamp() -> dict:
    """What the last complete set-up noted; empty where there was none."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) and PYTHON.exists() else {}


def write_stamp(stamp: dict) -> None:
    """Note a complete set-up, in one stroke."""
    fresh = STAMP.with_suffix(".new")
    fresh.write_text(json.dumps(stamp), encoding="utf-8")
    fresh.replace(STAMP)


def is_enough(stamp: dict, request: Request, key: str) -> bool:
    """Whether what the stamp describes serves the request: the test environment is the program's and more."""
    extras = ["test"] if request.testing else ["app", "test"]
    torch_suits = request.torch in ("auto", stamp.get("torch"))
    return stamp.get("key") == key and stamp.get("extra") in extras and torch_suits


# ---------------------------------------------------------------------------------------- the set-up


def set_up(request: Request) -> None:
    """Bring .venv to what the request needs; nothing to do where the stamp says so."""
    key, stamp = key_of((ROOT / "pyproject.toml").read_bytes(), VERSION, str(ROOT)), read_stamp()
    if not is_enough(stamp, request, key):
        say(f"Setting up TFX Workbench in {VENV}; the first time takes some minutes.")
        STAMP.unlink(missing_ok=True)
        stamp = {"key": key, "extra": "test" if request.testing else stamp.get("extra", "app")}
        try:
            install(request.torch, stamp["extra"])
        except CommandFailed as failure:
            raise Refusal(explain(str(failure), LOG)) from None
        stamp["torch"] = torch_build.installed_build(SITE_PACKAGES)
    if not stamp.get("qt"):
        write_stamp({**stamp, "qt": system_libraries.look_for_qt_libraries(SITE_PACKAGES, Steps(LOG))})


def install(asked: str, extra: str) -> None:
    """All steps of the installation. Each can be repeated, so an interrupted one is simply started again."""
    steps = Steps(LOG, total=4)
    steps.begin("a Python environment")
    make_environment(steps, asked)
    steps.end()
    requirement = torch_build.requirement_in((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    torch_build.install(steps, PYTHON, requirement, asked)
    came = torch_build.installed_build(SITE_PACKAGES)
    if asked not in ("auto", came):
        raise Refusal(f"A {asked} build of torch was asked for, but a {came} build came. See {LOG}.")
    steps.begin("the workbench and what it needs")
    packages = [*torch_build.QUIET_RETRIES, "-e", f"{ROOT}[{extra}]"]
    steps.run([str(PYTHON), "-m", "pip", "install", *packages])
    steps.end()


def make_environment(steps: Steps, asked: str) -> None:
    """A sound .venv of this Python with a recent pip and no other torch than the one asked for."""
    right_torch = torch_build.installed_build(SITE_PACKAGES) in (None, asked) or asked == "auto"
    if not right_torch or not environment_is_sound():
        remove_environment()
        VENV.mkdir()
        if not all(map(importlib.util.find_spec, ["venv", "ensurepip"])):
            system_libraries.get_venv_module(steps)
        inside = Path(sys.prefix).resolve() == VENV
        python = getattr(sys, "_base_executable", sys.executable) if inside else sys.executable
        steps.run([python, "-m", "venv", str(VENV)])
    steps.run([str(PYTHON), "-m", "pip", "install", "--retries", "2", "--upgrade", "pip>=24.1"])


def environment_is_sound() -> bool:
    """Whether .venv has a working pip and is of this Python's version."""
    code = "import sys, pip; print(sys.version_info[0], sys.version_info[1], sys.prefix, sep='|')"
    command = [str(PYTHON), "-c", code]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=child_environment())
    except OSError:
        return False
    return done.stdout.strip() == f"{sys.version_info[0]}|{sys.version_info[1]}|{VENV}"


def remove_environment() -> None:
    """Clear .venv away, if it is one of ours."""
    if VENV.exists() and any(VENV.iterdir()) and not LOG.exists():
        raise Refusal(f"{VENV} was not made by start.py and cannot be used as it is. Please move it away.")
    shutil.rmtree(VENV, ignore_errors=True)
    if VENV.exists():
        raise Refusal(f"{VENV} could not be removed; perhaps something in it is running. Please delete it.")


# ---------------------------------------------------------------------------------------- the program


def is_headless(environment: dict[str, str], platform: str) -> bool:
    """Whether no window can be seen: Linux without a display, or Qt told to draw into memory."""
    qt = environment.get("QT_QPA_PLATFORM", "").partition(":")[0]
    if qt in ("offscreen", "minimal"):
        return True
    display = qt or environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    return platform.startswith("linux") and not display


def command_for(request: Request, headless: bool) -> list[str]:
    """The arguments of Python in .venv once everything is there."""
    if request.testing:
        return ["-m", "pytest", *request.rest] if request.rest else ["-m", "tests.helpers.suite"]
    demonstration = ["--demo", "--headless"] if headless and not request.rest else []
    return ["-P", "-m", "tfx_workbench", *demonstration, *request.rest]


def start(request: Request) -> int:
    """Become the program; on Windows, wait for it. Returns its exit code."""
    environment = child_environment()
    if request.testing:
        os.chdir(ROOT)
        environment.setdefault("QT_QPA_PLATFORM", "offscreen")
    command = [str(PYTHON), *command_for(request, is_headless(dict(os.environ), sys.platform))]
    if "--demo" in command and not request.rest:
        say("There is no display: running the five-technique demonstration without a window.")
    if WINDOWS:
        return subprocess.call(command, env=environment)
    os.execve(command[0], command, environment)


def main(argv: list[str]) -> int:
    """Run the command line. Exit code 1: the set-up failed; 130: interrupted; otherwise the program's own."""
    if sys.version_info < (3, 11):
        say(f"TFX Workbench needs Python 3.11 or newer; this is {VERSION}. Try `python3.11 start.py`.")
        return 1
    if argv[:1] in (["-h"], ["--help"]):
        say(__doc__.strip())
        return 0
    try:
        request = parse(argv)
        set_up(request)
        if request.testing:
            system_libraries.look_for_test_packages(Steps(LOG))
        return start(request)
    except Refusal as refusal:
        say(f"\n{refusal}")
        return 1
    except KeyboardInterrupt:
        say("\nInterrupted. Type the same command again to go on.")
        return 130
    except OSError as error:
        full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None))
        say(f"\n{DISK_FULL if full else f'The set-up failed: {error}.'}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
