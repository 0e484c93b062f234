"""Names for files, from words that may hold anything: no path, no order, nothing that a system forbids."""

from __future__ import annotations

import re

LONGEST = 120  # bytes
_RESERVED = re.compile(r"con|prn|aux|nul|com\d|lpt\d", re.IGNORECASE)  # devices on Windows, with whatever ending


def file_name(words: str, suffix: str) -> str:
    """`<b>A / B</b>` and ".svg" give `b-A-B-b.svg`."""
    plain = "".join(c if c.isalnum() or c in "-_" else " " for c in words)
    plain = "-".join("-".join(plain.split()).split("-"))
    while len(plain.encode("utf-8", "replace")) > LONGEST:
        plain = plain[:-1]
    name = plain.strip("-") or "report"
    return f"{name}-{suffix}" if _RESERVED.fullmatch(name) else f"{name}{suffix}"
