"""Sizes of memory as people write them: "24GiB", "80 GB", or a device by its vendor's name."""

from __future__ import annotations

import re

from tfx_engine.protocol.problems import ConfigError, Problem, nearest

_UNITS = {
    "": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "kib": 2**10, "mib": 2**20, "gib": 2**30,
    "tib": 2**40, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40,
}
# GiB that each vendor's data sheet calls GB; what a driver leaves of it is a few per cent less.
DEVICES_GIB = {
    "t4": 16, "v100 16gb": 16, "v100 32gb": 32, "a10": 24, "a100 40gb": 40, "a100 80gb": 80, "l4": 24, "l40s": 48,
    "h100": 80, "h100 80gb": 80, "h200": 141, "b200": 180, "rtx 3060 8gb": 8, "rtx 3060 12gb": 12, "rtx 3090": 24,
    "rtx 4060": 8, "rtx 4070": 12, "rtx 4080": 16, "rtx 4090": 24, "rtx 5070": 12, "rtx 5080": 16, "rtx 5090": 32,
    "rtx a6000": 48, "mi250x": 128, "mi300x": 192,
}
SEVERAL_GB = {"v100": (16, 32), "a100": (40, 80), "rtx 3060": (8, 12)}  # boards of one name
LEAST_BARE = 2**20  # bytes; a smaller number without a unit is one of GiB whose unit was forgotten
LARGEST = 2**60  # bytes; a larger "device" is a slip of the keyboard


def parse_bytes(text: str, path: str = "device_memory") -> int:
    """Bytes of a size such as "24GiB", or of a device such as "RTX 4090". Raises `ConfigError`, whose `Problem` has
    that `path`."""
    plain = " ".join(text.lower().replace("nvidia", "").replace("geforce", "").replace("amd", "").split())
    if plain in DEVICES_GIB:
        return DEVICES_GIB[plain] * 2**30
    if plain in SEVERAL_GB:
        less, more = SEVERAL_GB[plain]
        raise ConfigError([Problem(
            code="bad-size", path=path, template="is {text!r}, of which there are boards with {less} GB and with "
            "{more} GB.", hint_template="Write '{text} {less}GB' or '{text} {more}GB'.",
            args={"text": text[:60], "less": less, "more": more},
        )])
    found = re.fullmatch(r"(\d{1,24}(?:\.\d{1,24})?) ?([a-z]*)", plain)
    if found is None or found[2] not in _UNITS:
        near = nearest(plain, DEVICES_GIB) if re.search(r"[a-z]", plain) else None
        raise ConfigError([Problem(
            code="bad-size", path=path, template="is {text!r}, which is no size of a memory.",
            hint_template="Did you mean {near!r}? Else write it as 24GiB." if near else
            "Write it as 24GiB, 80GB or 512MiB, or name a device such as 'RTX 4090'.",
            args={"text": text[:60], "near": near},
        )])
    size = round(float(found[1]) * _UNITS[found[2]])
    if not 1 <= size <= LARGEST:
        raise ConfigError([Problem(
            code="out-of-range", path=path, template="is {text!r}, but a device has more than nothing and less than "
            "1024 PiB.", hint_template="Write it as 24GiB.", args={"text": text[:60]},
        )])
    if not found[2] and size < LEAST_BARE:
        raise ConfigError([Problem(
            code="bad-size", path=path, template="is {text!r}, a number of bytes that no device has.",
            hint_template="Write {text}GiB.", args={"text": text[:60].strip()},
        )])
    return size
