"""The form over the real catalogue: every slot and option is there, search finds, only what changed can be seen."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from tfx_engine.protocol.cards import load_catalogue
from tfx_engine.protocol.config import SECTIONS
from tfx_engine.protocol.options import option_cards
from tfx_workbench.session.draft import Draft
from tfx_workbench.widgets.config_pane import ConfigPane
from tfx_workbench.widgets.form_state import FormState


@pytest.fixture
def pane(qtbot: QtBot) -> ConfigPane:
    made = ConfigPane(load_catalogue())
    qtbot.addWidget(made)
    made.resize(320, 900)
    made.show()
    return made


def state(draft: Draft, **problems: str) -> FormState:
    return FormState(draft.values(), problems, draft.changed_paths(), draft.blocked())


def test_every_slot_every_technique_and_every_setting_has_its_place(pane: ConfigPane) -> None:
    draft = Draft()
    catalogue = load_catalogue()
    assert set(pane.form.rows) == {s.name for s in catalogue.slots}
    fields = {path for form in pane.form.forms.values() for path in form.fields}
    assert fields == {"seed"} | {f"{s}.{c.name}" for s, kind in SECTIONS.items() for c in option_cards(kind)}
    for card in catalogue.techniques:
        draft.choose(card.slot, card.name)
        pane.show_state(state(draft))
        for option in card.options:
            assert pane.form.rows[card.slot].field(f"techniques.{card.slot}.{option.name}") is not None


def test_options_show_under_their_technique_only_while_it_is_chosen(pane: ConfigPane) -> None:
    draft = Draft()
    draft.choose("adapter", "lora")
    pane.show_state(state(draft))
    field = pane.form.rows["adapter"].field("techniques.adapter.rank")
    assert field is not None and field.isVisibleTo(pane)
    draft.choose("adapter", "none")
    pane.show_state(state(draft))
    assert not field.isVisibleTo(pane)


def test_a_warning_is_said_beside_its_field_which_is_not_marked_as_wrong(pane: ConfigPane) -> None:
    draft = Draft()
    draft.choose("adapter", "lora")
    path = "techniques.adapter.rank"
    said = {path: "Means little.", "techniques.adapter.use": "Means nothing."}
    pane.show_state(FormState(draft.values(), {}, draft.changed_paths(), draft.blocked(), said))
    field = pane.form.rows["adapter"].field(path)
    assert field.problem == "Means little." and field.problem_label.property("warning")
    assert not field.editor.property("wrong")
    pane.show_state(state(draft, **{path: "Is wrong."}))
    assert field.problem == "Is wrong." and not field.problem_label.property("warning")
    assert field.editor.property("wrong")


def test_choosing_and_editing_are_passed_on(pane: ConfigPane, qtbot: QtBot) -> None:
    pane.show_state(state(Draft()))
    chosen: list[tuple[str, str]] = []
    edited: list[tuple[str, object]] = []
    pane.technique_chosen.connect(lambda *what: chosen.append(what))
    pane.edited.connect(lambda *what: edited.append(what))
    toggle = pane.form.rows["placement"].toggle
    assert toggle is not None
    qtbot.mouseClick(toggle.segment("post_norm"), Qt.MouseButton.LeftButton)
    width = pane.form.forms["model"].fields["model.width"].editor
    width.selectAll()  # type: ignore[attr-defined]
    qtbot.keyClicks(width, "64")
    assert chosen == [("placement", "post_norm")]
    assert edited[-1] == ("model.width", 64)


def test_what_was_changed_is_counted_and_can_be_seen_alone(pane: ConfigPane) -> None:
    draft = Draft()
    pane.show_state(state(draft))
    assert not pane.changed_button.isEnabled()
    draft.choose("placement", "post_norm")
    draft.set_value("model.heads", 4)
    pane.show_state(state(draft))
    assert pane.changed_button.text() == "2 changed"
    pane.changed_button.setChecked(True)
    seen = {name for name, row in pane.form.rows.items() if row.isVisibleTo(pane)}
    assert seen == {"placement", "attention"}, "heads stand under attention"
    draft.reset()
    pane.show_state(state(draft))
    assert pane.form.rows["position"].isVisibleTo(pane), "nothing changed: the filter is off again"


def test_search_narrows_the_form_and_enter_chooses(pane: ConfigPane, qtbot: QtBot) -> None:
    pane.show_state(state(Draft()))
    chosen: list[tuple[str, str]] = []
    pane.technique_chosen.connect(lambda *what: chosen.append(what))
    pane.start_search()
    qtbot.keyClicks(pane.search, "lora")
    assert {n for n, row in pane.form.rows.items() if row.isVisibleTo(pane)} == {"adapter"}
    qtbot.keyClick(pane.search, Qt.Key.Key_Return)
    assert chosen == [("adapter", "lora")]
    assert pane.search.text() == ""
    assert pane.form.rows["position"].isVisibleTo(pane)


def test_escape_empties_the_search(pane: ConfigPane, qtbot: QtBot) -> None:
    qtbot.keyClicks(pane.search, "nothing like it")
    assert not any(row.isVisibleTo(pane) for row in pane.form.rows.values())
    qtbot.keyClick(pane.search, Qt.Key.Key_Escape)
    assert all(row.isVisibleTo(pane) for row in pane.form.rows.values() if row.slot.common)


def test_what_does_not_fit_is_greyed_with_the_catalogue_s_reason(pane: ConfigPane) -> None:
    draft = Draft()
    draft.choose("mask", "prefix")
    pane.show_state(state(draft))
    blocked = {name for slot, name in draft.blocked() if slot == "position"}
    toggle = pane.form.rows["position"].toggle
    assert toggle is not None
    assert blocked, "the catalogue has no rule left to test this with"
    for name in blocked:
        assert not toggle.segment(name).isEnabled()
        assert draft.blocked()["position", name].split()[0] in toggle.segment(name).toolTip()


def test_a_problem_is_revealed_even_behind_search_and_more(pane: ConfigPane) -> None:
    draft = Draft()
    draft.set_value("run.attention_every", -1)
    pane.show_state(state(draft, **{"run.attention_every": "Is -1."}))
    pane.search.setText("lora")
    pane.reveal("run.attention_every")
    field = pane.form.forms["run"].fields["run.attention_every"]
    assert field.isVisibleTo(pane)
    assert field.problem == "Is -1."
    assert not field.visibleRegion().isEmpty(), "it was scrolled to"


def test_nothing_sticks_out_of_a_narrow_pane(pane: ConfigPane) -> None:
    draft = Draft()
    draft.choose("adapter", "lora")
    pane.resize(264, 600)
    pane.show_state(state(draft))
    for group in pane.form.groups.values():
        group.more.click()
    pane.grab()  # everything finds its place
    for row in pane.form.rows.values():
        assert row.geometry().right() < pane.scroll_area.viewport().width()
        if row.toggle:
            assert row.toggle.minimumSizeHint().width() <= row.toggle.width()
