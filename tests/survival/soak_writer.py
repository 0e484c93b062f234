"""A live run with all that a real one holds, at so many rows a second, which says at its end how many it has written.

    python -m tests.survival.soak_writer run.tfx ROWS_PER_S [ROWS]

Captures of attention, splits of memory and evaluations come every two seconds, samples of the device every half.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.helpers.synthetic_run import live, make_config


def main() -> None:
    """Write until there are `ROWS`, or somebody stops the run through its mailbox."""
    path, rate = Path(sys.argv[1]), float(sys.argv[2])
    rows = int(sys.argv[3]) if len(sys.argv) > 3 else 10**8
    often = int(2 * rate)
    config = make_config(
        "soak", steps=rows, warmup_steps=0, layers=6, heads=4, context=64,
        run={"attention_every": often, "memory_every": often, "validate_every": often},
    )
    print(json.dumps({"produced": live(path, config, rate)}), flush=True)


if __name__ == "__main__":
    main()
