"""The real worker, but the steps of a run whose file is named "slow" take 10 % longer: a difference that is known."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tfx_engine.train import loop
from tfx_engine.worker import conversation
from tfx_engine.worker.__main__ import main

SLOWER = 0.10
_real_step, _real_run = loop.train_step, conversation._run


def slowed(*arguments):
    """A step, and then a tenth of its time once more."""
    begun_s = time.perf_counter()
    result = _real_step(*arguments)
    ends_s = time.perf_counter() + SLOWER * (time.perf_counter() - begun_s)
    while time.perf_counter() < ends_s:
        continue
    return result


def run(job, *arguments):
    """The run, with slow steps where its file says so."""
    if "-slow-" in Path(job.path).name:
        loop.train_step = slowed
    return _real_run(job, *arguments)


conversation._run = run
if __name__ == "__main__":
    sys.exit(main())
