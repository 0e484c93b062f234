"""Who a process is, beyond doubt: numbers are given again, and clocks are set."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any


def process_identity() -> dict[str, Any]:
    """This process, beyond doubt: pid, its start time in seconds since the epoch, the boot, the host."""
    pid = os.getpid()
    return {"pid": pid, "started": process_started(pid), "boot_id": boot_id(), "host": socket.gethostname()}


def process_started(pid: int) -> float | None:
    """When a process started, in seconds since the epoch; None where there is none."""
    import psutil  # 20 ms to import: only those who write pay for it

    try:
        return float(psutil.Process(pid).create_time())
    except (psutil.Error, ValueError, OverflowError):  # or no such number is that of a process
        return None


def process_ticks(pid: int) -> int | None:
    """When a process started, in the kernel's ticks since the boot; None where that cannot be known.

    Unlike seconds since the epoch, these do not change with a clock that is set.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return int(fields[19])
    except (OSError, ValueError, IndexError):
        return None


def boot_id() -> str:
    """What tells this boot of the machine from all others."""
    if sys.platform == "linux":
        try:
            return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        except OSError:
            return ""  # not to be had in this container
    import psutil

    return str(round(psutil.boot_time() / 10))  # the clock is adjusted now and then, by less than 10 s
