"""What is true of a whole run and must be known to repeat or to read it."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from typing import Any

import psutil
import torch

from tfx_engine.estimate import count_parameters, flops_by_component, flops_per_token
from tfx_engine.measure.device import NoGpu, NvidiaGpu
from tfx_engine.measure.memory import IN_A_POOL
from tfx_engine.measure.memory_split import can_split
from tfx_engine.protocol.machine import cpu_name
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.techniques.adapter import count_numbers
from tfx_engine.techniques.compile import replays
from tfx_engine.techniques.counts import chosen, parameters_of
from tfx_engine.techniques.optimizer import implementation_of
from tfx_engine.train.setup import Setup

_NOT_DECLARED = tr_mark(
    "Parameters that the techniques declare: {declared}. The model has {actual}, so the FLOPs would be wrong too."
)
_NOT_COUNTED = tr_mark("What {names} multiplies beside its linear layers is not known.")

_UNDECIDED = tr_mark("What is computed again is decided by the compiler, so nobody knows beforehand what it costs.")

_OFF = tr_mark("Measuring is switched off for this run (probes = false).")
_NO_AUDIT = tr_mark("The audit is switched off for this run (audit = false).")
_NO_PROFILE = tr_mark("No step of this run was profiled (profile = false).")
_NO_PEAK = tr_mark("The speed of this device was not measured in this run.")
_NO_OVERHEAD = tr_mark("What measuring costs is not known yet, or the run ended before it was.")
_NO_SPLIT = tr_mark("torch's allocator for this device tells the profiler nothing.")
_PROBED = (
    "grad_norm", "update_ratio", "allocated_bytes", "reserved_bytes", "device_bytes", "rss_bytes", "held_out_loss",
    "attention", "memory_split", "audit", "time_ms",
)  # what probes read


def machine_facts(device: torch.device, gpu: NvidiaGpu | NoGpu) -> dict[str, Any]:
    """Device, driver and software."""
    facts = {
        "device": {"name": device_name(device), "kind": device.type},
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cpu_cores": os.cpu_count(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
    }
    if device.type == "cuda":
        facts["cuda"] = torch.version.cuda or torch.version.hip
        facts["driver"] = gpu.driver()
    return {key: value for key, value in facts.items() if value is not None}


def training_facts(setup: Setup) -> dict[str, Any]:
    """Model, data and plan."""
    model, config = setup.training.model, setup.config
    facts = {
        "seed": config.seed,
        "params": {
            "total": count_numbers(model),
            "trainable": count_numbers(model, trained_only=True),
        },
        "layer_names": setup.layer_names,
        "optimizer": implementation_of(setup.training.optimizer),
        "loss": setup.training.loss.implementation,
        "corpus": setup.task.facts(),
        "planned_steps": setup.total_steps,
        "tokens_per_step": setup.tokens_per_step,
    }
    missing = missing_facts(setup)
    flops = flops_per_token(config)
    counted = {"model": flops.model, "hardware": flops.hardware}
    if known := {name: value for name, value in counted.items() if f"flops_per_token.{name}" not in missing}:
        facts["flops_per_token"] = known
    if "hardware" in known:
        forward, backward = flops_by_component(config)
        again = {"recompute": flops.recompute} if flops.recompute else {}
        facts["flops_by_component"] = {
            name: forward.get(name, 0) + backward.get(name, 0) for name in dict.fromkeys((*forward, *backward))
        } | again
    by_component = {t.slot: brought for t, o in chosen(config) if (brought := parameters_of(t, o, config))}
    if sum(by_component.values()) == count_numbers(model):
        facts["params_by_component"] = by_component
    labels = setup.task.labels()
    if labels is not None:
        facts["token_text"] = labels
    return facts


def missing_facts(setup: Setup) -> dict[str, str]:
    """Why a fact is not there, by the key of the figure that is made of it.

    FLOPs are counted from what the techniques declare; where their declared parameters are not the model's, neither are
    their FLOPs.
    """
    declared = count_parameters(setup.config).total
    actual = count_numbers(setup.training.model)
    uncounted = [t.name for t, _ in chosen(setup.config) if not t.is_counted]
    if uncounted:
        reason = _NOT_COUNTED.format(names=", ".join(uncounted))
    elif declared != actual:
        reason = _NOT_DECLARED.format(declared=declared, actual=actual)
    else:
        undecided = any(technique.again is None for technique, _ in chosen(setup.config))
        return {"flops_per_token.hardware": _UNDECIDED} if undecided else {}
    return dict.fromkeys(("flops_per_token.model", "flops_per_token.hardware"), reason)


def missing_readings(setup: Setup, of_gpu: Mapping[str, str], of_memory: Mapping[str, str]) -> dict[str, str]:
    """Why readings and facts are not there, as far as that is known before the first step.

    `of_gpu`, `of_memory`: what the driver and the memory meter refuse. A figure that comes last is missing until then.
    """
    run = setup.config.run
    missing = {"mfu": _NO_PEAK, "overhead_percent": _NO_OVERHEAD, **of_gpu, **missing_facts(setup)}
    if not can_split(setup.device):
        missing["memory_split"] = _NO_SPLIT
    elif replays(setup.config):
        missing["memory_split"] = IN_A_POOL
    if not run.profile:
        missing["time_ms"] = _NO_PROFILE
    if not run.probes:
        return missing | dict.fromkeys(("overhead_percent", *_PROBED), _OFF)
    return {**missing, **of_memory, **({} if run.audit else {"audit": _NO_AUDIT})}


def device_name(device: torch.device) -> str:
    """What the device is called by its maker, as far as torch knows."""
    match device.type:
        case "cuda":
            return torch.cuda.get_device_name(device)
        case "xpu":
            return str(torch.xpu.get_device_name(device))
        case "mps":
            return f"Apple GPU ({cpu_name()})"
    return cpu_name()


def rss_bytes() -> int:
    """Resident set of this process."""
    return int(psutil.Process().memory_info().rss)


def declared_flops(setup: Setup) -> dict[tuple[str, str], float]:
    """FLOPs of a step as its techniques declare them, by part and component; nothing where they are not known.

    A compiled graph has no components. What is computed again is declared as a whole.
    """
    if setup.training.is_compiled or "flops_per_token.model" in missing_facts(setup):
        return {}
    forward, backward = flops_by_component(setup.config)
    found = {("loss" if name == "head" else "forward", name): flops for name, flops in forward.items()}
    found |= {("backward", name): flops for name, flops in backward.items()}
    return {key: flops * setup.tokens_per_step for key, flops in found.items()}
