"""The Qt-free marker for visible strings: translated where they are shown, a no-op here."""

from __future__ import annotations


def tr_mark(text: str) -> str:
    """Return `text` unchanged; the mark lets the translation tool find it."""
    return text
