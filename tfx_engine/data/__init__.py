"""What a model learns: text and synthetic tasks, in batches that depend on (seed, step) and nothing else."""

from __future__ import annotations

from tfx_engine.data.task import Task
from tfx_engine.data.tasks import check, make_task

__all__ = ["Task", "check", "make_task"]
