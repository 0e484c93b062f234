"""What went wrong in the set-up, in words, and what to do about it."""

from __future__ import annotations

import sys
from pathlib import Path

DISK_FULL = (
    "The disk is full. Free some space and start again: the CPU set-up takes about 2 GB, the CUDA one about "
    "10 GB, and downloads pass through the folder that TMPDIR names."
)
EXPLANATIONS = [  # signs in an installer's output, and what they mean; the first that fits is told
    (["No space left on device", "not enough space", "Disk quota exceeded"], DISK_FULL),
    (
        ["CERTIFICATE_VERIFY_FAILED", "SSLError", "invalid peer certificate"],
        "The package index showed a certificate that this machine does not trust. Behind a company's proxy, "
        "let PIP_CERT name its certificate file; otherwise check the clock of this machine.",
    ),
    (
        [
            *["ConnectionError", "name resolution", "getaddrinfo failed", "unreachable", "ProxyError"],
            *["refused", "timed out", "ConnectTimeout", "Max retries", "Connection aborted", "dns error"],
            "error sending request",
        ],
        "The package index could not be reached. Check the network (behind a proxy, set HTTPS_PROXY) and "
        "start again; what was fetched already is kept.",
    ),
    (
        ["Permission denied", "Access is denied"],
        "A file could not be written. Check who owns this folder, and start again.",
    ),
    (
        ["No matching distribution found", "requires a different Python", "No solution found"],
        f"A package was not found for Python {sys.version_info[0]}.{sys.version_info[1]} on this system. "
        "Python 3.11, 3.12 and 3.13 are known to work.",
    ),
]


def explain(output: str, log: Path) -> str:
    """Sentences for the output of an installer that failed, ending with where all of it can be read."""
    where = f"\nThe whole output is in {log}."
    for signs, words in EXPLANATIONS:
        if any(sign in output for sign in signs):
            return words + where
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return f"The set-up failed: {lines[-1] if lines else 'no reason was given'}{where}"
