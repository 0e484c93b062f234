"""What the window says of this machine when it has come up: what cannot be kept, and a GPU that is not used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QCoreApplication

from tfx_workbench.widgets.message_bar import INFO, WARNING

if TYPE_CHECKING:
    from tfx_workbench.app.window import MainWindow


def first_words(window: MainWindow, doctor: dict[str, Any]) -> str:
    """Say it, from the engine's answer to `doctor`; the sentence about a GPU, empty where there is none.

    What keeps one from working is a warning, which stays; a GPU that is not used is told and goes by itself, as whoever
    wants it so should not be told with every start that it stays on the screen.
    """
    from tfx_workbench.commands.remarks import remarks  # only now: the window is up

    found = [(check.name, " ".join(filter(None, [check.detail, check.hint]))) for check in remarks(doctor)]
    unused = " ".join(text for name, text in found if name == "gpu")
    hindering = [text for name, text in found if name != "gpu"]
    if window.settings.fault and window.settings.is_kept:
        hindering.append(QCoreApplication.translate(
            "FirstWords", "What you arrange in this window is not kept: {folder} cannot be written ({error}).",
        ).format(folder=window.settings.folder, error=window.settings.fault))
    if unused:
        window.messages.say(unused, INFO)
    if hindering:
        text = " ".join(hindering)
        if doctor.get("store_refusal"):
            other = QCoreApplication.translate("FirstWords", "Choose another folder…")
            window.messages.say(text, WARNING, other, window.commands.ask_store)
        else:
            window.messages.say(text, WARNING)
    return unused
