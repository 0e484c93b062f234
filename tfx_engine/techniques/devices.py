"""Which devices there are, and which kind a configuration will run on: for techniques that not every device can do."""

from __future__ import annotations

import torch

from tfx_engine.protocol.config import Config

KINDS = ("cuda", "xpu", "mps", "cpu")  # as `auto` tries them


def count_devices(kind: str) -> int:
    """How many devices of a kind torch can use here."""
    match kind:
        case "cuda":
            return torch.cuda.device_count() if torch.cuda.is_available() else 0
        case "xpu":
            return torch.xpu.device_count() if torch.xpu.is_available() else 0
        case "mps":
            return int(torch.backends.mps.is_available())
        case "cpu":
            return 1
        case _:
            return 0


def device_kind(config: Config) -> str:
    """"cuda", "xpu", "mps" or "cpu": what the configuration names, or what `auto` will take."""
    name = config.run.device.partition(":")[0]
    return next(kind for kind in KINDS if count_devices(kind)) if name == "auto" else name
