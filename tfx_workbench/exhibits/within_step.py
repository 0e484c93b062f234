"""The time within one step as exhibits of memory draw it: the parts of the step, the peak, as many moments as fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfx_engine.protocol.components import PARTS
from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.exhibits.exhibit import Layer, Marker, Span
from tfx_workbench.exhibits.format import Scale, size
from tfx_workbench.exhibits.text import say

if TYPE_CHECKING:
    from tfx_engine.runfile.rows import MemoryProbe

CATEGORY_NAMES = {
    "parameters": tr_mark("parameters"), "gradients": tr_mark("gradients"), "optimizer": tr_mark("optimizer"),
    "activations": tr_mark("activations"), "adapters": tr_mark("adapters"), "temporary": tr_mark("temporary"),
    "other": tr_mark("other"),
}
_PLACES = 700  # along the time within a step: about as many as a panel has pixels


def phases_of(probe: MemoryProbe) -> list[Layer]:
    """The parts of the step."""
    return [Span(f"phase {i}", a, b, say(PARTS.get(name, name))) for i, (name, a, b) in enumerate(probe.phases)]


def end_ms(probe: MemoryProbe) -> float:
    """When the step ends."""
    ends = [end for _, _, end in probe.phases]
    return max([1e-3, *ends, *probe.timeline_ms[-1:].tolist()])


def thinned(probe: MemoryProbe) -> np.ndarray:
    """Indices into a timeline, at most `_PLACES`: of moments that would share a pixel, the fullest one."""
    count = len(probe.timeline_ms)
    if count <= _PLACES:
        return np.arange(count)
    place = np.minimum((probe.timeline_ms / end_ms(probe) * _PLACES).astype(np.intp), _PLACES - 1)
    fullest = np.lexsort((-probe.timeline.sum(axis=1), place))
    return fullest[np.unique(place[fullest], return_index=True)[1]]


def until(x: np.ndarray, values: np.ndarray, end: float) -> tuple[np.ndarray, np.ndarray]:
    """The last value holds until `end`."""
    if not len(x) or x[-1] >= end:
        return x, values
    return np.append(x, end), np.concatenate([values, values[-1:]])


def peak_marker(x: float, peak_bytes: float, scale: Scale) -> Marker:
    """The moment at which the most was allocated."""
    return Marker("peak", x, peak_bytes / scale.size, say(tr_mark("peak {size}"), size=size(peak_bytes)))
