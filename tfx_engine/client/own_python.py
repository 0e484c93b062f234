"""Whether a Python that the user named can run the engine: asked of that Python itself, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
from typing import NamedTuple

from tfx_engine.protocol.engine_python import sources
from tfx_engine.protocol.launch import child_environment
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.runfile.store import absolute

# Module -> the package that brings it: what the engine imports beside torch.
_PACKAGES = {"numpy": "numpy", "msgspec": "msgspec", "platformdirs": "platformdirs", "psutil": "psutil",
             "safetensors": "safetensors", "pynvml": "nvidia-ml-py", "torch": '"torch>=2.7,<2.14"'}  # fmt: skip
_OLDEST = (3, 11)
_PATIENCE_S = 120  # importing torch from a cold disk
_PROBE = """
import importlib.util, json, sys
found = {"version": list(sys.version_info[:3]), "missing": [], "torch": None, "devices": []}
found["missing"] = [name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]
if "torch" not in found["missing"] and sys.version_info >= (3, 11):
    import torch
    found["torch"] = torch.__version__
    if torch.cuda.is_available():
        found["devices"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
print("\\n" + json.dumps(found))
"""


class OwnPython(NamedTuple):
    """What a Python that can run the engine is: versions, and the names of the GPUs that its torch sees."""

    path: str
    version: str
    torch: str
    devices: tuple[str, ...]


def examine(python: str) -> OwnPython:
    """Ask a Python. Runs it. Raises `ConfigError` where it cannot run the engine: why, and what to type."""
    path = absolute(python)  # not resolved: a virtual environment is known by its link
    if not os.path.isfile(path):  # noqa: PTH113  unlike Path, it says no to what is too long to be a path
        hint = tr_mark("Name a Python, such as /path/to/venv/bin/python.")
        raise _refused(python, tr_mark("there is no such file."), hint)
    environment = {**child_environment(), "PYTHONPATH": str(sources()), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run([str(path), "-c", _PROBE, *_PACKAGES], capture_output=True, env=environment,
                              stdin=subprocess.DEVNULL, timeout=_PATIENCE_S, text=True, errors="replace")
        found = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {}
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError) as error:
        raise _refused(python, tr_mark("cannot be run as a Python: {error}."), "", error=str(error)) from error
    if "version" not in found:
        last = "".join(done.stderr.strip().splitlines()[-1:]) or f"exit code {done.returncode}"
        raise _refused(python, tr_mark("cannot be run as a Python: {error}."), "", error=last)
    version = ".".join(map(str, found["version"]))
    if tuple(found["version"][:2]) < _OLDEST:
        raise _refused(python, tr_mark("is Python {version}; the engine needs 3.11 or newer."), "", version=version)
    if found["missing"]:
        packages = " ".join(_PACKAGES[name] for name in found["missing"])
        raise _refused(python, tr_mark("lacks what the engine needs: {names}."),
                       tr_mark("Type: {path} -m pip install {packages}"), names=", ".join(found["missing"]),
                       packages=packages, path=str(path))
    return OwnPython(str(path), version, found["torch"], tuple(found["devices"]))


def _refused(python: str, template: str, hint: str, **args: str) -> ConfigError:
    return ConfigError([Problem(code="engine-python", path=python, template=template, hint_template=hint, args=args)])
