"""What people say of runs: tags and notes, asked for in a small dialog, each change one undo away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QCompleter, QInputDialog, QLineEdit

from tfx_workbench.widgets.message_bar import INFO

if TYPE_CHECKING:
    from tfx_workbench.app.window import MainWindow


class Annotating(QObject):
    """Belongs to one window."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window, self._session = window, window.session

    def ask_tags(self, keys: Sequence[str]) -> QInputDialog:
        """Tags of these runs: those that all of them have can be taken away, new ones are given to all."""
        rows = self._session.runs.rows
        before = {key: rows[key].tags for key in keys if key in rows}
        common = [tag for tag in next(iter(before.values()), ()) if all(tag in tags for tags in before.values())]
        dialog = self._dialog(self.tr("Tags"), self.tr("Tags, with commas between them:"), ", ".join(common))
        known = sorted({tag for row in rows.values() for tag in row.tags})
        field = dialog.findChild(QLineEdit)
        if field is not None and known:
            field.setCompleter(QCompleter(known, field))

        def keep(text: str) -> None:
            words = [word.strip() for word in text.split(",") if word.strip()]
            after = {key: [tag for tag in tags if tag not in common or tag in words] for key, tags in before.items()}
            self._keep_tags(before, {key: [*tags, *(w for w in words if w not in tags)] for key, tags in after.items()})

        dialog.textValueSelected.connect(keep)
        dialog.open()
        return dialog

    def ask_note(self, key: str) -> QInputDialog:
        """The note of a run: as many lines as one likes."""
        row = self._session.runs.rows[key]
        dialog = self._dialog(self.tr("Note"), self.tr("What is to be remembered of this run:"), row.note)
        dialog.setOption(QInputDialog.InputDialogOption.UsePlainTextEditForTextInput)
        dialog.textValueSelected.connect(lambda text: self._keep_note(key, row.note, text.strip()))
        dialog.open()
        return dialog

    def _dialog(self, title: str, label: str, text: str) -> QInputDialog:
        dialog = QInputDialog(self._window)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setWindowTitle(title)
        dialog.setLabelText(label)
        dialog.setTextValue(text)
        dialog.resize(420, dialog.height())
        return dialog

    def _keep_tags(self, before: Mapping[str, Sequence[str]], after: Mapping[str, Sequence[str]]) -> None:
        changed = {key: tags for key, tags in after.items() if list(tags) != list(before[key])}
        if not changed:
            return
        self._session.set_tags(changed)
        one, several = self.tr("1 run has other tags now."), self.tr("{count} runs have other tags now.")
        self._window.messages.say(
            (one if len(changed) == 1 else several).format(count=len(changed)), INFO, self.tr("Undo"),
            lambda: self._session.set_tags({key: before[key] for key in changed}))

    def _keep_note(self, key: str, before: str, after: str) -> None:
        if after == before:
            return
        self._session.set_note(key, after)
        self._window.messages.say(
            self.tr("The note is kept in the run's file."), INFO, self.tr("Undo"),
            lambda: self._session.set_note(key, before))
