"""The left pane: which configuration is edited, search, what was changed, the form, and what is known before a run."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from tfx_engine.protocol.cards import Catalogue
from tfx_workbench.widgets.before_run import BeforeRun
from tfx_workbench.widgets.config_chips import ConfigChips
from tfx_workbench.widgets.slot_row import FormState
from tfx_workbench.widgets.technique_form import TechniqueForm
from tfx_workbench.widgets.words import plain_tip


class ConfigPane(QFrame):
    """Emits what the user wants of the configuration; knows nothing of where it is kept."""

    technique_chosen = Signal(str, str)
    edited = Signal(str, object)
    config_selected = Signal(int)
    reset_asked = Signal()

    def __init__(self, catalogue: Catalogue, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("card")
        self.form = TechniqueForm(catalogue)
        self.chips = ConfigChips()
        self.before_run = BeforeRun()
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(12, 10, 4, 8)
        self._column.setSpacing(8)
        self._add_inset(self._header())
        self._add_inset(self.chips)
        self._add_inset(self._search(len(catalogue.techniques)))
        self._column.addWidget(self._scroll(), 1)
        self._add_inset(self.before_run)
        self.form.technique_chosen.connect(self.technique_chosen)
        self.form.edited.connect(self.edited)
        self.chips.selected.connect(self.config_selected)

    def _add_inset(self, widget: QWidget) -> None:
        """Add with a right margin: only the scroll bar may use the last pixels."""
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 8, 0)
        row.addWidget(widget)
        self._column.addLayout(row)

    def _header(self) -> QWidget:
        header = QWidget()
        row = QHBoxLayout(header)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        title = QLabel(self.tr("Techniques"))
        title.setObjectName("cardTitle")
        self.changed_button = QPushButton()
        self.changed_button.setObjectName("disclosure")
        self.changed_button.setCheckable(True)
        self.changed_button.setToolTip(plain_tip(
            self.tr("What differs from the defaults of the format. Press to see only that.")))
        self.changed_button.toggled.connect(self.form.show_only_changed)
        self.reset_button = QPushButton(self.tr("Reset"))
        self.reset_button.setObjectName("disclosure")
        self.reset_button.setToolTip(plain_tip(self.tr("Back to the defaults. Ctrl+Z takes it back.")))
        self.reset_button.clicked.connect(self.reset_asked)
        row.addWidget(title)
        row.addStretch(1)
        row.addWidget(self.changed_button)
        row.addWidget(self.reset_button)
        return header

    def _search(self, techniques: int) -> QWidget:
        self.search = _SearchEdit()
        self.search.setObjectName("search")
        self.search.setPlaceholderText(self.tr("Search {count} techniques   Ctrl+K").format(count=techniques))
        self.search.setAccessibleName(self.tr("Search techniques"))
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self.form.search)
        self.search.returnPressed.connect(self._choose_found)
        return self.search

    def _scroll(self) -> QScrollArea:
        self.scroll_area = QScrollArea()
        self.scroll_area.setFrameShape(QFrame.Shape.NoFrame)
        self.scroll_area.setWidgetResizable(True)
        self.scroll_area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.scroll_area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        holder = QWidget()
        holder.setObjectName("techniqueForm")
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 8, 0)
        column.addWidget(self.form)
        self.scroll_area.setWidget(holder)
        return self.scroll_area

    # ------------------------------------------------------------------ showing

    def show_state(self, state: FormState) -> None:
        """Show the edited configuration with its problems and changes."""
        self.form.show_state(state)
        number = len(state.changed)
        words = self.tr("{count} changed") if number else self.tr("all defaults")
        self.changed_button.setText(words.format(count=number))
        self.changed_button.setEnabled(number > 0)
        self.reset_button.setVisible(number > 0)
        if not number:
            self.changed_button.setChecked(False)

    def show_configs(self, names: Sequence[str], current: int, wrong: Sequence[int] = ()) -> None:
        """Show which configurations a press of Run queues, and which of them is edited."""
        self.chips.show_configs(names, current, wrong)

    def start_search(self) -> None:
        """Put the cursor into the search field."""
        self.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.search.selectAll()

    def reveal(self, path: str) -> None:
        """Scroll to the field of a key path, as after pressing Run with something wrong in it."""
        target = self._widget_of(path)
        if target is not None:
            self.search.clear()
            self.changed_button.setChecked(False)
            self.scroll_area.ensureWidgetVisible(target, 0, 40)
            focus = getattr(target, "editor", target)
            focus.setFocus(Qt.FocusReason.OtherFocusReason)

    def _widget_of(self, path: str) -> QWidget | None:
        for form in self.form.forms.values():
            if path in form.fields:
                return form.fields[path]
        parts = path.split(".")
        row = self.form.rows.get(parts[1]) if len(parts) > 1 and parts[0] == "techniques" else None
        if row is None:
            return None
        field = row.field(path)
        return field if field is not None else row

    def _choose_found(self) -> None:
        """Enter in the search field chooses the technique that the words mean."""
        found = self.form.best_match()
        if found is None:
            return
        slot, name = found
        self.search.clear()
        row = self.form.rows[slot]
        blocked = row.toggle is not None and not row.toggle.is_free(name)
        if name and not blocked:
            self.technique_chosen.emit(slot, name)
        self.scroll_area.ensureWidgetVisible(row, 0, 40)
        if row.toggle:
            row.toggle.setFocus()


class _SearchEdit(QLineEdit):
    """Escape clears it, and leaves it when it is empty already."""

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            if self.text():
                self.clear()
            else:
                self.clearFocus()
            return
        super().keyPressEvent(event)
