"""The states of a run, in words that everybody uses."""

from __future__ import annotations

from typing import Literal, get_args

Status = Literal["queued", "running", "finished", "failed", "stopped", "interrupted"]
STATUSES: tuple[str, ...] = get_args(Status)
ENDED = frozenset({"finished", "failed", "stopped", "interrupted"})
Phase = Literal["build", "compile", "warmup", "measure", "probe", "profile", "audit"]
