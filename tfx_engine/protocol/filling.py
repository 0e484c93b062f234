"""Sentences whose template came from a file that anybody may have written.

`str.format` is a small language: it reads attributes of what it is given, and `{x:>9999999999}` fills the memory. Of it
is done here what our own templates use: names, `!r`, and how a number is written.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from typing import Any

LONGEST = 100_000  # characters of a sentence
_SPEC = re.compile(r"[<>^]?[+ -]?\d{0,2},?(\.\d{1,2})?[defgs%]?")
_parse = string.Formatter().parse


def fill(template: str, args: Mapping[str, Any]) -> str:
    """The sentence. Raises ValueError, TypeError where the template asks for more, or does not fit the arguments."""
    parts, room = [], LONGEST
    for words, name, spec, turned in _parse(template):
        parts.append(words)
        if name is not None:
            if name not in args or turned not in (None, "r") or not _SPEC.fullmatch(spec or ""):
                raise ValueError(f"nothing fills {{{name}}}")
            parts.append(format(repr(args[name]) if turned else args[name], spec or ""))
        room -= sum(map(len, parts[-2:]))
        if room < 0:
            raise ValueError("too long a sentence")
    return "".join(parts)
