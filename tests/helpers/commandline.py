"""The command line as its users have it: a real process, its exit code, what it printed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

TIMEOUT_S = 240.0  # far more than anything takes; a test that waits that long has failed
TINY: dict[str, Any] = {
    "model": {"width": 16, "layers": 1, "heads": 2, "context": 16},
    "run": {"batch": 2, "warmup_steps": 1, "measure_steps": 4, "device": "cpu", "threads": 1, "audit": False},
}


class Done(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The JSON objects on stdout, one a line; fails where anything else is there."""
        return [json.loads(line) for line in self.out.splitlines()]


def argv(*arguments: str | Path) -> list[str]:
    """The command as a list, as `subprocess` wants it."""
    return [sys.executable, "-m", "tfx_workbench", *map(str, arguments)]


def command(*arguments: str | Path, cwd: Path | None = None) -> Done:
    """Run a command to its end. No traceback may ever be seen."""
    done = subprocess.run(argv(*arguments), capture_output=True, text=True, timeout=TIMEOUT_S, cwd=cwd)
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    """Start a command in a session of its own; its output goes to pipes."""
    pipe = subprocess.PIPE
    return subprocess.Popen(argv(*arguments), stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def write_config(folder: Path, name: str = "tiny", **sections: Mapping[str, Any]) -> Path:
    """A configuration of a tiny model as TOML, its sections changed by `sections`."""
    from tfx_engine.protocol.toml import dumps

    data: dict[str, Any] = {"name": name, **{key: dict(value) for key, value in TINY.items()}}
    for key, value in sections.items():
        data[key] = {**data.get(key, {}), **value}
    path = folder / f"{name.replace(' ', '_')}.toml"
    path.write_text(dumps(data), encoding="utf-8")
    return path
