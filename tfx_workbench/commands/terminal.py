"""Words on a terminal stay words: names, reasons and logs of runs may hold orders to the terminal that shows them.

Those could rewrite what stands there, its title, or the clipboard, and turn the direction of writing.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

_STAND_IN = "\N{REPLACEMENT CHARACTER}"
# All controls but the end of a line, a tab, and a return to the beginning of a line where one begins or ends.
_ORDERS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
                     r"|(?<!^)\r(?!\n|$)")  # fmt: skip


def plain(text: str) -> str:
    """The text without orders to a terminal."""
    return text if text.isascii() and text.isprintable() else _ORDERS.sub(_STAND_IN, text)


class _Plain:
    """A stream of words; everything but writing is the business of the stream itself."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """As the stream does."""
        return self._stream.write(plain(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def plain_streams() -> Iterator[None]:
    """Meanwhile all that is printed is plain; bytes, and what is written to a file, are as they are."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(TextIO, _Plain(stream)) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
