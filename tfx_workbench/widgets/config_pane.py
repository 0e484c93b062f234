"""The left pane: which configuration is edited, search, what was changed, the form, and what is known before a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import QCoreApplication, QEvent, Qt, QTimer, Signal
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
from tfx_workbench.widgets.form_state import FormState
from tfx_workbench.widgets.found_line import FoundLine
from tfx_workbench.widgets.technique_form import TechniqueForm
from tfx_workbench.widgets.words import plain_tip

_DEEP = 4  # levels of layouts in the form


class ConfigPane(QFrame):
    """Emits what the user wants of the configuration; knows nothing of where it is kept."""

    technique_chosen = Signal(str, str)
    edited = Signal(str, object)
    config_selected = Signal(int)
    reset_asked = Signal()
    slot_reset_asked = Signal(str)
    page_asked = Signal(str, str)
    arranged = Signal()

    def __init__(self, catalogue: Catalogue, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("card")
        self._catalogue = catalogue
        self._problems: tuple[str, ...] = ()
        scroll = self._scroll()  # first: a form that is put into something later is styled twice
        self.form = TechniqueForm(catalogue, self._holder)
        self._form_column.addWidget(self.form)
        self.chips = ConfigChips(self)
        self.before_run = BeforeRun(self)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(12, 10, 4, 8)
        self._column.setSpacing(8)
        self._add_inset(self._header())
        self._add_inset(self.chips)
        self._add_inset(self._search())
        self._column.addWidget(scroll, 1)
        self._add_inset(self.before_run)
        self._wire_form()
        self._show_favourites()
        self.chips.selected.connect(self.config_selected)
        self.before_run.problem_asked.connect(self._reveal_problem)

    def _wire_form(self) -> None:
        form = self.form
        form.technique_chosen.connect(self.technique_chosen)
        form.edited.connect(self.edited)
        form.page_asked.connect(self.page_asked)
        form.reset_asked.connect(self.slot_reset_asked)
        form.arranged.connect(self._show_favourites)
        form.arranged.connect(self.arranged)

    def take_catalogue(self, catalogue: Catalogue) -> None:
        """Make the form anew from another catalogue, arranged as it was; `show_state` fills it."""
        old, arrangement = self.form, self.form.arrangement()
        self._catalogue = catalogue
        self.form = TechniqueForm(catalogue, self._holder)
        self._wire_form()
        self._form_column.replaceWidget(old, self.form)
        old.hide()
        old.deleteLater()
        self.search.clear()
        self.changed_button.setChecked(False)
        self.starred_button.setChecked(False)
        self._show_count()
        self.restore(arrangement)

    def _show_count(self) -> None:
        count = len(self._catalogue.techniques)
        self.search.setPlaceholderText(self.tr("Search {count} techniques   Ctrl+F").format(count=count))

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
        self.starred_button = self._filter_button(self.tr("Press to see only favourites."))
        self.starred_button.toggled.connect(lambda only: self.form.show_only_starred(only))
        self.changed_button = self._filter_button(
            self.tr("What differs from the defaults of the format. Press to see only that."))
        self.changed_button.toggled.connect(lambda only: self.form.show_only_changed(only))
        self.reset_button = QPushButton(self.tr("Reset"))
        self.reset_button.setObjectName("disclosure")
        self.reset_button.setToolTip(plain_tip(self.tr("Back to the defaults. Ctrl+Z takes it back.")))
        self.reset_button.clicked.connect(self.reset_asked)
        row.addWidget(title)
        row.addStretch(1)
        for button in (self.starred_button, self.changed_button, self.reset_button):
            row.addWidget(button)
        return header

    def _filter_button(self, tip: str) -> QPushButton:
        button = QPushButton()
        button.setObjectName("filter")
        button.setCheckable(True)
        button.setToolTip(plain_tip(tip))
        return button

    def _search(self) -> QWidget:
        self.search = SearchEdit()
        self.search.setObjectName("search")
        self._show_count()
        self.search.setAccessibleName(self.tr("Search techniques"))
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._on_searched)
        self.search.stepped.connect(self._step_hit)
        self.search.returnPressed.connect(self._choose_found)
        self.found = FoundLine()
        holder = QWidget()
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.search)
        column.addWidget(self.found)
        return holder

    def _scroll(self) -> QScrollArea:
        self.scroll_area = QScrollArea(self)
        self.scroll_area.setFrameShape(QFrame.Shape.NoFrame)
        self.scroll_area.setWidgetResizable(True)
        self.scroll_area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.scroll_area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._holder = QWidget()
        self._holder.setObjectName("techniqueForm")
        self._form_column = QVBoxLayout(self._holder)
        self._form_column.setContentsMargins(0, 0, 8, 0)
        self.scroll_area.setWidget(self._holder)
        return self.scroll_area

    # ------------------------------------------------------------------ showing

    def show_state(self, state: FormState) -> None:
        """Show the edited configuration with its problems and changes."""
        self._problems = tuple(state.problems)
        self.form.show_state(state)
        number = len(state.changed)
        words = self.tr("{count} changed") if number else self.tr("all defaults")
        self.changed_button.setText(words.format(count=number))
        self.changed_button.setEnabled(number > 0)
        self.reset_button.setVisible(number > 0)
        if not number:
            self.changed_button.setChecked(False)
        self._show_hit()

    def _show_favourites(self) -> None:
        number = len(self.form.favourites)
        self.starred_button.setText(f"★ {number}")
        self.starred_button.setAccessibleName(self.tr("{count} favourites").format(count=number))
        self.starred_button.setVisible(number > 0)
        if not number:
            self.starred_button.setChecked(False)

    def restore(self, arrangement: Mapping[str, Any]) -> None:
        """Take back what `form.arrangement()` gave."""
        self.form.restore(arrangement)
        self._show_favourites()

    def show_configs(self, names: Sequence[str], current: int, wrong: Sequence[int] = ()) -> None:
        """Show which configurations a press of Run queues, and which of them is edited."""
        self.chips.show_configs(names, current, wrong)

    def start_search(self) -> None:
        """Put the cursor into the search field."""
        self.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.search.selectAll()

    def reveal(self, path: str) -> None:
        """Scroll to the field of a key path, as after pressing Run with something wrong in it."""
        self.search.clear()
        self.changed_button.setChecked(False)
        self.starred_button.setChecked(False)
        target = self.form.bring(path)
        if target is not None:
            self._scroll_to(target)
            focus = getattr(target, "editor", getattr(target, "toggle", None))
            (focus or target).setFocus(Qt.FocusReason.OtherFocusReason)

    def _reveal_problem(self) -> None:
        if self._problems:
            self.reveal(self._problems[0])

    def _scroll_to(self, target: QWidget, *, at_once: bool = True) -> None:
        """Scroll there, now and once more when everything that was shown or hidden has found its place."""
        def scroll() -> None:
            self.scroll_area.ensureWidgetVisible(target, 0, 40)

        if at_once:
            for _ in range(_DEEP):  # a height that changed is passed on by one more event per level
                QCoreApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest)
            scroll()
        QTimer.singleShot(0, target, scroll)

    # ------------------------------------------------------------------ searching

    def _on_searched(self, text: str) -> None:
        self.form.search(text)
        self.scroll_area.verticalScrollBar().setValue(0)
        self._show_hit()

    def _step_hit(self, step: int) -> None:
        self.form.step_hit(step)
        self._show_hit()

    def _show_hit(self) -> None:
        """Say what Enter would choose, and have it in view."""
        hit = self.form.hit
        self.found.show_hit(self._catalogue, hit, self.form.hit_place, searching=bool(self.search.text().strip()),
                            blocked=self.form.blocked_reason(hit))
        if hit is not None and hit.slot:
            self._scroll_to(self.form.rows[hit.slot], at_once=False)

    def _choose_found(self) -> None:
        """Enter in the search field chooses the technique that the words mean, or goes to the setting."""
        hit = self.form.hit
        if hit is None:
            return
        if hit.technique and not self.form.blocked_reason(hit):
            self.technique_chosen.emit(hit.slot, hit.technique)
        is_chosen = bool(hit.slot) and self.form.rows[hit.slot].chosen == hit.technique
        slot = f"techniques.{hit.slot}"
        self.reveal(hit.path or (f"{slot}.{hit.option}" if hit.option and is_chosen else slot))


class SearchEdit(QLineEdit):
    """Escape clears it, and leaves it when it is empty already. Up and Down are passed on as `stepped(-1 or 1)`."""

    stepped = Signal(int)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}.get(Qt.Key(event.key()))
        if step:
            self.stepped.emit(step)
        elif event.key() != Qt.Key.Key_Escape:
            super().keyPressEvent(event)
        elif self.text():
            self.clear()
        else:
            self.clearFocus()
