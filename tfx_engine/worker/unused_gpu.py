"""An NVIDIA GPU that is there and that torch does not use: what the driver says of it, and why torch does without.

The driver is asked through its management library, which speaks to drivers of any age; torch only says no.
"""

from __future__ import annotations

import os
from typing import Any

import torch

from tfx_engine.techniques.devices import count_devices, has_kernels

# The oldest driver that a CUDA of that major version runs on, on Linux. Source: NVIDIA, "CUDA Compatibility", table 1.
OLDEST_DRIVER = {11: "450.80", 12: "525.60", 13: "580.65"}


def unused_gpu() -> dict[str, Any] | None:
    """None where there is no NVIDIA driver, or torch uses its GPU. Otherwise `names` of the GPUs, `driver`, `cuda` (the
    newest that the driver is for), each None where the driver does not say; and why it is not used: `why`, one of

    `cpu-build`     this torch has nothing for GPUs
    `old-driver`    the driver is older than this torch's CUDA needs, which is `needs_driver`
    `no-kernels`    this torch was not built for its generation, which is `capability`, but for `built_for`
    `hidden`        the environment variable CUDA_VISIBLE_DEVICES leaves it out
    `driver`        something else, which `said` tells in the words of the driver or of torch
    """
    if count_devices("cuda"):
        return None if has_kernels() else _without_kernels()
    import pynvml

    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded):
        return None
    except pynvml.NVMLError as error:  # such as a driver that was updated and waits for the machine to start again
        return {"names": None, "driver": None, "cuda": None, "why": "driver", "said": str(error)}
    try:
        names = [str(pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(index)))
                 for index in range(pynvml.nvmlDeviceGetCount())]
        driver, cuda = str(pynvml.nvmlSystemGetDriverVersion()), int(pynvml.nvmlSystemGetCudaDriverVersion_v2())
    except pynvml.NVMLError as error:
        return {"names": None, "driver": None, "cuda": None, "why": "driver", "said": str(error)}
    if not names:
        return None
    return {"names": names, "driver": driver, "cuda": f"{cuda // 1000}.{cuda % 1000 // 10}", **_why(cuda // 1000)}


def _without_kernels() -> dict[str, Any]:
    """Of the first GPU, which torch sees and cannot run anything on."""
    return {"names": [torch.cuda.get_device_name(0)], "driver": None, "cuda": None, "why": "no-kernels",
            "capability": ".".join(map(str, torch.cuda.get_device_capability(0))),
            "built_for": ", ".join(torch.cuda.get_arch_list())}


def _why(major: int) -> dict[str, Any]:
    """Why torch does without, beside a driver for that major version of CUDA."""
    if torch.version.cuda is None:
        return {"why": "cpu-build"}
    wanted = int(torch.version.cuda.partition(".")[0])
    if major < wanted:
        return {"why": "old-driver", "needs_driver": OLDEST_DRIVER.get(wanted)}
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return {"why": "hidden"}
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return {"why": "driver", "said": str(error).partition("\n")[0]}
    return {"why": "driver", "said": ""}
