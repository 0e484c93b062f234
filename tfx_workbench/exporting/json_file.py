"""A whole run as one JSON object; what is in it, docs/exports.md says."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from typing import Any, BinaryIO

from tfx_engine.runfile.reader import RunReader
from tfx_workbench.exporting.tables import TABLES
from tfx_workbench.runs.rundata import RunData

SCHEMA = 1
_AT_ONCE = 1000  # rows


def write_json(file: BinaryIO, run: RunData, reader: RunReader) -> None:
    """Write the run; tables are written as they are read, so their size does not matter."""
    info = run.info
    head = {
        "schema": SCHEMA, "format": "tfx-run", "run_id": info.run_id, "name": info.name, "status": info.status,
        "reason": info.reason, "created_at": info.created_at, "started_at": info.started_at, "ended_at": info.ended_at,
        "comparison": info.comparison, "engine_version": info.engine_version, "config": info.config,
        "config_toml": info.config_toml, "facts": run.facts, "missing": run.missing,
        "summary": run.complete_summary(),
    }
    file.write(_dumps(head)[:-1] + b',"tables":{')
    for number, table in enumerate(TABLES.values()):
        opening = {"columns": list(table.columns)}
        file.write(b"," * bool(number) + _dumps(table.name) + b":" + _dumps(opening)[:-1] + b',"rows":[')
        for piece in _pieces(table.rows(reader)):
            file.write(piece)
        file.write(b"]}")
    file.write(b"}}\n")


def _pieces(rows: Iterator[Any]) -> Iterator[bytes]:
    is_first = True
    while piece := list(itertools.islice(rows, _AT_ONCE)):
        yield (b"" if is_first else b",") + b",".join(_dumps(list(row)) for row in piece)
        is_first = False


def _dumps(value: Any) -> bytes:
    text = json.dumps(finite(value), separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace")


def finite(value: Any) -> Any:
    """JSON has no infinity and nothing that is not a number: these are null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    return value
