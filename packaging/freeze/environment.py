"""The environment that installers are made in: a virtual one of this Python, filled from the lock of this system.

The lock names a CPU build of torch. Where plain pip does not find that build, uv does, which knows where it lies.
Either way every file is held against the hashes of the lock; and pip and uv themselves against those of their own.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from product import BUILD, ROOT
from set_up import system_libraries, torch_build
from set_up.progress import CommandFailed, Refusal, Steps

ENVIRONMENT = BUILD / "environment"
PYTHON = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
SITE_PACKAGES = Path(sysconfig.get_path("purelib", vars={"base": str(ENVIRONMENT)}, scheme="venv"))
STAMP = ENVIRONMENT / "lock.sha256"
LOCKS = Path(__file__).resolve().parent.parent / "locks"
FETCHING = LOCKS / "fetching.txt"  # pip and uv
SYSTEMS = {"linux": "linux", "win32": "windows", "darwin": "macos"}  # sys.platform -> the name of its lock


def fetch(lock: Path, folder: Path) -> None:
    """Have what a lock names in a folder of its own, by its hashes. Raises CalledProcessError."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--upgrade"]
    subprocess.run([*command, "--target", str(folder), "-r", str(lock)], check=True)


def lock_file() -> Path:
    """The lock of this system. Raises Refusal where there is none."""
    name = SYSTEMS.get(sys.platform, sys.platform)
    lock = LOCKS / f"{name}.txt"
    if not lock.exists():
        raise Refusal(f"There is no lock for {sys.platform}. `python packaging/build.py lock` makes them.")
    return lock


def make_environment(steps: Steps) -> None:
    """Have the environment that the lock describes; made anew where the lock or this Python has changed."""
    lock = lock_file()
    key = hashlib.sha256(lock.read_bytes() + sys.version.encode() + str(ROOT).encode()).hexdigest()
    steps.begin("an environment with pinned versions")
    if not (PYTHON.exists() and STAMP.exists() and STAMP.read_text(encoding="utf-8") == key):
        _make_anew(steps)
        _fill(steps, lock)
        STAMP.write_text(key, encoding="utf-8")
    steps.end()


def _make_anew(steps: Steps) -> None:
    if not _has_shared_library():
        raise Refusal("This Python has no shared library, which a frozen program carries. Use one built with it.")
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    if not all(map(importlib.util.find_spec, ["venv", "ensurepip"])):
        system_libraries.get_venv_module(steps)
    steps.run([sys.executable, "-m", "venv", str(ENVIRONMENT)])
    steps.run([str(PYTHON), "-m", "pip", "install", "--retries", "2", "--require-hashes", "-r", str(FETCHING)])


def _has_shared_library() -> bool:
    """Whether this Python can be carried: one that is a framework, as those of macOS, has 0 in the first variable."""
    return os.name == "nt" or any(map(sysconfig.get_config_var, ("Py_ENABLE_SHARED", "PYTHONFRAMEWORK")))


def _fill(steps: Steps, lock: Path) -> None:
    options = ["--require-hashes", "--no-deps", "-r", str(lock)]
    try:
        steps.run([str(PYTHON), "-m", "pip", "install", *torch_build.QUIET_RETRIES, *options])
    except CommandFailed:  # a CPU build is not where pip looks
        command = [str(PYTHON), "-m", "uv", "pip", "install", "--python", str(PYTHON), "--torch-backend=cpu"]
        steps.run([*command, *options])
    build = torch_build.installed_build(SITE_PACKAGES)
    if build != "cpu":
        raise Refusal(f"Installers carry a CPU build of torch, but the lock gave: {build}.")
