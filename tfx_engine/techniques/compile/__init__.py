"""Slot `compile`: whether the model's forward and backward are compiled.

`build(options, config)` gives a function -> function, applied to `model.hidden` when a training is set up. Probes run
the model itself, so what they record is what it computes uncompiled.

What a compiler needs is looked for once: a C++ compiler that finds Python's headers for the CPU, triton and a C
compiler for a GPU.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch

from tfx_engine.protocol.config import Config
from tfx_engine.protocol.engine_python import is_frozen
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.devices import device_kind

_PROBE_S = 30.0  # for a compiler to read one header
_LEAST_CAPABILITY = (7, 0)  # of a CUDA device, for triton
_IN_GRAPHS = ("reduce_overhead", "max_autotune")


class Obstacle(NamedTuple):
    """Why nothing can be compiled here, and what to do about it: templates over `args`."""

    template: str
    hint_template: str
    args: dict[str, Any] = {}


_NO_CPP = tr_mark("needs a C++ compiler for the CPU, and {name!r} was not found.")
_BAD_CPP = tr_mark("needs a C++ compiler for the CPU; {name!r} is there, but cannot compile for Python: {error}.")
_NO_C = tr_mark("needs a C compiler beside triton, and {name!r} was not found.")
_NO_TRITON = tr_mark("needs triton for this GPU, which is not installed.")
_OLD = tr_mark("needs a GPU of compute capability 7.0 or more; this one has {capability}.")
_MPS = tr_mark("needs a CPU or a GPU that torch's compiler knows well; for Apple's GPU it is still a prototype.")
_NO_HEADERS = tr_mark("needs the C++ headers of torch and of Python, which the installed program does not carry.")
_OWN_PYTHON = tr_mark("Do runs in a Python of your own (`tfx-workbench engine PYTHON`), or use \"none\".")
_GET_CPP = tr_mark("Install one ({how}), or use \"none\".")
_GET_TRITON = tr_mark("Install it (pip install {package}), or use \"none\".")
_USE_NONE = tr_mark("Use \"none\".")
_HOW = {  # by sys.platform
    "win32": "the Build Tools for Visual Studio, with C++", "darwin": "xcode-select --install",
    "linux": "for instance apt install g++ python3-dev, or dnf install gcc-c++ python3-devel",
}  # fmt: skip


@functools.cache
def obstacle(kind: str) -> Obstacle | None:
    """What keeps torch from compiling for a kind of device here; None where nothing does."""
    match kind:
        case "cpu":
            return _cpp_obstacle()
        case "mps":
            return Obstacle(_MPS, _USE_NONE)
    if kind == "cuda" and torch.version.hip is None:
        major, minor = torch.cuda.get_device_capability()
        if (major, minor) < _LEAST_CAPABILITY:
            return Obstacle(_OLD, _USE_NONE, {"capability": f"{major}.{minor}"})
    if importlib.util.find_spec("triton") is None:
        return Obstacle(_NO_TRITON, _GET_TRITON, {"package": "triton-windows" if sys.platform == "win32" else "triton"})
    name = os.environ.get("CC", "gcc")
    if sys.platform != "win32" and not (shutil.which(name) or shutil.which("clang")):
        return Obstacle(_NO_C, _GET_CPP, {"name": name, "how": _how()})
    return None


def _how() -> str:
    return _HOW.get(sys.platform, _HOW["linux"])


def _cpp_obstacle() -> Obstacle | None:
    """A compiler may be there and yet lack Python's headers; so it is asked to read one."""
    if is_frozen():
        return Obstacle(_NO_HEADERS, _OWN_PYTHON)
    name = os.environ.get("CXX", {"win32": "cl", "darwin": "clang++"}.get(sys.platform, "g++"))
    if shutil.which(name) is None:
        return Obstacle(_NO_CPP, _GET_CPP, {"name": name, "how": _how()})
    if sys.platform == "win32":
        return None
    command = [name, "-fsyntax-only", "-I", sysconfig.get_paths()["include"], "-x", "c++", "-"]
    try:
        done = subprocess.run(command, input="#include <Python.h>\n#include <vector>\n", capture_output=True, text=True,
                              timeout=_PROBE_S, check=False)  # fmt: skip
        error = "" if done.returncode == 0 else next(iter(done.stderr.strip().splitlines()), str(done.returncode))
    except (OSError, subprocess.TimeoutExpired) as failure:
        error = str(failure)
    return Obstacle(_BAD_CPP, _GET_CPP, {"name": name, "error": error, "how": _how()}) if error else None


def replays(config: Config) -> bool:
    """Whether the kernels of a pass are recorded once and played back: then nothing is allocated in a step that torch's
    allocator could tell."""
    choice = config.techniques["compile"]
    return choice.use in _IN_GRAPHS and bool(choice.options.get("graphs", True)) and device_kind(config) == "cuda"


def check_compiler(options: Any, config: Config) -> Iterator[Problem]:
    """Refuse where nothing can be compiled, with what to install."""
    found = obstacle(device_kind(config))
    if found is not None:
        yield Problem(
            code="unavailable", path="techniques.compile.use", template=found.template,
            hint_template=found.hint_template, args=found.args,
        )


def compiler(config: Config, mode: str) -> Callable[[Any], Any]:
    """torch.compile in a mode, within a memory budget where there is one. Sizes are fixed until one of them changes."""
    recompute = config.techniques["recompute"]
    share = recompute.options["share"] if recompute.use == "budget" else None

    def compiled(function: Any) -> Any:
        result = torch.compile(function, mode=mode)
        return result if share is None else WithinBudget(result, share)

    return compiled


class WithinBudget:
    """A compiled function whose compiler may keep only a share of the activations."""

    def __init__(self, function: Callable[..., Any], share: float) -> None:
        torch.compiler.reset()  # what was compiled for another share would be taken for this one's
        self._function, self._share = function, share

    def __call__(self, *inputs: Any) -> Any:
        """As the function; it is compiled at its first call, and reads the share then."""
        with torch._functorch.config.patch(activation_memory_budget=self._share):
            return self._function(*inputs)
