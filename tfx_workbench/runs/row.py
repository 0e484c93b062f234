"""One run file as a list shows it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from tfx_engine.runfile.reader import RunReader


@dataclasses.dataclass(frozen=True)
class RunRow:
    """One run file, as a list shows it."""

    path: Path
    run_id: str
    name: str
    status: str  # `interrupted` where its writer is gone without a word
    reason: str
    created_at: str  # ISO 8601, UTC
    started_at: str | None
    ended_at: str | None
    comparison: str
    queue_position: float
    steps: int
    size_bytes: int
    note: str = ""
    tags: tuple[str, ...] = ()
    techniques: tuple[str, ...] = ()  # what fills its slots, in the order of the slots
    device: str = ""
    responds: bool = True  # False: it is running, and its worker has given no sign of life for some seconds

    def as_dict(self) -> dict[str, Any]:
        """The row for JSON."""
        row = dataclasses.asdict(self)
        if self.status != "running":
            del row["responds"]
        return {"run": str(row.pop("path")), **row}


def read_row(path: Path) -> RunRow:
    """The row of one run file. Raises `RunFileError`."""
    with closing(RunReader(path, look=False)) as reader, reader.snapshot():
        info, steps, said, device = reader.info(), reader.count_steps(), reader.annotations(), reader.fact("device")
    return RunRow(
        path=path, run_id=info.run_id, name=info.name, status=info.status, reason=info.reason,
        created_at=info.created_at, started_at=info.started_at, ended_at=info.ended_at, comparison=info.comparison,
        queue_position=info.queue_position, steps=steps, size_bytes=path.stat().st_size, note=said.note, tags=said.tags,
        techniques=_techniques(info.config), device=str(device.get("name", "")) if isinstance(device, dict) else "",
    )


def _techniques(config: Mapping[str, Any]) -> tuple[str, ...]:
    slots = config.get("techniques")
    chosen = slots.values() if isinstance(slots, dict) else ()
    return tuple(str(slot["use"]) for slot in chosen if isinstance(slot, dict) and "use" in slot)
