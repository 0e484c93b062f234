"""`traced`: the peak of a step's memory, what it consists of, and each phase's own, before anything runs."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from tfx_engine.measure.memory_replay import NUMBER
from tfx_engine.measure.parts import MEASURE
from tfx_engine.protocol.config import Choice, Config
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.trace.assumed import Routing, evenly, unevenly
from tfx_engine.trace.course import Course, course_of, deeper, extremes
from tfx_engine.trace.depth import depths_of, with_layers
from tfx_engine.trace.fake import fake_step
from tfx_engine.trace.reserved import reserved_bytes

_ROUTED = tr_mark("Which experts work depends on the data: from evenly used experts to all tokens at the same ones.")
_ROUTED_EVENLY = tr_mark("Which experts work depends on the data: here all of them have as much to do.")
_MOST_EXPERTS = 16  # of more of them only one routing is traced: each costs as much as a layer
_UNTRACED = tr_mark("This step cannot be traced: {error}")
_NO_CUDA = tr_mark("Traced with the kernels of a CPU: there is no CUDA device here to ask which it would take.")
_COMPILED = tr_mark("This is the step as it is without the compiler, which usually needs less.")


@dataclasses.dataclass(frozen=True)
class PhasePeak:
    """The fullest moment of a part of the step, in bytes; `at_peak` adds up to `peak_bytes`."""

    name: str  # "forward", "loss", "backward", "optimizer"
    peak_bytes: int
    at_peak: dict[str, int]


@dataclasses.dataclass(frozen=True)
class Traced:
    """The memory of one step of a configuration, in bytes, as torch's allocator would count it.

    `peak_bytes` and all the figures that belong to it are None where the step cannot be traced; `note` then says why.
    `at_peak` adds up to `peak_bytes`; `category_peak` is each category's own maximum. `low_bytes` and `high_bytes`
    enclose the peak where it depends on the data (the routing of experts); else they are equal to it.
    """

    peak_bytes: int | None
    at_peak: dict[str, int] | None = None
    category_peak: dict[str, int] | None = None
    phases: tuple[PhasePeak, ...] = ()
    low_bytes: int | None = None
    high_bytes: int | None = None
    reserved_bytes: int | None = None  # None where the device's allocator holds no reserve
    note: str = ""  # an English sentence: what the figures do not say, or why there are none


def traced(config: Config, device_kind: str = "cpu") -> Traced:
    """The memory of a step of a configuration on a device of a kind ("cpu", "cuda"); nothing is allocated for it.

    Never raises: what cannot be traced has no figures, and a note that says why.
    """
    try:
        return _traced(config, device_kind)
    except Exception as error:  # whatever an operator has against fake tensors
        first_line = str(error).partition("\n")[0]
        return Traced(None, note=_UNTRACED.format(error=f"{type(error).__name__}: {first_line}"))


def _traced(config: Config, device_kind: str) -> Traced:
    kind, note = device_kind, ""
    if kind == "cuda" and not torch.cuda.is_available():
        note = _NO_CUDA
    if config.use("compile") != "none":
        config, note = _with(config, "compile", "none"), f"{note} {_COMPILED}".lstrip()
    even = _summary(_course(config, kind, evenly), kind)
    if config.use("feedforward") != "mixture_of_experts":
        return dataclasses.replace(even, note=note)
    if config.techniques["feedforward"].options["experts"] > _MOST_EXPERTS:
        return dataclasses.replace(even, note=f"{_ROUTED_EVENLY} {note}".rstrip())
    uneven = _summary(_course(config, kind, unevenly), kind)
    bounds = sorted(bound for bound in (even.peak_bytes, uneven.peak_bytes) if bound is not None)
    return dataclasses.replace(even, low_bytes=bounds[0], high_bytes=bounds[-1], note=f"{_ROUTED} {note}".rstrip())


def _with(config: Config, slot: str, name: str) -> Config:
    """Another technique, which has no options, in a slot."""
    return dataclasses.replace(config, techniques={**config.techniques, slot: Choice(name)})


def _course(config: Config, kind: str, routing: Routing) -> Course:
    """Of few layers where that is enough."""
    depths = depths_of(config)
    if depths is not None:
        shallow, deep = (fake_step(with_layers(config, n), kind, routing) for n in (depths.shallow, depths.deep))
        course = deeper(shallow, deep, depths.times)
        if course is not None:
            return course
    return course_of(fake_step(config, kind, routing))


def _summary(course: Course, kind: str) -> Traced:
    workspace = _workspace_bytes() if kind == "cuda" else 0
    course = dataclasses.replace(course, begin=(*course.begin, (NUMBER["other"], workspace)))
    parts = extremes(course)
    fullest = max(parts, key=lambda part: int(part.at_peak_C.sum()))
    peak = int(fullest.at_peak_C.sum())
    return Traced(
        peak_bytes=peak, at_peak=_named(fullest.at_peak_C),
        category_peak=_named(np.max([part.most_C for part in parts], axis=0)),
        phases=tuple(
            PhasePeak(part.name, int(part.at_peak_C.sum()), _named(part.at_peak_C))
            for part in parts if part.name not in ("", MEASURE)
        ),
        low_bytes=peak, high_bytes=peak, reserved_bytes=reserved_bytes(course) if kind == "cuda" else None,
    )


def _workspace_bytes() -> int:
    """What torch keeps of a CUDA device for cuBLAS, from the first matrix product on: more since Hopper."""
    is_older = torch.cuda.is_available() and torch.cuda.get_device_capability()[0] < 9
    return 8_519_680 if is_older else 32 * 2**20


def _named(bytes_C: np.ndarray) -> dict[str, int]:
    return {name: int(value) for name, value in zip(CATEGORIES, bytes_C, strict=True)}
