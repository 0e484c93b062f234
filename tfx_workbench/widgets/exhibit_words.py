"""The texts of exhibits in the user's language."""

from __future__ import annotations

from tfx_workbench.exhibits.text import Text, Words
from tfx_workbench.widgets.words import shown


def said(words: Words) -> str:
    """A text with its template translated and its numbers filled in; a plain `str` is what a user typed."""
    return words.filled(shown) if isinstance(words, Text) else words
