"""Reading what is recorded once per step: columns, arrays by layer, rollups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tfx_engine.runfile.access import LIMIT, FileAccess, arrays
from tfx_engine.runfile.arrays import unpack_all
from tfx_engine.runfile.snapshot import as_words
from tfx_engine.runfile.tables import LAYER_COLUMNS, ROLLUP_COLUMNS, STEP_INTEGERS, STEP_READINGS, STEP_WORDS

_READABLE = (*STEP_INTEGERS, *STEP_WORDS, *STEP_READINGS, "tokens_per_s")


class StepReader(FileAccess):
    """The steps of one run file."""

    def count_steps(self) -> int:
        """How many steps the run has, without those of later processes, which only measure time again; cheap."""
        with self.reading():
            # Backwards from the newest, past those of later processes.
            found = self.rows("SELECT seq FROM step WHERE process = 0 ORDER BY seq DESC LIMIT 1")
            return int(found[0][0]) if found else 0

    def turns(self) -> dict[str, NDArray[Any]]:
        """The measured steps of an interleaved comparison, of all its processes, each column [n], as `steps` has them.

        Columns: process, round, block, taint, step_ms, tokens. Empty where the run is part of none.
        """
        names = ("process", "round", "block", "taint", "step_ms", "tokens")
        with self.reading():
            sql = f"SELECT {', '.join(names)} FROM step WHERE round > 0 AND phase = 'measure' ORDER BY seq"
            return arrays(names, self.rows(sql))

    def steps(
        self, after_seq: int = 0, limit: int = LIMIT, columns: Sequence[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Scalar columns of the steps after a seq, each [n]. `columns`: only these (and `seq`).

        Those of the run's first process: what later ones measure for a comparison is in `turns`.

        Readings are float64 (NaN where there is none), `seq` and what counts int64, `phase` and `taint` objects.
        """
        chosen = ("seq", *(_READABLE if columns is None else columns))
        if unknown := set(chosen) - {"seq", *_READABLE}:
            raise KeyError(unknown.pop())
        with self.reading():
            # Throughput is worked out here: no expression that a file brings along is ever evaluated.
            stored = [c for c in dict.fromkeys(chosen) if c != "tokens_per_s"]
            if "tokens_per_s" in chosen:
                stored += [c for c in ("tokens", "step_ms") if c not in stored]
            sql = f"SELECT {', '.join(stored)} FROM step WHERE seq > ? AND process = 0 ORDER BY seq LIMIT ?"
            found = arrays(stored, self.rows(sql, after_seq, limit))
            if "tokens_per_s" in chosen:
                found["tokens_per_s"] = _ratio(found["tokens"] * 1000.0, found["step_ms"])
            return {name: found[name] for name in chosen}

    def layer_steps(
        self, column: str, after_seq: int = 0, limit: int = LIMIT
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Step numbers [n] and one array by layer [n, layers] of the step rows after a seq that have one."""
        _check_layer_column(column)
        with self.reading():
            rows = self.rows(
                f"SELECT step, {column} FROM step WHERE seq > ? AND process = 0 AND {column} IS NOT NULL"
                " ORDER BY seq LIMIT ?",
                after_seq, limit,
            )
            if not rows:
                return np.empty(0, np.int64), np.empty((0, 0), np.float32)
            values = np.stack(unpack_all([blob for _, blob in rows])).astype(np.float32, copy=False)
            return np.array([step for step, _ in rows], dtype=np.int64), values

    def rollup_columns(self) -> list[str]:
        """What the second axis of a rollup's `data` stands for."""
        with self.reading():
            found = self.rows("SELECT value FROM fact WHERE key = 'rollup_columns'")
            return msgspec.json.decode(as_words(found[0][0]), type=list[str]) if found else list(ROLLUP_COLUMNS)

    def rollup(
        self, level: int, after_bucket: int = -1, layers: bool = True, limit: int = LIMIT
    ) -> dict[str, Any]:
        """The complete buckets of a level (16^level steps each) after one, at most `limit`.

        `bucket`, `first_step`, `last_step`: int64 [n]. `t_ms`: float64 [n], of the last step. `data`: float64
        [n, columns, 4] (minimum, maximum, sum, count). With `layers`, for each array by layer a list [n] of float64
        [3, layers] (maximum, sum, count) or None. What follows the last complete bucket is in the level below.
        """
        names = ("bucket", "first_step", "last_step", "t_ms", "data", *(LAYER_COLUMNS if layers else ()))
        with self.reading():
            rows = self.rows(
                f"SELECT {', '.join(names)} FROM rollup WHERE level = ? AND bucket > ? ORDER BY bucket LIMIT ?",
                level, after_bucket, limit,
            )
            columns = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(names, ())
            found: dict[str, Any] = {n: np.array(columns[n], dtype=np.int64) for n in names[:3]}
            found["t_ms"] = np.array(columns["t_ms"], dtype=np.float64)
            found["data"] = (
                np.stack(unpack_all(columns["data"])) if rows else np.empty((0, len(ROLLUP_COLUMNS), 4))
            )
            for name in names[5:]:
                known = iter(unpack_all([blob for blob in columns[name] if blob is not None]))
                found[name] = [None if blob is None else next(known) for blob in columns[name]]
            return found


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    result = np.full(len(above), np.nan)
    np.divide(above, below, out=result, where=below != 0)
    return result


def _check_layer_column(column: str) -> None:
    if column not in LAYER_COLUMNS:
        raise KeyError(column)
