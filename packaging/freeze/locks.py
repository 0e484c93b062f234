"""Pinned versions with hashes for each system, resolved from pyproject.toml: `python packaging/build.py lock`.

One file for each system in packaging/locks, without addresses; the audit of dependencies reads them too. The locks of
what is only fetched on the way (`fetching.txt`, `audit.txt`, `sbom.txt`) say in their first lines what made them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import NamedTuple

from freeze.environment import FETCHING, LOCKS, fetch
from product import BUILD, ROOT

OLDEST_MACOS = "14.0"  # what torch is built for there
TOOLS = LOCKS / "tools.in"  # what makes and tries installers
_HEADER = "# Made by `python packaging/build.py lock` from pyproject.toml and tools.in: do not edit.\n"


class Target(NamedTuple):
    """A system, and the Python that its installers carry."""

    name: str
    platform: str  # as uv calls it
    python: str


TARGETS = (
    Target("linux", "x86_64-manylinux_2_34", "3.11"),
    Target("windows", "x86_64-pc-windows-msvc", "3.12"),
    Target("macos", "aarch64-apple-darwin", "3.12"),
)


def write_locks(options: list[str]) -> int:
    """Resolve for every system; the exit code of the first that cannot be resolved, or 0."""
    BUILD.mkdir(parents=True, exist_ok=True)
    tool = BUILD / "uv"
    fetch(FETCHING, tool)
    for target in TARGETS:
        command = [
            str(tool / "bin" / "uv"), "pip", "compile", "pyproject.toml", str(TOOLS.relative_to(ROOT)),
            "--extra", "app", "--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url",
            "--python-platform", target.platform, "--python-version", target.python, *options,
        ]
        environment = {**os.environ, "MACOSX_DEPLOYMENT_TARGET": OLDEST_MACOS}
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            return done.returncode
        kept = "".join(line for line in done.stdout.splitlines(keepends=True) if not line.startswith("--"))
        (LOCKS / f"{target.name}.txt").write_text(_HEADER + kept, encoding="utf-8")
        print(f"packaging/locks/{target.name}.txt: {kept.count('==')} packages")
    return 0
