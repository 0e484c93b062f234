"""`faults.c` in this process: which call that writes or syncs a file is to fail, how, and for how long."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

_VARIABLE = "TFX_FAULTS_LIBRARY"
FAIL, SHORT, KILL, TORN_KILL = range(4)
FOR_EVER = -1.0


class Struck(NamedTuple):
    """What was struck: the first call and its file, when (time.monotonic), how many calls in all, and of how many."""

    call: str
    file: str
    at_s: float
    strikes: int
    calls: int


def compiler() -> str | None:
    """A C compiler; faults can be made on Linux alone, where one is."""
    return (shutil.which("cc") or shutil.which("gcc")) if sys.platform == "linux" else None


def again_with_faults(module: str, arguments: list[str]) -> int | None:
    """Run `python -m module` once more with the library preloaded; its exit code, or None where it is already."""
    if _VARIABLE in os.environ:
        return None
    cc = compiler()
    if cc is None:
        print("This needs Linux and a C compiler (cc).", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="tfx-faults-") as folder:
        library = str(Path(folder) / "faults.so")
        source = str(Path(__file__).with_name("faults.c"))
        subprocess.run([cc, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, source, "-ldl"], check=True)
        environment = {**os.environ, "LD_PRELOAD": library, _VARIABLE: library}
        return subprocess.run([sys.executable, "-m", module, *arguments], env=environment, check=False).returncode


class Faults:
    """The library, as it is loaded here."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(os.environ[_VARIABLE])
        self._library.faults_arm.argtypes = [
            ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_int, ctypes.c_double,
        ]
        self._library.faults_struck_s.restype = ctypes.c_double
        for name in ("faults_struck_call", "faults_struck_file"):
            getattr(self._library, name).restype = ctypes.c_char_p
        for name in ("faults_calls", "faults_strikes"):
            getattr(self._library, name).restype = ctypes.c_long

    def arm(self, below: Path, nth: int, what: int = FAIL, error: int = 0, lasts_ms: float = 0.0) -> None:
        """From now on count the calls on files below a folder, and strike at the nth (0: none).

        `lasts_ms`: after it the next ones too, for so long (0: that one alone; `FOR_EVER`).
        """
        self._library.faults_arm(os.fsencode(below), nth, what, error, lasts_ms)

    def struck(self) -> Struck:
        """What came of it."""
        library = self._library
        return Struck(
            library.faults_struck_call().decode(), library.faults_struck_file().decode(), library.faults_struck_s(),
            library.faults_strikes(), library.faults_calls(),
        )
