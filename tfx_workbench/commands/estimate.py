"""`estimate CONFIG`: what a configuration will cost, before anything is run or allocated."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any, Literal

from tfx_engine.client import Client, ServiceGone
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.protocol.sizes import parse_bytes
from tfx_workbench.commands.configs import read_configs
from tfx_workbench.commands.engine import engine_gone
from tfx_workbench.commands.output import DONE, emit, print_table, say
from tfx_workbench.commands.words import UNKNOWN, count, number, size, title
from tfx_workbench.exhibits.stated_error import compared, found_on, within, within_of_step

BAR_CELLS = 40
_LETTERS = {"parameters": "P", "gradients": "G", "optimizer": "O", "activations": "A", "adapters": "L",
            "temporary": "t", "other": "o"}
_LEVELS = {
    "instant": tr_mark("in closed form"),
    "traced": tr_mark("by one step without numbers"),
}

_UNSAID = frozenset({"free_bytes", "reserved_bytes"})  # the sentence of what is compared says as much


def estimate(args: argparse.Namespace) -> int:
    """Exit code 0 with the figures, 2 where the configuration has problems."""
    capacity = parse_bytes(args.device_memory, "--device-memory") if args.device_memory is not None else None
    (given,) = read_configs([args.config], args.set)
    level: Literal["instant", "traced"] = "instant" if args.instant else "traced"
    try:
        with Client(on_disconnect="stop", warm=False) as client:
            figures = client.estimate(given.data, level, capacity)
    except ServiceGone as error:
        raise engine_gone(error) from error
    if args.json:
        emit(figures)
    else:
        _print(str(given.data.get("name", given.file)), figures)
    return DONE


def _print(name: str, figures: Mapping[str, Any]) -> None:
    print(tr_mark("{name}: estimated {how}").format(name=title(name), how=_LEVELS[figures["level"]]))
    params, flops = figures["params"], figures["flops_per_token"]
    rows = [
        (tr_mark("parameters"), count(params["total"]), _trained(params)),
        (tr_mark("FLOPs / token"), number(_sum(flops, ("forward", "backward"))), _flops(flops)),
        (tr_mark("peak memory"), _peak(figures), _fits(figures)),
        (tr_mark("its error"), str(within(figures) or UNKNOWN), _error_of(figures)),
        (tr_mark("step"), _milliseconds(figures["step_ms"]), _within(figures)),
    ]
    print_table(rows[0], rows[1:], right=(1,))
    _print_memory(figures)
    said = [str(compared(figures) or "")] if figures["device_bytes"] is not None else []
    said += [reason for key, reason in figures["missing"].items() if key not in _UNSAID] + figures["notes"]
    for sentence in dict.fromkeys(filter(None, said)):
        say(sentence)


def _peak(figures: Mapping[str, Any]) -> str:
    """The peak, or between which it is where that depends on the data."""
    interval = figures["peak_interval_bytes"]
    if interval["low"] == interval["high"]:
        return size(figures["memory_bytes"]["peak"])
    return f"{size(interval['low'])} - {size(interval['high'])}"


def _error_of(figures: Mapping[str, Any]) -> str:
    """What the error was found on."""
    found = found_on(figures)
    return tr_mark("on {what}").format(what=found) if found else ""


def _within(figures: Mapping[str, Any]) -> str:
    """How far off predictions of a step's time were on the user's own runs."""
    words = within_of_step(figures)
    return tr_mark("{error} on your own runs").format(error=words) if words else ""


def _print_memory(figures: Mapping[str, Any]) -> None:
    """The composition at the peak, as a bar and as a table beside each category's own peak."""
    memory, own = figures["memory_bytes"], figures["category_peak_bytes"]
    if memory["peak"] is None:
        return
    print(f"[{memory_bar(memory, figures['device_bytes'])}]")
    rows = [
        (f"{_LETTERS[name]} {name}", size(memory[name]), f"{100 * memory[name] / max(1, memory['peak']):.1f} %",
         size(own[name]))
        for name in CATEGORIES if memory[name] or own[name]
    ]
    print_table((tr_mark("memory"), tr_mark("at the peak"), "", tr_mark("its own peak")), rows, right=(1, 2, 3))


def memory_bar(memory: Mapping[str, Any], capacity: int | None) -> str:
    """The categories as letters, to the scale of the device where it is known; what does not fit comes after a bar."""
    whole = max(capacity or memory["peak"], 1)
    cells, drawn, done = "", 0, 0
    for name in CATEGORIES:
        done += memory[name]
        upto = min(round(BAR_CELLS * done / whole), 3 * BAR_CELLS)  # however much too large it is
        cells, drawn = cells + _LETTERS[name] * (upto - drawn), max(drawn, upto)
    inside, outside = cells[:BAR_CELLS].ljust(BAR_CELLS, "."), cells[BAR_CELLS:]
    return f"{inside}|{outside}" if outside else inside


def _fits(figures: Mapping[str, Any]) -> str:
    capacity = figures["device_bytes"]
    if capacity is None or figures["memory_bytes"]["peak"] is None:
        return ""
    words = {True: tr_mark("fits into {size}"), False: tr_mark("does not fit into {size}"),
             None: tr_mark("too close to {size} to tell")}
    free = figures["free_bytes"]
    return words[figures["fits"]].format(size=size(capacity if free is None else free))


def _trained(params: Mapping[str, int]) -> str:
    if params["trainable"] == params["total"]:
        return tr_mark("all trained")
    return tr_mark("{count} trained").format(count=count(params["trainable"]))


def _flops(flops: Mapping[str, float]) -> str:
    again = flops["recompute"]
    words = tr_mark("forward and backward")
    return words if not again else tr_mark("{words}; {again} more computed again").format(
        words=words, again=number(again))


def _sum(values: Mapping[str, float | None], names: tuple[str, ...]) -> float | None:
    parts = [values[name] for name in names]
    return None if any(part is None for part in parts) else sum(part for part in parts if part is not None)


def _milliseconds(value: float | None) -> str:
    return UNKNOWN if value is None else f"{number(value)} ms"
