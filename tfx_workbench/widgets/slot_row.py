"""One slot of the transformer: its title, the toggle over its techniques, the options of the chosen one."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QContextMenuEvent, QEnterEvent, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QMenu, QPushButton, QVBoxLayout, QWidget

from tfx_engine.protocol.cards import SlotCard, TechniqueCard
from tfx_workbench.widgets.form_state import FormState
from tfx_workbench.widgets.option_field import OptionField, ProblemLabel
from tfx_workbench.widgets.option_form import OptionForm
from tfx_workbench.widgets.restyling import set_styled
from tfx_workbench.widgets.segmented import Segment, Segmented
from tfx_workbench.widgets.slot_actions import SlotActions
from tfx_workbench.widgets.words import plain_tip, shown, technique_tip

__all__ = ["FormState", "SlotRow"]

_COMMON = 2  # options that are shown without being asked for


class SlotRow(QWidget):
    """Emits `technique_chosen(slot, name)`, `edited(path, value)`, and what is asked for of the slot.

    It is empty until it is first needed: of 28 slots, most are never looked at. The options of a default stay folded
    into a word beside the title. A slot with a single technique is a line without a toggle. `extra` is a form that
    belongs under this slot whatever is chosen, as the number of heads under attention.
    """

    technique_chosen = Signal(str, str)
    edited = Signal(str, object)
    page_asked = Signal(str, str)  # slot, technique
    star_asked = Signal(str)
    reset_asked = Signal(str)

    def __init__(
        self, slot: SlotCard, techniques: tuple[TechniqueCard, ...], extra: OptionForm | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.slot, self.cards = slot, {t.name: t for t in techniques}
        self._forms: dict[str, OptionForm] = {}
        self._extra = extra
        self._state = FormState()
        self._part: tuple[object, ...] = ()
        self._is_built = False
        self._starred = False
        self._unfolded: set[str] = set()  # techniques whose options stay open, by a press or because they were changed
        self._actions: SlotActions | None = None
        self._toggle: Segmented | None = None
        self.has_marks = False  # of a search

    # ------------------------------------------------------------------ building

    def build(self) -> None:
        """Make what is in the row, once."""
        if self._is_built:
            return
        self._is_built = True
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(4)
        self._column.addLayout(self._heading())
        if len(self.cards) > 1:
            self._toggle = Segmented([_segment(t) for t in self.cards.values()], shown(self.slot.title), self)
            self._toggle.chosen.connect(lambda name: self.technique_chosen.emit(self.slot.name, name))
            self._toggle.page_asked.connect(lambda name: self.page_asked.emit(self.slot.name, name))
            self._column.addWidget(self._toggle)
        self._problem = ProblemLabel(self)
        self._column.addWidget(self._problem)
        if self._extra:
            self._extra.edited.connect(self.edited)
            self._column.addWidget(self._extra)
        self._show()

    def _heading(self) -> QHBoxLayout:
        line = QHBoxLayout()
        line.setSpacing(6)
        self._title = QLabel(shown(self.slot.title), self)
        self._title.setObjectName("slotTitle")
        self._title.setToolTip(plain_tip(shown(self.slot.summary)))
        self._note = QLabel(self)
        self._note.setObjectName("muted")
        self._note.setTextFormat(Qt.TextFormat.PlainText)
        self._fold = QPushButton(self)  # unfolds the options; names the technique where there is only one
        self._fold.setObjectName("fold")
        self._fold.setFixedHeight(18)
        self._fold.clicked.connect(lambda _=False: self.unfold(self.chosen not in self._unfolded))
        line.addWidget(self._title)
        line.addStretch(1)
        line.addWidget(self._note)
        line.addWidget(self._fold)
        return line

    @property
    def toggle(self) -> Segmented | None:
        """The toggle; None where there is only one technique."""
        self.build()
        return self._toggle

    @property
    def chosen(self) -> str:
        """The name of the technique that the state asks for."""
        default = self.slot.default_for(self._state.task)
        return str(self._state.values.get(f"techniques.{self.slot.name}.use", default))

    @property
    def changed(self) -> bool:
        """Whether the slot differs from its default."""
        return self._state.changed_under(f"techniques.{self.slot.name}")

    @property
    def starred(self) -> bool:
        """Whether it is a favourite."""
        return self._starred

    def field(self, path: str) -> OptionField | None:
        """The field of an option of the chosen technique."""
        self.build()
        form = self._form_of(self.chosen)
        return form.fields.get(path) if form else None

    # ------------------------------------------------------------------ showing

    def show_state(self, state: FormState) -> None:
        """Show the chosen technique, its options, what is wrong and what does not fit."""
        part, self._state = state.of_slot(self.slot.name), state
        if self._is_built and part != self._part:
            self._show()
        self._part = part

    def set_note(self, text: str, tip: str = "") -> None:
        """A muted word at the right of the title, such as the share of weights that an adapter trains."""
        self.build()
        self._note.setText(text)
        self._note.setToolTip(plain_tip(tip))

    def set_starred(self, on: bool) -> None:
        """Mark the slot as a favourite."""
        self._starred = on
        if self._is_built:
            self._show_title()

    def set_found(
        self, found: frozenset[str], hit: str = "", *, is_hit: bool = False, words: tuple[str, ...] = ()
    ) -> None:
        """Mark the techniques that a search found, and the options of the chosen one; `hit` is what Enter chooses."""
        self.build()
        self.has_marks = bool(found)
        if self._toggle:
            self._toggle.set_found(found, hit)
        mark = ("hit" if is_hit else "found") if "" in found or (found and not self._toggle) else ""
        set_styled(self._title, "mark", mark)
        form = self._forms.get(self.chosen)
        if form:
            form.mark(form.named_by(words) if self.chosen in found else ())

    def bring(self, path: str) -> OptionField | None:
        """Have the field of an option of the chosen technique in view; None where there is none at that path."""
        field = self.field(path)
        if field is not None:
            self.unfold()
            self._forms[self.chosen].want(path)
        return field

    def unfold(self, on: bool = True) -> None:
        """Show or hide the options of the chosen technique."""
        (self._unfolded.add if on else self._unfolded.discard)(self.chosen)
        self._show_options(self.chosen)

    def _show(self) -> None:
        state, name = self._state, self.chosen
        path = f"techniques.{self.slot.name}"
        if self._toggle:
            self._toggle.set_value(name)
            self._toggle.set_blocked({n: why for (slot, n), why in state.blocked.items() if slot == self.slot.name})
        problem = state.problems.get(f"{path}.use", "") or state.problems.get(path, "")
        self._problem.say(problem, state.warnings.get(f"{path}.use", "") or state.warnings.get(path, ""))
        self._show_title()
        self._show_options(name)

    def _show_title(self) -> None:
        self._title.setText(f"{shown(self.slot.title)} ★" if self._starred else shown(self.slot.title))
        set_styled(self._title, "changed", self.changed)
        if self._actions:
            self._actions.show_state(self._starred, self.changed)
            self._place_actions()

    def _show_options(self, name: str) -> None:
        card, state = self.cards.get(name), self._state
        has_options = bool(card and card.options)
        path = f"techniques.{self.slot.name}"
        own = any(state.changed_under(p) or state.said_under(p) for p in self._option_paths(card))
        if has_options and (own or name != self.slot.default_for(state.task)):
            self._unfolded.add(name)
        wanted = self._form_of(name) if has_options and name in self._unfolded else None
        for form in self._forms.values():
            if form is not wanted:
                form.hide()
        if wanted:
            wanted.show_state(state.values, state.problems, state.changed, state.warnings)
            wanted.show()
        is_held = own or (self._toggle is not None and state.changed_under(f"{path}.use"))
        self._show_fold(card, is_open=wanted is not None, can_fold=has_options and not is_held)

    def _show_fold(self, card: TechniqueCard | None, *, is_open: bool, can_fold: bool) -> None:
        only = self._toggle is None
        arrow = (" ▴" if is_open else " ▾") if can_fold else ""
        words = shown(card.short) if card else self.chosen
        self._fold.setText((words if only else self.tr("options")) + arrow)
        self._fold.setEnabled(can_fold)
        self._fold.setVisible(only or can_fold)
        title, technique = shown(self.slot.title), shown(card.title) if card else self.chosen
        if only:
            self._fold.setToolTip(plain_tip(*(technique_tip(card) if card else ())))
            self._fold.setAccessibleName(f"{title}: {technique}")
        else:
            names = ", ".join(shown(o.label) for o in card.options) if card else ""
            self._fold.setToolTip(plain_tip(self.tr("Options: {names}").format(names=names)))
            self._fold.setAccessibleName(self.tr("Options of {technique}").format(technique=technique))

    def _option_paths(self, card: TechniqueCard | None) -> list[str]:
        return [f"techniques.{self.slot.name}.{o.name}" for o in card.options] if card else []

    def _form_of(self, name: str) -> OptionForm | None:
        """The form over a technique's options, made when it is first needed."""
        card = self.cards.get(name)
        if card and card.options and name not in self._forms:
            form = OptionForm(card.options, f"techniques.{self.slot.name}", self, _COMMON)
            form.edited.connect(self.edited)
            self._forms[name] = form
            self._column.addWidget(form)
            form.hide()
        return self._forms.get(name)

    # ------------------------------------------------------------------ what can be done with the slot

    def _show_actions(self, on: bool) -> None:
        if on and self._actions is None:
            self._actions = SlotActions(shown(self.slot.title), self)
            self._actions.page_asked.connect(lambda: self.page_asked.emit(self.slot.name, self.chosen))
            self._actions.star_asked.connect(lambda: self.star_asked.emit(self.slot.name))
            self._actions.reset_asked.connect(lambda: self.reset_asked.emit(self.slot.name))
            self._actions.show_state(self._starred, self.changed)
        if self._actions:
            self._actions.setVisible(on)
            self._place_actions()

    def _place_actions(self) -> None:
        if self._actions and self._is_built:
            title = self._title.geometry()
            width = self._title.sizeHint().width()
            self._actions.move(title.left() + width + 6, title.center().y() - self._actions.height() // 2 + 1)

    def enterEvent(self, event: QEnterEvent) -> None:
        self.build()
        self._show_actions(True)
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        self._show_actions(False)
        super().leaveEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place_actions()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        ctrl = event.modifiers() == Qt.KeyboardModifier.ControlModifier
        if ctrl and event.key() == Qt.Key.Key_D:
            self.star_asked.emit(self.slot.name)
        elif ctrl and event.key() == Qt.Key.Key_Backspace:
            self.reset_asked.emit(self.slot.name)
        else:
            super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        menu = self.menu()
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(event.globalPos())

    def menu(self) -> QMenu:
        """The same as the buttons, for the right mouse button and the menu key."""
        menu = QMenu(self)
        slot = self.slot.name
        page = menu.addAction(self.tr("About this technique"), lambda: self.page_asked.emit(slot, self.chosen))
        words = self.tr("No favourite any more") if self._starred else self.tr("Favourite")
        star = menu.addAction(words, lambda: self.star_asked.emit(slot))
        reset = menu.addAction(self.tr("Reset to the default"), lambda: self.reset_asked.emit(slot))
        reset.setEnabled(self.changed)
        for action, keys in ((page, "F1"), (star, "Ctrl+D"), (reset, "Ctrl+Backspace")):
            action.setShortcut(keys)
        return menu


def _segment(card: TechniqueCard) -> Segment:
    return Segment(card.name, shown(card.short), technique_tip(card), shown(card.title), shown(card.summary))
