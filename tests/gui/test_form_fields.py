"""Fields made from option cards: what is typed is passed on as it is, and shown with what is wrong about it."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from tests.helpers.windows import wait
from tfx_engine.protocol.options import OptionCard
from tfx_workbench.widgets.option_editors import NumberEdit
from tfx_workbench.widgets.option_field import OptionField
from tfx_workbench.widgets.option_form import OptionForm


def card(kind: str, default: Any, **rest: Any) -> OptionCard:
    return OptionCard(name="x", kind=kind, default=default, label="rank", help="What it is.",  # type: ignore[arg-type]
                      optional=default is None, **rest)


def field(qtbot: QtBot, made: OptionCard) -> tuple[OptionField, list[Any]]:
    widget = OptionField(made, "a.x")
    qtbot.addWidget(widget)
    widget.set_value(made.default)
    heard: list[Any] = []
    widget.edited.connect(lambda _path, value: heard.append(value))
    widget.show()
    return widget, heard


@pytest.mark.parametrize(("typed", "value"), [
    ("12", 12), ("1e3", 1000), ("1,024", 1024), ("-3", -3), ("eight", "eight"), ("0.5", 0.5),
])
def test_a_whole_number_is_passed_on_as_typed_legal_or_not(qtbot: QtBot, typed: str, value: Any) -> None:
    widget, heard = field(qtbot, card("int", 8, low=1, high=64))
    widget.editor.selectAll()  # type: ignore[attr-defined]
    qtbot.keyClicks(widget.editor, typed)
    assert heard[-1] == value
    assert type(heard[-1]) is type(value)


def test_a_huge_whole_number_keeps_every_digit(qtbot: QtBot) -> None:
    widget, heard = field(qtbot, card("int", 8))
    widget.editor.selectAll()  # type: ignore[attr-defined]
    qtbot.keyClicks(widget.editor, "9007199254740993")
    assert heard[-1] == 9007199254740993


def test_an_empty_number_means_automatic(qtbot: QtBot) -> None:
    widget, heard = field(qtbot, card("int", None, automatic="width / heads"))
    qtbot.keyClicks(widget.editor, "7")
    qtbot.keyClick(widget.editor, Qt.Key.Key_Backspace)
    assert heard == [7, None]
    assert widget.editor.placeholderText() == "auto"  # type: ignore[attr-defined]


@pytest.mark.parametrize(("kind", "start", "key", "value"), [
    ("int", 8, Qt.Key.Key_Up, 9), ("int", 8, Qt.Key.Key_PageUp, 18), ("int", 1, Qt.Key.Key_Down, 1),
    ("float", 0.003, Qt.Key.Key_Up, 0.0031), ("float", 0.5, Qt.Key.Key_Down, 0.49),
    ("float", 16.0, Qt.Key.Key_Up, 17.0),
])
def test_up_and_down_step_within_the_limits(qtbot: QtBot, kind: str, start: float, key: Qt.Key, value: float) -> None:
    widget, heard = field(qtbot, card(kind, start, low=0 if kind == "float" else 1, high=64))
    qtbot.keyClick(widget.editor, key)
    assert heard == [pytest.approx(value)]


def test_a_number_that_is_being_typed_is_not_rewritten_under_the_cursor(qtbot: QtBot) -> None:
    widget, _ = field(qtbot, card("float", 1.5))
    edit = widget.editor
    assert isinstance(edit, NumberEdit)
    edit.setFocus()
    wait(edit.hasFocus)
    edit.setText("2.")
    widget.set_value(2.0)
    assert edit.text() == "2."
    widget.set_value(3.0)
    assert edit.text() == "3"


def test_a_switch_a_choice_and_a_set_pass_on_what_was_clicked(qtbot: QtBot) -> None:
    switch, heard = field(qtbot, card("bool", False))
    switch.editor.click()  # type: ignore[attr-defined]
    assert heard == [True]
    choice, heard = field(qtbot, card("choice", "none", choices=("none", "tanh")))
    qtbot.mouseClick(choice.editor.segment("tanh"), Qt.MouseButton.LeftButton)  # type: ignore[attr-defined]
    assert heard == ["tanh"]
    names, heard = field(qtbot, card("set", ("query",), choices=("query", "key", "value")))
    names.editor._buttons["value"].click()  # type: ignore[attr-defined]
    assert heard == [["query", "value"]]


def test_an_optional_switch_has_three_states(qtbot: QtBot) -> None:
    widget, heard = field(qtbot, card("bool", None))
    for name in ("on", "off", "auto"):
        qtbot.mouseClick(widget.editor.segment(name), Qt.MouseButton.LeftButton)  # type: ignore[attr-defined]
    assert heard == [True, False, None]


def test_a_problem_stands_beside_its_field_in_plain_text(qtbot: QtBot) -> None:
    form = OptionForm([card("int", 8)], "a")
    qtbot.addWidget(form)
    form.show()
    form.show_state({"a.x": -1}, {"a.x": "Is -1, but <b>must</b> lie between 1 and 64."}, frozenset())
    label = form.fields["a.x"].problem_label
    assert label.isVisible()
    assert label.text() == "Is -1, but <b>must</b> lie between 1 and 64."
    assert label.textFormat() == Qt.TextFormat.PlainText
    assert form.fields["a.x"].editor.property("wrong") is True
    form.show_state({"a.x": 1}, {}, frozenset())
    assert not label.isVisible()


def test_rare_options_hide_until_asked_for_changed_or_wrong(qtbot: QtBot) -> None:
    cards = [OptionCard(name=n, kind="int", default=1, label=n, help="") for n in ("a", "b", "c", "d")]
    form = OptionForm(cards, "s", common=1)
    qtbot.addWidget(form)
    form.show()

    def visible() -> list[str]:
        return [path for path, f in form.fields.items() if f.isVisible()]

    assert visible() == ["s.a"]
    form.show_state({}, {"s.b": "Wrong."}, frozenset({"s.c"}))
    assert visible() == ["s.a", "s.b", "s.c"]
    form.more.click()
    assert visible() == ["s.a", "s.b", "s.c", "s.d"]


def test_hovering_says_help_limits_unit_and_default(qtbot: QtBot) -> None:
    widget, _ = field(qtbot, card("int", 8, low=1, high=4096, unit="tokens"))
    tip = widget.editor.toolTip()
    for words in ("What it is.", "1 to 4,096", "tokens", "default: 8"):
        assert words in tip
    assert widget.editor.accessibleName() == "rank (tokens)"


def test_what_is_of_no_effect_is_hidden_dimmed_where_it_differs_and_comes_with_what_makes_it_matter(
    qtbot: QtBot,
) -> None:
    ways = ("none", "near", "far")
    cards = [OptionCard(name="way", kind="choice", default="none", choices=ways, label="way", help=""),
             OptionCard(name="size", kind="int", default=1, label="size", help="", only_when={"way": ("far",)})]
    form = OptionForm(cards, "s", common=1)
    qtbot.addWidget(form)
    form.show()
    size = form.fields["s.size"]

    def show(way: str, number: int, changed: set[str]) -> None:
        form.show_state({"s.way": way, "s.size": number}, {}, frozenset(changed))

    show("none", 1, set())
    assert not size.isVisible() and not form.more.isVisible(), "there is nothing more"
    form.expand()
    assert not size.isVisible()
    form.expand(False)
    show("far", 1, {"s.way"})
    assert size.isVisible(), "somebody chose what makes it matter"
    show("near", 7, {"s.way", "s.size"})
    assert size.isVisible() and size.editor.property("idle") is True
    assert "Of no effect while way is near." in size.editor.toolTip()
    show("far", 7, {"s.way", "s.size"})
    assert not size.editor.property("idle") and "no effect" not in size.editor.toolTip()
    show("near", 1, {"s.way"})
    assert not size.isVisible()
