"""Numbers as people read them: three significant digits, thousands separated, the unit once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from tfx_engine.protocol.ledger import error_percent
from tfx_engine.protocol.marker import tr_mark

UNKNOWN = "–"
LONGEST_TITLE = 60
_COUNTS = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_STEPS = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def title(name: str) -> str:
    """The name of a run on one line of a terminal: it may hold anything, also orders to the terminal."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    if not plain:
        return UNKNOWN
    return plain if len(plain) <= LONGEST_TITLE else f"{plain[: LONGEST_TITLE - 1]}…"


def number(value: float | None, digits: int = 3) -> str:
    """`12,345` or `0.0123`: as many digits as say something."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}" if decimals <= 6 else f"{value:.{digits - 1}e}"


def count(value: float | None) -> str:
    """`12,345,678`."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def counted(value: int, one: str, several: str) -> str:
    """`1 run`, `3 runs`: `one` as it stands, or `several` with the number at {count}."""
    return one if value == 1 else several.format(count=count(value))


def size(value: float | None) -> str:
    """Bytes: `15.6 MiB`."""
    if value is None:
        return UNKNOWN
    for step, unit in _STEPS:
        if abs(value) >= step:
            return f"{number(value / step)} {unit}"
    return f"{value:,.0f} B"


def percent(value: float | None) -> str:
    """A signed difference: `+12.3 %`."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return f"{round(value, 1) + 0.0:+.1f} %".replace("-", "−")  # without a minus before what is rounded to nothing


def per_second(value: float | None, unit: str) -> str:
    """A rate: `290 GFLOP/s`."""
    if value is None:
        return UNKNOWN
    step, prefix = next((pair for pair in _COUNTS if abs(value) >= pair[0]), (1.0, ""))
    return f"{number(value / step)} {prefix}{unit}/s"


def utilisation(mfu: float | None, rates: Mapping[str, Any]) -> str:
    """MFU with its denominators: what products reach on this device, and what its maker publishes."""
    done, peak, vendor = (rates[name] for name in ("model", "peak", "vendor_peak"))
    if mfu is None or peak is None:
        return tr_mark("{mfu} ({done})").format(mfu=UNKNOWN, done=per_second(done, "FLOP"))
    text = tr_mark("{mfu} %: {done} of the {peak} that products in {format} reach here{spread}").format(
        mfu=number(100 * mfu), done=per_second(done, "FLOP"), peak=per_second(peak, "FLOP"), format=rates["format"],
        spread=_spread(rates.get("spread_percent")))
    if vendor is None:
        return text
    return text + tr_mark("; of the {vendor} that the maker publishes {share} %").format(
        vendor=per_second(vendor, "FLOP"), share=number(100 * done / vendor))


def _spread(percent: float | None) -> str:
    """How sure a measured peak is: the best of several rounds, which their median missed by that much."""
    if percent is None:
        return ""
    return tr_mark(" (the best of its rounds; their median is {percent} % lower)").format(percent=number(percent, 2))


def milliseconds(value: float | None) -> str:
    """`12.3 ms`."""
    return UNKNOWN if value is None else f"{number(value)} ms"


def beside_measured(
    predicted: float | None, measured: float | None, as_text: Callable[[float | None], str],
    low: float | None = None, high: float | None = None,
) -> str:
    """A prediction with its error where the run measured what was predicted; between `low` and `high` there is none."""
    if predicted is None or not measured:
        return as_text(predicted)
    return tr_mark("{value} ({error} off)").format(
        value=as_text(predicted), error=percent(error_percent(predicted, measured, low, high)))


def disturbed(steps: int, left_out: int) -> str:
    """That steps were disturbed from outside, and whether they were left out."""
    if not steps:
        return ""
    if left_out >= steps:
        return tr_mark("; {steps} were disturbed from outside and left out").format(steps=count(steps))
    return tr_mark("; {steps} of these were disturbed from outside, more than were not").format(steps=count(steps))


def energy(found: Mapping[str, float | None]) -> str:
    """Joules of the device for each step and each token."""
    if found["per_step"] is None or found["per_token"] is None:
        return UNKNOWN
    return tr_mark("{step} J per step, {token} mJ per token, of the device").format(
        step=number(found["per_step"]), token=number(1000 * found["per_token"]))


def overhead(found: Mapping[str, Any]) -> str:
    """What measuring costs, with its interval and its parts."""
    if found["percent"] is None:
        return UNKNOWN
    text = tr_mark("{value} % of the training's time: {step} % in a step with probes, as {probed} % are; {captures} % "
                   "for what is read between steps").format(
        value=interval({**found, "median": found["percent"]}),
        **{name: number(found[name]) for name in ("step", "probed", "captures")})
    if found["percent"] > found["budget"]:
        text += tr_mark("; the budget is {budget} %").format(budget=number(found["budget"]))
        text += f" ({found['why_over']})" if found.get("why_over") else ""
    return text


def seconds(value: float | None) -> str:
    """`48 s`, `3 min 20 s`, `2 h 05 min`."""
    if value is None:
        return UNKNOWN
    whole = max(0, round(value))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def interval(values: dict[str, float | None]) -> str:
    """A median with its interval: `1,234 [1,200, 1,260]`."""
    if values["low"] is None or values["high"] is None:
        return number(values["median"])
    return f"{number(values['median'])} [{number(values['low'])}, {number(values['high'])}]"
