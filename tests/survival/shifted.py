"""A process of the engine whose wall clock jumps and whose computer sleeps, when a file says so.

    python -m tests.survival.shifted serve          the service, and its workers likewise
    python -m tests.survival.shifted                a worker (the stand-in; TFX_SHIFTED_REAL=1: the real one)

TFX_SHIFT names a JSON file: {"wall_s": seconds that the wall clock is ahead, "slept_s": seconds that the computer has
slept}. Only the clocks of Python are changed: what SQLite, the kernel and other processes see goes on as it was.
"""

from __future__ import annotations

import datetime
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

MODULE = "tests.survival.shifted"
FILE = "TFX_SHIFT"
_REAL_TIME, _REAL_GETTIME, _REAL_DATETIME = time.time, time.clock_gettime, datetime.datetime


def shift(file: Path, wall_s: float = 0.0, slept_s: float = 0.0) -> None:
    """Set the clocks of the processes that look at that file."""
    half = file.with_suffix(".half")
    half.write_text(json.dumps({"wall_s": wall_s, "slept_s": slept_s}), encoding="ascii")
    half.replace(file)


def _ahead(which: str) -> float:
    return float(json.loads(Path(os.environ[FILE]).read_text(encoding="ascii"))[which])


class Shifted(datetime.datetime):
    """`datetime.datetime`, whose `now` goes by the clock that jumps."""

    @classmethod
    def now(cls, tz: Any = None) -> datetime.datetime:  # type: ignore[override]
        return _REAL_DATETIME.now(tz) + datetime.timedelta(seconds=_ahead("wall_s"))


def patch() -> None:
    """From here on the clocks of this process are those of the file."""
    time.time = lambda: _REAL_TIME() + _ahead("wall_s")
    time.clock_gettime = lambda which: _REAL_GETTIME(which) + (
        _ahead("slept_s") if which == getattr(time, "CLOCK_BOOTTIME", None) else 0.0)
    datetime.datetime = Shifted  # type: ignore[misc]


def main() -> int:
    """See the module's docstring."""
    patch()
    if sys.argv[1:] == ["serve"]:
        os.environ["TFX_WORKER_MODULE"] = MODULE
        from tfx_engine.service.main import serve

        return serve()
    if os.environ.get("TFX_SHIFTED_REAL"):
        from tfx_engine.worker.__main__ import main as worker

        worker()
    from tests.helpers.standin_worker import main as standin

    return standin()


if __name__ == "__main__":
    sys.exit(main())
