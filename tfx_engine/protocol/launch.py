"""How one process of the program starts another: the argument list, the environment, and ending with the parent.

A frozen program understands `-m MODULE` as Python does, so that the same argument list starts a child in both. It has
two executables beside each other: the window's has no torch, the engine's no Qt. The engine may run in a Python that
the user chose; its own processes are then started by that one.
"""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfx_engine.protocol.engine_python import chosen_python, is_frozen, sources

ENGINE = "tfx_engine"
PARENT = "TFX_PARENT_PID"  # who started this process, for `end_with_parent`
MOUNT = "TFX_MOUNT_PIPES"  # numbers of inherited descriptors, see `hold_mount`
_PR_SET_PDEATHSIG = 1
# Turns that a thread of GNU's OpenMP waits in a loop for the others before it sleeps. Its own 300,000 keep a processor
# busy while the one they wait for has none, because of another program: steps of small models took ten times as long.
# Not to wait at all costs a third of the speed of a machine that does nothing else (tests/bench/test_busy.py).
_TURNS_OF_WAITING = "10000"


def module_argv(module: str, *arguments: str) -> list[str]:
    """The argument list that runs a module of this program in a process of its own."""
    python = chosen_python() if module == ENGINE else None  # what lies below it is started by the engine itself
    return [python or _executable(module), "-m", module, *arguments]


def _executable(module: str) -> str:
    if not is_frozen():
        return sys.executable
    own = Path(sys.executable)
    name = "tfx-engine" if module.partition(".")[0] == ENGINE else "tfx-workbench"
    return str(own.with_name(name + own.suffix))


def child_environment(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a child: ours, without what a window or a frozen program needs for itself alone."""
    environment = dict(os.environ if base is None else base)
    for name in [n for n in environment if n.startswith(("QT_", "QML"))]:
        del environment[name]
    if is_frozen():
        _leave_the_frozen_program(environment)
    else:
        _find_this_package(environment)
    environment["PYTHONUNBUFFERED"] = "1"
    environment["PYTHONSAFEPATH"] = "1"  # a file `random.py` in the folder one works in must not become the engine's
    environment["PYTHONIOENCODING"] = "utf-8"
    environment.setdefault("KINETO_LOG_LEVEL", "99")  # torch's profiler: above all its levels, hence nothing
    if "OMP_WAIT_POLICY" not in environment:
        environment.setdefault("GOMP_SPINCOUNT", _TURNS_OF_WAITING)
    environment[PARENT] = str(os.getpid())
    return environment


def _leave_the_frozen_program(environment: dict[str, str]) -> None:
    for name in [n for n in environment if n.startswith("_PYI_") or n in ("PYTHONHOME", "PYTHONPATH")]:
        del environment[name]
    if chosen_python():
        environment["PYTHONPATH"] = str(sources())  # the engine alone; what is frozen reads no such variable
        environment["PYTHONDONTWRITEBYTECODE"] = "1"  # nothing beside files that an installer is to remove again
    for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"):
        original = environment.pop(name + "_ORIG", None)  # where the frozen program's start-up saved it
        if original:
            environment[name] = original
        else:
            environment.pop(name, None)


def _find_this_package(environment: dict[str, str]) -> None:
    """In a checkout the package is not installed: the child must find it all the same, from any folder."""
    root = Path(__file__).resolve().parent.parent.parent
    if root.name not in ("site-packages", "dist-packages"):
        inherited = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root), inherited]))


def own_session() -> dict[str, Any]:
    """The arguments of `Popen` that put a child out of reach of the terminal's Ctrl-C, and keep its files for it."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True, "pass_fds": _mount_pipes()}


def hold_mount() -> None:
    """In an AppImage, note for every process below the pipe that keeps its files there; before others are opened.

    Its runtime unmounts once nobody has the reading end of that pipe any more (AppImage/type2-runtime, runtime.c,
    `write_pipe_thread`), and children do not get it by themselves: runs would lose their files with the window.
    """
    folder, ours = os.environ.get("APPDIR"), Path(sys.executable).parent.resolve()
    if sys.platform != "linux" or not folder or not ours.is_relative_to(Path(folder).resolve()):
        return
    numbers = sorted(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
    os.environ.setdefault(MOUNT, ",".join(str(n) for n in numbers if n > 2 and _is_pipe_to_read(n)))


def _mount_pipes() -> tuple[int, ...]:
    numbers = (int(number) for number in os.environ.get(MOUNT, "").split(",") if number.isdigit())
    return tuple(number for number in numbers if _is_pipe_to_read(number))


def _is_pipe_to_read(number: int) -> bool:
    import fcntl  # Windows has none

    try:
        is_to_read = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
        return is_to_read and stat.S_ISFIFO(os.fstat(number).st_mode)
    except OSError:  # closed meanwhile
        return False


def end_with_parent(number: int = signal.SIGTERM) -> None:
    """Back-up of end-of-file on stdin: the kernel sends signal `number` when the starting *thread* ends (Linux only).

    Where the parent died before this was set, the signal is raised at once.
    """
    if sys.platform != "linux":
        return
    import ctypes  # only here: a client that starts a child does not need it

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    parent = os.environ.get(PARENT)
    if parent is not None and os.getppid() != int(parent):
        os.kill(os.getpid(), number)
