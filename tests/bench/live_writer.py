"""One live run at full speed with all that a real one holds: probes, captures and evaluations every few seconds.

    python -m tests.bench.live_writer run.tfx NAME SEED STEPS_PER_S
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.helpers.synthetic_run import live, make_config

LAYERS, HEADS, CONTEXT = 6, 4, 64


def main() -> None:
    """Write until somebody ends the process."""
    path, name, seed, rate = sys.argv[1:]
    often = int(2 * float(rate))
    config = make_config(
        name, steps=10_000_000, layers=LAYERS, heads=HEADS, context=CONTEXT, seed=int(seed),
        run={"attention_every": often, "memory_every": often, "validate_every": often},
    )
    live(Path(path), config, float(rate), int(seed))


if __name__ == "__main__":
    main()
