"""A live run with all that a real one holds, at so many rows a second, which says at its end how many it has written.

    python -m tests.survival.soak_writer run.tfx ROWS_PER_S [ROWS]

Captures of attention, splits of memory and evaluations come every two seconds, samples of the device every half. With
ROWS it writes so many, as fast as it can, as if they had come at that pace: their times are those of 1,000 rows a
second, and most are the same but for their numbers.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

from tests.helpers.synthetic_run import live, make_config, running
from tfx_engine.protocol.config import Config
from tfx_engine.runfile.errors import RunFileError

VARIED = 500  # rows with all that belongs to a step; then come plain ones


def main() -> None:
    """Write until there are `ROWS`, or somebody stops the run through its mailbox."""
    path, rate = Path(sys.argv[1]), float(sys.argv[2])
    rows = int(sys.argv[3]) if len(sys.argv) > 3 else 10**8
    often = int(2 * rate)
    config = make_config(
        "soak", steps=rows, warmup_steps=0, layers=6, heads=4, context=64,
        run={"attention_every": often, "memory_every": often, "validate_every": often},
    )
    count = live(path, config, rate) if len(sys.argv) < 4 else hurry(path, config, rate, rows)
    print(json.dumps({"produced": count}), flush=True)


def hurry(path: Path, config: Config, rate: float, rows: int) -> int:
    """So many rows at once."""
    with running(path, config) as run:
        run.advance(VARIED)
        columns = run.numbers.step(VARIED, "measure")
        for step in range(VARIED + 1, rows + 1):
            run.writer.step(**{**columns, "step": step, "t_ms": 1000 * step / rate})
        for _ in range(10):  # a disk that others keep busy gets its time
            with contextlib.suppress(RunFileError):
                run.writer.flush()
                break
        run.end("finished")
    return rows


if __name__ == "__main__":
    main()
