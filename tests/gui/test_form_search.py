"""Search in the form: what is found and in which order, what is marked, and that the keyboard does all of it."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from tests.gui.test_form_groups import COMMON, seen, state
from tests.helpers.windows import wait
from tfx_engine.protocol.cards import load_catalogue
from tfx_workbench.session.draft import Draft
from tfx_workbench.widgets.config_pane import ConfigPane
from tfx_workbench.widgets.form_search import FormIndex, best


@pytest.fixture
def pane(qtbot: QtBot) -> ConfigPane:
    made = ConfigPane(load_catalogue())
    qtbot.addWidget(made)
    made.resize(356, 900)
    made.show()
    draft = Draft(parent=made)
    made.technique_chosen.connect(draft.choose)
    draft.changed.connect(lambda: made.show_state(state(draft)))
    made.show_state(state(draft))
    return made


@pytest.mark.parametrize(("text", "slot", "technique"), [
    ("lion", "optimizer", "lion"), ("adamw", "optimizer", "adamw"), ("ADAM 8-bit", "optimizer", "adamw_8bit"),
    ("rotary", "position", "rotary"), ("rotary position", "position", "rotary"),  # a technique and its slot
    ("RoFormer 2021", "position", ""),  # the names of a paper's authors are on the card, its title on the page only
    ("2104.09864", "position", "rotary"), ("yarn", "position", "rotary"), ("rank-stab", "adapter", "lora"),
    ("query-key", "qk_norm", ""), ("optimizer", "optimizer", ""), ("momentum", "optimizer", "sgd"),
])
def test_the_best_hit_is_what_the_words_name(text: str, slot: str, technique: str) -> None:
    hits = FormIndex(load_catalogue(), []).find(text)
    if text == "RoFormer 2021":
        assert hits == []
        return
    hit = hits[best(hits)]
    assert (hit.slot, hit.technique) == (slot, technique)


def test_what_only_an_option_names_says_which(pane: ConfigPane) -> None:
    pane.search.setText("yarn")
    assert "scaling" in pane.found.text.lower()


def test_only_slots_that_match_are_shown_and_what_matches_is_marked(pane: ConfigPane, qtbot: QtBot) -> None:
    qtbot.keyClicks(pane.search, "lo")
    qtbot.keyClicks(pane.search, "ra")
    assert seen(pane) == {"adapter"}
    toggle = pane.form.rows["adapter"].toggle
    assert toggle is not None and toggle.segment("lora").property("mark") == "hit"
    assert not toggle.segment("none").property("mark")
    assert "LoRA" in pane.found.text and pane.found.isVisible()
    qtbot.keyClick(pane.search, Qt.Key.Key_Escape)
    assert seen(pane) == COMMON and not pane.found.isVisible()
    assert not toggle.segment("lora").property("mark")


def test_arrow_keys_go_through_the_hits_and_enter_chooses_one(pane: ConfigPane, qtbot: QtBot) -> None:
    chosen: list[tuple[str, str]] = []
    pane.technique_chosen.connect(lambda *what: chosen.append(what))
    pane.start_search()
    qtbot.keyClicks(pane.search, "adam")
    _, count = pane.form.hit_place
    assert count >= 2 and pane.form.hit is not None
    first = pane.form.hit
    qtbot.keyClick(pane.search, Qt.Key.Key_Down)
    second = pane.form.hit
    assert second is not None and second != first
    qtbot.keyClick(pane.search, Qt.Key.Key_Up)
    assert pane.form.hit == first
    for _ in range(count):
        qtbot.keyClick(pane.search, Qt.Key.Key_Down)
    assert pane.form.hit == first, "round and round"
    qtbot.keyClick(pane.search, Qt.Key.Key_Down)
    qtbot.keyClick(pane.search, Qt.Key.Key_Return)
    assert chosen == [(second.slot, second.technique)]
    assert pane.search.text() == ""
    toggle = pane.form.rows[second.slot].toggle
    assert toggle is not None and toggle.value == second.technique
    row = pane.form.rows[second.slot]
    wait(lambda: row.isAncestorOf(QApplication.focusWidget()))


def test_a_hit_behind_the_dots_is_shown_in_their_place(pane: ConfigPane) -> None:
    pane.search.setText("lion")
    toggle = pane.form.rows["optimizer"].toggle
    assert toggle is not None and "lion" in toggle.visible_values() and toggle.value == "adamw"


def test_enter_on_an_option_chooses_its_technique_and_goes_to_the_field(pane: ConfigPane, qtbot: QtBot) -> None:
    pane.search.setText("beta_fast")
    qtbot.keyClick(pane.search, Qt.Key.Key_Return)
    row = pane.form.rows["position"]
    assert row.chosen == "rotary"
    field = row.field("techniques.position.beta_fast")
    assert field is not None and row.chosen == "rotary"
    pane.search.setText("rank")
    assert pane.form.hit is not None and pane.form.hit.option == "rank"
    qtbot.keyClick(pane.search, Qt.Key.Key_Return)
    rank = pane.form.rows["adapter"].field("techniques.adapter.rank")
    assert rank is not None and rank.isVisibleTo(pane)
    wait(rank.editor.hasFocus)


def test_a_setting_is_found_alone_and_enter_goes_to_it_even_in_a_folded_group(pane: ConfigPane, qtbot: QtBot) -> None:
    pane.form.groups["run"].head.click()
    pane.search.setText("threads")
    fields = pane.form.forms["run"].fields
    assert fields["run.threads"].isVisibleTo(pane) and not fields["run.batch"].isVisibleTo(pane)
    qtbot.keyClick(pane.search, Qt.Key.Key_Return)
    wait(fields["run.threads"].editor.hasFocus)
    assert fields["run.threads"].isVisibleTo(pane) and fields["run.batch"].isVisibleTo(pane)
    pane.form.groups["Architecture"].head.click()
    pane.search.setText("head width")
    qtbot.keyClick(pane.search, Qt.Key.Key_Return)
    assert pane.form.forms["heads"].fields["model.head_width"].isVisibleTo(pane), "under attention"


def test_what_does_not_fit_is_found_said_and_not_chosen(pane: ConfigPane, qtbot: QtBot) -> None:
    pane.technique_chosen.emit("mask", "prefix")
    toggle = pane.form.rows["position"].toggle
    assert toggle is not None and not toggle.is_free("none"), "the catalogue has no rule left to test this with"
    pane.search.setText("no positions")
    assert Draft().catalogue.find("position", "none").summary not in pane.found.text  # type: ignore[union-attr]
    assert "cannot tell their order" in pane.found.text, "the reason is said instead"
    qtbot.keyClick(pane.search, Qt.Key.Key_Return)
    assert toggle.value == "sinusoidal"


def test_nothing_found_is_said_and_enter_does_nothing(pane: ConfigPane, qtbot: QtBot) -> None:
    chosen: list[tuple[str, str]] = []
    pane.technique_chosen.connect(lambda *what: chosen.append(what))
    qtbot.keyClicks(pane.search, "<b>no such thing</b>")
    assert pane.found.text.startswith("Nothing is called that")
    for key in (Qt.Key.Key_Down, Qt.Key.Key_Up, Qt.Key.Key_Return):
        qtbot.keyClick(pane.search, key)
    assert chosen == [] and seen(pane) == set()
