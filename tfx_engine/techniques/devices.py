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
    return automatic_kind() if name == "auto" else name


def automatic_kind() -> str:
    """What `auto` takes: the first kind with a device, where this torch has code for it."""
    return next(kind for kind in KINDS if count_devices(kind) and (kind != "cuda" or has_kernels()))


def has_kernels(index: int = 0) -> bool:
    """Whether this build of torch brings code for an NVIDIA GPU; True where torch does not say what it brings.

    A GPU runs what was compiled for its own major version and at most its minor one (`sm_86` on 8.9), and what its
    driver compiles from an older or equal intermediate form (`compute_90` on 12.0). Source: NVIDIA, CUDA C++
    Programming Guide, "Application Compatibility".
    """
    if torch.version.hip is not None or not (built := torch.cuda.get_arch_list()):
        return True
    major, minor = torch.cuda.get_device_capability(index)
    for form, version in (name.split("_", 1) for name in built):
        own = version.isdigit()  # `sm_90a` is for 9.0 and nothing else
        number = int(version if own else version[:-1])
        if not own and number == 10 * major + minor:
            return True
        if own and form == "compute" and number <= 10 * major + minor:
            return True
        if own and form == "sm" and number // 10 == major and number % 10 <= minor:
            return True
    return False
