"""What this machine's processor is, as far as the system says. No torch."""

from __future__ import annotations

import platform
from pathlib import Path

_CLOCK_LIMIT = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq")  # kHz


def cpu_name() -> str:
    """What the processor is called by its maker."""
    if platform.system() == "Linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model"):
                return value.strip()
    return platform.processor() or platform.machine()


def cpu_clock_limit_mhz() -> float | None:
    """The highest clock that the system allows it now; None where it does not say (virtual machines, other systems)."""
    try:
        return int(_CLOCK_LIMIT.read_text()) / 1000
    except (OSError, ValueError):
        return None
