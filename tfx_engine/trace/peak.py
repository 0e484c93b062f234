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
from tfx_engine.trace.course import TooLarge, extremes, fullest
from tfx_engine.trace.fake import kind_here, stand_ins
from tfx_engine.trace.look import Look, look
from tfx_engine.trace.manners import BrokenOff, GivenUp, Manners, Patience
from tfx_engine.trace.operators import Operators
from tfx_engine.trace.reserved import reserved_bytes
from tfx_engine.trace.routing import evenly, unevenly

_TOO_LARGE = tr_mark("It would take too much memory.")
_ROUTED = tr_mark("Which experts work depends on the data: from evenly used experts to all tokens at the same ones.")
ROUTED_EVENLY = tr_mark("Which experts work depends on the data: here all of them have as much to do. The step in "
                        "which they do not took too long to trace, so how much more it may take is not known.")
_UNTRACED = tr_mark("This step cannot be traced: {error}")
_STOOD_IN = tr_mark("{reason} So it is traced with the kernels of a CPU.")
_NO_CUDA = tr_mark("Traced with the kernels of a CPU: there is no CUDA device here to ask which it would take.")
COMPILED = tr_mark("This is the step as it is without the compiler, which usually needs less.")


@dataclasses.dataclass(frozen=True)
class PhasePeak:
    """The fullest moment of a part of the step, in bytes; `at_peak` adds up to `peak_bytes`."""

    name: str  # "forward", "loss", "backward", "optimizer"
    peak_bytes: int
    at_peak: dict[str, int]


@dataclasses.dataclass(frozen=True)
class Traced:
    """One step of a configuration: its memory in bytes, as torch's allocator would count it, and its operators.

    `peak_bytes` and all the figures that belong to it are None where the step cannot be traced; `note` then says why.
    `at_peak` adds up to `peak_bytes`; `category_peak` is each category's own maximum. `low_bytes` and `high_bytes`
    enclose the peak where it depends on the data (the routing of experts); else they are equal to it. Where only the
    one end was found in time they are None.
    """

    peak_bytes: int | None
    at_peak: dict[str, int] | None = None
    category_peak: dict[str, int] | None = None
    phases: tuple[PhasePeak, ...] = ()
    low_bytes: int | None = None
    high_bytes: int | None = None
    reserved_bytes: int | None = None  # None where the device's allocator holds no reserve
    operators: Operators | None = None  # how often each runs
    is_given_up: bool = False  # it would have taken too long
    notes: tuple[str, ...] = ()  # English sentences: what the figures do not say, or why there are none

    @property
    def note(self) -> str:
        """The notes in a row."""
        return " ".join(self.notes)


def traced(
    config: Config, device_kind: str = "cpu", manners: Manners | None = None
) -> Traced:
    """A step of a configuration on a device of a kind ("cpu", "cuda"); nothing is allocated for it.

    What cannot be traced with tensors of a card is traced with those of a CPU in their place. What cannot be traced at
    all has no figures, and a note that says why; so has what would take longer than `manners` allow. Raises `BrokenOff`
    where they say so, and nothing else.
    """
    patience = (manners or Manners()).begun()
    found = _tried(config, device_kind, patience)
    if found.peak_bytes is not None or found.is_given_up or kind_here(device_kind) != "cuda":
        return found
    with stand_ins():
        again = _tried(config, device_kind, patience)
    if again.peak_bytes is None:
        return again
    return dataclasses.replace(again, notes=(_STOOD_IN.format(reason=found.note), *again.notes))


def _tried(config: Config, kind: str, patience: Patience) -> Traced:
    try:
        return _traced(config, kind, patience)
    except BrokenOff:
        raise
    except GivenUp as error:
        return Traced(None, notes=(str(error),), is_given_up=True)
    except TooLarge:
        return Traced(None, notes=(_TOO_LARGE,), is_given_up=True)
    except Exception as error:  # whatever an operator has against fake tensors
        first_line = str(error).partition("\n")[0]
        return Traced(None, notes=(_UNTRACED.format(error=f"{type(error).__name__}: {first_line}"),))


def _traced(config: Config, kind: str, patience: Patience) -> Traced:
    notes = (_NO_CUDA,) if kind == "cuda" and not torch.cuda.is_available() else ()
    if config.use("compile") != "none":
        config, notes = _with(config, "compile", "none"), (*notes, COMPILED)
    even = _summary(look(config, kind, evenly, patience), kind)
    if config.use("feedforward") != "mixture_of_experts":
        return dataclasses.replace(even, notes=notes)
    try:
        uneven = _summary(look(config, kind, unevenly, patience), kind)
    except BrokenOff:
        raise
    except (GivenUp, TooLarge):
        return dataclasses.replace(even, low_bytes=None, high_bytes=None, notes=(ROUTED_EVENLY, *notes))
    bounds = sorted(bound for bound in (even.peak_bytes, uneven.peak_bytes) if bound is not None)
    return dataclasses.replace(even, low_bytes=bounds[0], high_bytes=bounds[-1], notes=(_ROUTED, *notes))


def _with(config: Config, slot: str, name: str) -> Config:
    """Another technique, which has no options, in a slot."""
    return dataclasses.replace(config, techniques={**config.techniques, slot: Choice(name)})


def _summary(seen: Look, kind: str) -> Traced:
    workspace = {(NUMBER["other"], workspace_bytes()): 1} if kind == "cuda" else {}
    course = dataclasses.replace(seen.course, begin={**seen.course.begin, **workspace})
    parts = extremes(course)
    at_peak_C = fullest(parts).at_peak_C
    peak = int(at_peak_C.sum())
    return Traced(
        peak_bytes=peak, at_peak=_named(at_peak_C),
        category_peak=_named(np.max([part.most_C for part in parts], axis=0)),
        phases=tuple(
            PhasePeak(part.name, int(part.at_peak_C.sum()), _named(part.at_peak_C))
            for part in parts if part.name not in ("", MEASURE)
        ),
        low_bytes=peak, high_bytes=peak, reserved_bytes=reserved_bytes(course) if kind == "cuda" else None,
        operators=seen.operators,
    )


def workspace_bytes() -> int:
    """What torch keeps of a CUDA device for cuBLAS: one part from the first product of the forward pass on, one from
    that of the backward pass, which another thread computes; larger since Hopper. With it that of cuBLASLt. 64 MiB and
    1 MiB were seen on an H200."""
    is_older = torch.cuda.is_available() and torch.cuda.get_device_capability()[0] < 9
    return 2 * (8_519_680 if is_older else 32 * 2**20) + 2**20


def _named(bytes_C: np.ndarray) -> dict[str, int]:
    return {name: int(value) for name, value in zip(CATEGORIES, bytes_C, strict=True)}
