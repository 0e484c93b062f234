"""Numbers for humans: three to four significant digits, thousands separated, a proper minus, the unit once.

Everything that is shown or printed goes through here; what could not be read is an en dash.
"""

from __future__ import annotations

import dataclasses
import math

MINUS = "\N{MINUS SIGN}"
UNKNOWN = "\N{EN DASH}"
PLUS_MINUS = "\N{PLUS-MINUS SIGN}"
_LOPSIDED = 50  # per cent

_BYTES = (("B", 1), ("KiB", 2**10), ("MiB", 2**20), ("GiB", 2**30), ("TiB", 2**40), ("PiB", 2**50))
_COUNTS = (("", 1), ("k", 10**3), ("M", 10**6), ("G", 10**9), ("T", 10**12), ("P", 10**15))


@dataclasses.dataclass(frozen=True)
class Scale:
    """A unit for a whole axis: what is shown is the stored value / `size`."""

    unit: str
    size: float

    def text(self, value: float, digits: int = 3) -> str:
        """The stored value in this unit, with it."""
        return with_unit(number(value / self.size, digits), self.unit)


def byte_scale(largest: float) -> Scale:
    """The binary unit in which `largest` bytes is at least 1."""
    return Scale(*_largest_below(largest, _BYTES))


def count_scale(largest: float, unit: str) -> Scale:
    """The decimal multiple of `unit` in which `largest` is at least 1: "k tokens/s"."""
    prefix, size = _largest_below(largest, _COUNTS)
    return Scale(f"{prefix} {unit}".strip(), size)


def rate_scale(largest: float, unit: str) -> Scale:
    """The decimal multiple of a unit with a symbol of its own in which `largest` is at least 1: "GFLOP/s"."""
    prefix, size = _largest_below(largest, _COUNTS)
    return Scale(f"{prefix}{unit}", size)


def _largest_below(value: float, units: tuple[tuple[str, int], ...]) -> tuple[str, int]:
    if not math.isfinite(value):
        return units[0]
    # 1023.99 MiB and the like: what rounds up to 1 of a unit is written in it.
    fitting = [u for u in units if abs(value) >= u[1] * 0.99995]
    return fitting[-1] if fitting else units[0]


def with_unit(text: str, unit: str) -> str:
    """A number and its unit; an unknown number has none."""
    return f"{text} {unit}" if unit and text != UNKNOWN else text


def number(value: float, digits: int = 4) -> str:
    """`digits` significant digits, thousands separated: "38,612", "0.0123", "1.20e-7". Whole digits are never cut."""
    if not math.isfinite(value):
        return {math.inf: "∞", -math.inf: MINUS + "∞"}.get(value, UNKNOWN)
    if value == 0:
        return "0"
    rounded = f"{value:.{digits - 1}e}"  # 9.9996 becomes 10.00, which has one more digit
    exponent = int(rounded.partition("e")[2])
    if exponent < -4 or exponent >= 15:
        mantissa, _, power = rounded.partition("e")
        return f"{mantissa}e{int(power)}".replace("-", MINUS)
    return f"{value:,.{max(0, digits - 1 - exponent)}f}".replace("-", MINUS)


def plain(value: float, digits: int = 4) -> str:
    """Like `number`, without zeros that say nothing: "5", "2.5"."""
    text = number(value, digits)
    if "." in text and "e" not in text:
        text = text.rstrip("0").rstrip(".")
    return text


def size(value: float, digits: int = 3) -> str:
    """Bytes: "15.6 GiB", "512 B"."""
    scale = byte_scale(value)
    return with_unit(str(round(value)), "B") if scale.size == 1 and math.isfinite(value) else scale.text(value, digits)


def count(value: float, digits: int = 4) -> str:
    """A count with its decimal prefix: "354.8 M"; exact below 1,000."""
    scale = count_scale(value, "")
    return plain(value, digits) if scale.size == 1 else scale.text(value, digits)


def rate(tokens_per_s: float, digits: int = 3) -> str:
    """Throughput: "38.6 k tokens/s"."""
    return count_scale(tokens_per_s, "tokens/s").text(tokens_per_s, digits)


def duration(ms: float, digits: int = 3) -> str:
    """A measured time: "212 ms", "1.24 s", "2 min 05 s", "3 h 20 min"."""
    if not math.isfinite(ms):
        return UNKNOWN
    if abs(ms) < 1:
        return f"{number(ms * 1000, digits)} µs"
    if abs(ms) < 999.5:
        return f"{number(ms, digits)} ms"
    if abs(ms) < 59_950:
        return f"{number(ms / 1000, digits)} s"
    seconds = round(ms / 1000)
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def percent(value: float, digits: int = 3) -> str:
    """A share in per cent: "61.2 %"."""
    return with_unit(number(value, digits), "%")


def signed(value: float, digits: int = 3) -> str:
    """A difference: "+3.10", "−3.80", "0"."""
    text = number(value, digits)
    return f"+{text}" if value > 0 and text != UNKNOWN else text


def signed_percent(value: float) -> str:
    """A difference in per cent, one decimal: "+21.4 %", "−22.0 %", "0.0 %"."""
    if not math.isfinite(value):
        return UNKNOWN
    rounded = round(value, 1)
    if rounded == 0:
        return "0.0 %"
    return f"{'+' if rounded > 0 else MINUS}{abs(rounded):,.1f} %"


def interval(low: float, high: float, text: str = "") -> str:
    """The bounds of an effect in per cent: "[−22.6, −21.5]"."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return text
    bounds = (signed_percent(v).removesuffix(" %") for v in (low, high))
    return f"[{', '.join(bounds)}]"


def spread(median: float, low: float, high: float) -> str:
    """Half the width of an interval as a share of its median: "± 0.4 %"; empty where it is unknown.

    Where that is more than a half, no share says how lopsided it is: "[306, 6,992]".
    """
    if not all(map(math.isfinite, (median, low, high))) or median == 0:
        return ""
    share = 50 * (high - low) / abs(median)
    if share > _LOPSIDED:
        return f"[{number(low)}, {number(high)}]"
    return f"{PLUS_MINUS} {number(share, 2 if share >= 1 else 1)} %"
