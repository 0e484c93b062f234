"""The operators and kernels that take the most time in a step, with where they ran and what they did."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tfx_engine.protocol.components import COMPONENTS, PARTS
from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.exhibits.by_step import NO_RUN, about
from tfx_workbench.exhibits.exhibit import Column, Definition, Exhibit, Table
from tfx_workbench.exhibits.format import UNKNOWN, count_scale, duration, number, percent, plain, size
from tfx_workbench.exhibits.kind import Choice, Choices, ExhibitType
from tfx_workbench.exhibits.runview import RunView, focused
from tfx_workbench.exhibits.text import Words, say
from tfx_workbench.exhibits.time import why_not_profiled

if TYPE_CHECKING:
    from tfx_engine.runfile.rows import Kernel, Operator

_TITLE = tr_mark("Operators")
_VIEW = Choice("view", tr_mark("what is listed"), (
    ("operators", tr_mark("by operator")), ("places", tr_mark("by operator and place")),
    ("kernels", tr_mark("kernels")),
))
_ROWS = 60
_DEFINITIONS = (
    Definition(say(tr_mark("operator")), say(tr_mark(
        "What torch calls to do work, each counted once: with what it calls itself, without views and what is only "
        "made of others. Per step, as profiled: the profiler makes short operators look longer."))),
    Definition(say(tr_mark("FLOPs")), say(tr_mark(
        "Of matrix products and attention, by the shapes that ran; a multiply-add is two."))),
    Definition(say(tr_mark("bytes")), say(tr_mark(
        "Read and written if every operator reads its inputs and writes its outputs once; caches make it less."))),
    Definition(say(tr_mark("kernel")), say(tr_mark(
        "What ran on the device, by its own clock, at the place of the operator that started it."))),
)
Totals = tuple[str, str, str, float, float, float, float]  # name, part, component, calls, ms, FLOPs, bytes


def operators(runs: Sequence[RunView], choices: Choices) -> Exhibit:
    """The chosen list of the focused run."""
    run = focused(runs)
    if run is None:
        return Exhibit("operators", say(_TITLE), empty=NO_RUN, definitions=_DEFINITIONS)
    if not run.data.profile_parts:
        return Exhibit("operators", say(_TITLE), empty=why_not_profiled(run), definitions=_DEFINITIONS)
    view = choices.get("view")
    notes: tuple[Words, ...] = ()
    if view == "kernels" and run.data.kernels:
        table = _kernels(run.data.kernels)
    else:
        table = _operators(run.data.operators, by_place=view != "operators")
        if view == "kernels":
            notes = (say(tr_mark("the CPU has no kernels of its own: these are its operators")),)
    top = max(_summed(run.data.operators, by_place=False), key=lambda row: row[4], default=None)
    words: list[Words] = []
    if top is not None:
        whole = sum(row[4] for row in _summed(run.data.operators, by_place=False)) or 1.0
        words.append(say(tr_mark("{name} {share} of the operators' time"), name=_plain_name(top[0]),
                         share=percent(100 * top[4] / whole, 2)))
    return Exhibit("operators", say(_TITLE), sentence=about(run, runs, *words), tables=(table,), notes=notes,
                   definitions=_DEFINITIONS)


def _summed(rows: Sequence[Operator], by_place: bool) -> list[Totals]:
    """Operators put together over all places, or told apart by them; the most time first."""
    sums: dict[tuple[str, str, str], list[float]] = {}
    for row in rows:
        key = (row.name, row.part, row.component) if by_place else (row.name, "", "")
        total = sums.setdefault(key, [0.0] * 4)
        ms = row.host_ms if row.device_ms is None else row.device_ms
        for i, value in enumerate((row.calls, ms, row.flops, row.bytes)):
            total[i] += value
    found: list[Totals] = [(*key, total[0], total[1], total[2], total[3]) for key, total in sums.items()]
    return sorted(found, key=lambda row: -row[4])


def _operators(rows: Sequence[Operator], by_place: bool) -> Table:
    on_device = any(row.device_ms is not None for row in rows)
    place = (Column(say(tr_mark("where")), number=False),) if by_place else ()
    columns = (
        Column(say(tr_mark("operator")), number=False), *place,
        Column(say(tr_mark("device time")) if on_device else say(tr_mark("time"))), Column(say(tr_mark("calls"))),
        Column(say(tr_mark("FLOPs"))), Column(say(tr_mark("bytes"))), Column(say(tr_mark("FLOP/byte"))),
    )
    lines = []
    for name, part, component, calls, ms, flops, moved in _summed(rows, by_place)[:_ROWS]:
        where = (_where(part, component),) if by_place else ()
        intensity = number(flops / moved, 3) if flops and moved else UNKNOWN
        lines.append((_plain_name(name), *where, duration(ms), plain(round(calls, 1)), _flops(flops),
                      size(moved) if moved else UNKNOWN, intensity))
    return Table(f"operators {by_place}", columns, tuple(lines))


def _kernels(rows: Sequence[Kernel]) -> Table:
    columns = (
        Column(say(tr_mark("kernel")), number=False), Column(say(tr_mark("where")), number=False),
        Column(say(tr_mark("calls"))), Column(say(tr_mark("device time"))),
    )
    lines = tuple((_short(row.name), _where(row.part, row.component), plain(round(row.calls, 1)),
                   duration(row.device_ms)) for row in rows[:_ROWS])
    return Table("kernels", columns, lines)


def _where(part: str, component: str) -> Words:
    return say(tr_mark("{component}, {part}"), component=say(COMPONENTS.get(component, component)),
               part=say(PARTS.get(part, part)))


def _flops(value: float) -> str:
    return count_scale(value, "FLOP").text(value) if value and math.isfinite(value) else UNKNOWN


def _plain_name(name: str) -> str:
    """As torch calls it, but for what every name of an attention begins with."""
    return name.removeprefix("aten::").replace("_scaled_dot_product_", "sdpa_")


def _short(name: str, most: int = 60) -> str:
    """A kernel's C++ name without its type parameters, as long as it tells anything."""
    bare = name.removeprefix("void ").partition("<")[0].partition("(")[0] or name
    return bare if len(bare) <= most else bare[: most - 1] + "…"


EXHIBIT = ExhibitType(
    name="operators", title=_TITLE, function=operators, order=73, needs=frozenset({"info", "profile"}),
    choices=(_VIEW,), at_end=True, paper="one",
)
