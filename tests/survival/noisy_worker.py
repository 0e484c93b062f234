"""The real worker, in which a training step makes noise: `TFX_WORKER_MODULE=tests.survival.noisy_worker`.

TFX_NOISE_AT: the steps that make it, by their index, such as "3,5"; TFX_NOISE_LINES: lines that every step prints.
"""

from __future__ import annotations

import os
from typing import Any

from tests.survival.noise import make_noise, write


def main() -> None:
    """Never returns."""
    import ctypes

    import tfx_engine.train.stepping as stepping
    from tfx_engine.worker.__main__ import main as worker

    original: Any = stepping.train_step
    at = {int(step) for step in os.environ.get("TFX_NOISE_AT", "3").split(",") if step}
    lines = int(os.environ.get("TFX_NOISE_LINES", "0"))
    libc = ctypes.CDLL(None)

    def train_step(training: Any, batch: Any, index: int, *more: Any) -> Any:
        if index in at:
            make_noise(seed=index)
        if lines:
            write(libc, 1, b"a line that some library prints in every step, as libraries do\n" * lines)
        return original(training, batch, index, *more)

    stepping.train_step = train_step
    worker()


if __name__ == "__main__":
    main()
