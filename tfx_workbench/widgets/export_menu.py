"""What can be saved or copied of an exhibit, as items of a menu."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QMenu

COPY_PICTURE, COPY_VALUES = "copy-picture", "copy-values"


def add_export_items(menu: QMenu, chosen: Callable[[str], None]) -> None:
    """Add the items; `chosen` gets "svg", "png", "pdf", "csv", or one of the two that copy."""
    items = (
        ("svg", _tr("Save as SVG…")), ("png", _tr("Save as PNG…")), ("pdf", _tr("Save as PDF…")),
        ("csv", _tr("Save values as CSV…")), None,
        (COPY_PICTURE, _tr("Copy picture")), (COPY_VALUES, _tr("Copy values")),
    )
    for item in items:
        if item is None:
            menu.addSeparator()
        else:
            what, text = item
            menu.addAction(text).triggered.connect(lambda _=False, what=what: chosen(what))


def _tr(text: str) -> str:
    return QCoreApplication.translate("ExportMenu", text)
