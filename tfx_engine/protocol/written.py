"""Values and keys as one writes them in TOML: for files that are written, and for sentences about what was given."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from typing import Any

from tfx_engine.protocol.marker import tr_mark

_LONGEST = 80  # letters of a value in a sentence
# JSON's escapes are TOML's. Beyond them: DEL, which TOML wants escaped; orders to a terminal; what turns the direction
# of writing, lest a configuration looks like another one than it is.
_UNSEEN = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def written(value: Any) -> str:
    """The value in TOML; what has no place there, as Python shows it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{written_key(k)} = {written(v)}" for k, v in value.items() if v is not None) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(written(v) for v in value) + "]"
    if isinstance(value, str):
        return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return repr(value)


def written_key(key: Any) -> str:
    """A key in TOML, quoted where it must be."""
    text = str(key)
    bare = text.isascii() and text.replace("_", "").replace("-", "").isalnum()
    return text if bare else written(text)


def in_words(value: Any) -> str:
    """The value for a sentence: a part of it where it is long."""
    text = tr_mark("nothing") if value is None else written(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
