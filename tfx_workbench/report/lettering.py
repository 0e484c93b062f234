"""How wide texts are, without a font library, and how they are made to fit and made harmless.

The widths are those of DejaVu Sans, the widest of the sans-serif fonts in common use: what fits by them fits in others.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

Measure = Callable[[str, float, bool], float]  # text, size in points, bold -> width in points

_ELLIPSIS = "…"
_STAND_IN = "\N{REPLACEMENT CHARACTER}"
_NARROW = dict.fromkeys("ijl|!.,:;'`I", 0.32) | dict.fromkeys("ft()[]{}/\\\"-r ", 0.40)
_WIDE = dict.fromkeys("mMW@%", 0.95) | dict.fromkeys("w+<>=~^−±×→", 0.82) | dict.fromkeys("…", 1.0)
_DIGIT, _LOWER, _UPPER, _OTHER, _EAST = 0.636, 0.61, 0.70, 0.70, 1.03
_BOLD = 1.1
# What would turn the words after it around, or open a scope that is never closed.
_DIRECTIONS = frozenset(chr(c) for c in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F))


def estimate(text: str, size: float, bold: bool = False) -> float:
    """The width of a text in points, rather too large than too small."""
    return sum(map(_advance, text)) * size * (_BOLD if bold else 1.0)


def _advance(letter: str) -> float:
    known = _NARROW.get(letter) or _WIDE.get(letter)
    if known:
        return known
    if letter.isascii():
        return _DIGIT if letter.isdigit() else _UPPER if letter.isupper() else _LOWER
    if unicodedata.combining(letter):
        return 0.0
    return _EAST if unicodedata.east_asian_width(letter) in "WF" else _OTHER


def shortened(text: str, width: float, size: float, measure: Measure = estimate, bold: bool = False) -> str:
    """The text, or as much of it as fits before an ellipsis."""
    if len(text) < 2000 and measure(text, size, bold) <= width:
        return text
    low, high = 0, min(len(text), 2000)
    while low < high:
        middle = (low + high + 1) // 2
        if measure(text[:middle] + _ELLIPSIS, size, bold) <= width:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + _ELLIPSIS


def harmless(text: str) -> str:
    """The text without what XML forbids, half of a surrogate pair, or a letter that turns the direction of writing.

    Line breaks and tabs become blanks: names and figures stand on one line.
    """
    return "".join(map(_harmless, text))


def harmless_lines(text: str) -> str:
    """The same for a text of several lines, which stay lines."""
    return "\n".join(harmless(line) for line in text.splitlines())


def _harmless(letter: str) -> str:
    if " " <= letter <= "~":
        return letter
    if letter in "\t\n\r\x0b\x0c\x85\u2028\u2029":
        return " "
    code = ord(letter)
    is_forbidden = code < 0x20 or 0x7F <= code < 0xA0 or 0xD800 <= code < 0xE000 or code & 0xFFFE == 0xFFFE
    return _STAND_IN if is_forbidden or letter in _DIRECTIONS or 0xFDD0 <= code < 0xFDF0 else letter
