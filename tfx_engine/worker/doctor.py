"""What torch and the devices of this machine can do: the worker's part of `doctor`."""

from __future__ import annotations

import os
from typing import Any

import msgspec
import psutil
import torch

from tfx_engine.measure.device import find_gpu
from tfx_engine.model.validate import pick_device
from tfx_engine.protocol.machine import cpu_name
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.techniques.devices import count_devices
from tfx_engine.worker.facts import device_name
from tfx_engine.worker.speed import find_ceilings
from tfx_engine.worker.unused_gpu import unused_gpu


def examine(measure: bool = False) -> dict[str, Any]:
    """Facts by name, as JSON-able data. `measure`: find out now how fast the devices are."""
    devices = [_device(torch.device(kind, i)) for kind in ("cuda", "xpu", "mps") for i in range(count_devices(kind))]
    return {
        "torch": str(torch.__version__),
        "torch_cuda": torch.version.cuda,
        "cpu": cpu_name(),
        "cpu_cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "ram_bytes": int(psutil.virtual_memory().total),
        "ram_free_bytes": int(psutil.virtual_memory().available),
        "devices": devices,
        "unused_gpu": unused_gpu(),
        "automatic_device": str(pick_device("auto")),
        "bfloat16": _bfloat16_in_hardware(),
        "ceilings": [_ceilings(torch.device(name), measure) for name in (*(d["device"] for d in devices), "cpu")],
    }


def _ceilings(device: torch.device, measure: bool) -> dict[str, Any]:
    """{"device": name, "ceilings": what is known of it or None, "reason": why nothing is}"""
    try:
        found = find_ceilings(device, device_name(device), may_measure=measure, again=measure)
    except (OSError, RuntimeError, RunFileError) as error:
        return {"device": str(device), "ceilings": None, "reason": str(error)}
    return {"device": str(device), "ceilings": msgspec.to_builtins(found), "reason": ""}


def _device(device: torch.device) -> dict[str, Any]:
    gpu = find_gpu(device)
    facts: dict[str, Any] = {"device": str(device), "name": device_name(device), "driver": gpu.driver()}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        facts["memory_bytes"] = properties.total_memory
        facts["capability"] = f"{properties.major}.{properties.minor}"
    gpu.read()  # finds out what the driver refuses
    facts["missing"] = gpu.missing
    return facts


def _bfloat16_in_hardware() -> bool:
    """Whether the automatic device multiplies bfloat16 matrices in hardware; False also where torch cannot tell."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    check = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return bool(check()) if check is not None else False
