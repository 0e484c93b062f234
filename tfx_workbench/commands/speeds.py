"""How fast the devices of this machine are, as lines of `doctor`: what was measured here beside what makers publish."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from tfx_engine.protocol.ceilings import Ceiling, Ceilings
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.vendor import VendorPeak, vendor_peak
from tfx_workbench.commands import words


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing that was looked at. `ok` is None where it is not there and not needed either."""

    name: str
    ok: bool | None
    detail: str
    hint: str = ""  # what to type or to do


def speeds(found: Sequence[Mapping[str, Any]]) -> Iterator[Check]:
    """A line for each format, one for the memory and one for the rest, of every device."""
    for entry in found:
        device = entry["device"]
        if entry["ceilings"] is None:
            detail = entry["reason"] or tr_mark("not measured yet; the first run does it after its steps")
            hint = "" if entry["reason"] else tr_mark("Now: tfx-workbench doctor --measure")
            yield Check(f"{device} speed", None, detail, hint)
        else:
            yield from _of(device, msgspec.convert(entry["ceilings"], Ceilings))


def _of(device: str, ceilings: Ceilings) -> Iterator[Check]:
    vendor = vendor_peak(ceilings.circumstances.name)
    for format, peak in ceilings.flops.items():
        yield Check(f"{device} {format}", True, _rate(peak, "FLOP", _published(vendor, format)))
    yield Check(f"{device} bandwidth", True, _rate(ceilings.bandwidth, "B", vendor.bytes_per_s if vendor else None))
    yield Check(f"{device} launch", True, tr_mark("{us} µs from one small operator to the next").format(
        us=words.number(ceilings.launch_us)))
    detail = tr_mark("{at} in {seconds} s").format(at=ceilings.measured_at, seconds=words.number(ceilings.took_s))
    hint = tr_mark("Other programs were busy meanwhile. On a quiet machine: tfx-workbench doctor --measure")
    yield Check(f"{device} measured", None if ceilings.is_busy else True, detail, hint if ceilings.is_busy else "")


def _published(vendor: VendorPeak | None, format: str) -> float | None:
    return vendor.flops_per_s.get(format) if vendor else None


def _rate(found: Ceiling, unit: str, published: float | None) -> str:
    text = tr_mark("{rate}, rounds {spread} % apart").format(
        rate=words.per_second(found.per_s, unit), spread=words.number(found.spread_percent, 2))
    if published is None:
        return text
    return text + tr_mark("; published {rate}").format(rate=words.per_second(published, unit))
