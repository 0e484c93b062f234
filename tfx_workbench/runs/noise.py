"""What two copies of one configuration differed by on this machine: its noise, remembered for later comparisons.

One small file for each device, beside the settings. Written after every interleaved comparison that had a control.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import math
from pathlib import Path
from typing import Any

import msgspec

from tfx_engine.protocol.codec import decode
from tfx_engine.protocol.plain_file import read_plain
from tfx_engine.protocol.trust import settings_folder
from tfx_engine.protocol.whole import write_whole


class Noise(msgspec.Struct, frozen=True, kw_only=True):
    """The newest A/A comparison of a device. Standard deviations are of logarithms of ratios."""

    device: str
    at: str  # ISO 8601, UTC
    percent: float  # the difference that was found where there was none
    low: float
    high: float
    rounds: int
    between_blocks: float
    between_processes: float
    start_s: float | None = None  # that the processes of a round took to start, for each of them

    @property
    def band_percent(self) -> float:
        """By how many per cent equal runs may differ."""
        return band_of(self.low, self.high)


def log_factor(percent: float) -> float:
    """The logarithm of the factor that a difference in per cent is; -50 for what is nothing any more."""
    return -50.0 if percent <= -100 else math.log1p(percent / 100)


def band_of(low: float, high: float) -> float:
    """The end of an interval that is further from no difference, in factors, as a positive difference in per cent."""
    return 100 * math.expm1(max(abs(log_factor(low)), abs(log_factor(high))))


def device_of(facts: dict[str, Any]) -> str:
    """The device of a run, and of a processor the number of threads; empty where the run does not say."""
    device = facts.get("device")
    if not isinstance(device, dict) or not device.get("name"):
        return ""
    kind, name = str(device.get("kind", "")), str(device["name"])
    return f"{kind} {name}" + (f" {facts.get('threads')} threads" if kind == "cpu" else "")


def load_noise(device: str) -> Noise | None:
    """What is remembered of a device; None where nothing is, or nothing that can be read."""
    if not device:
        return None
    try:
        found = decode(read_plain(_file_of(device)), Noise)
    except (OSError, msgspec.DecodeError):
        return None
    return found if found.device == device else None


def newest_noise() -> Noise | None:
    """What was remembered last, of whatever device."""
    with contextlib.suppress(OSError):
        for path in sorted(_folder().glob("*.json"), key=lambda p: p.stat().st_mtime, reverse=True):
            with contextlib.suppress(OSError, msgspec.DecodeError):
                return decode(read_plain(path), Noise)
    return None


def save_noise(noise: Noise) -> None:
    """Remember it, whole or not at all. Raises OSError where it cannot be written."""
    write_whole(_file_of(noise.device), msgspec.json.format(msgspec.json.encode(noise)))


def now() -> str:
    """The time as it is kept."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _folder() -> Path:
    return settings_folder() / "noise"


def _file_of(device: str) -> Path:
    return _folder() / f"{hashlib.sha256(device.encode()).hexdigest()[:12]}.json"
