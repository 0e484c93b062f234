"""The message bar: always there, never modal; what matters is not washed away by what does not."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from tests.helpers.windows import wait
from tfx_workbench.widgets import message_bar
from tfx_workbench.widgets.message_bar import BAD, INFO, WARNING, MessageBar


@pytest.fixture
def bar(qtbot: QtBot) -> MessageBar:
    made = MessageBar()
    qtbot.addWidget(made)
    made.set_resting("F5 run")
    made.show()
    return made


def test_its_place_is_kept_so_that_nothing_jumps(bar: MessageBar) -> None:
    before = bar.sizeHint().height()
    bar.say("something", WARNING)
    assert bar.sizeHint().height() == before
    assert bar.isVisible()


def test_information_goes_by_itself_and_a_warning_stays(
    bar: MessageBar, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_bar, "_SHOWN_MS", 30)
    bar.say("one", INFO)
    wait(lambda: bar.text == "")
    bar.say("two", WARNING)
    qtbot.wait(100)
    assert bar.text == "two"


def test_a_fresh_warning_is_not_washed_away_but_nothing_is_forgotten(bar: MessageBar) -> None:
    bar.say("the engine ended", WARNING)
    bar.say("a run finished", INFO)
    assert bar.text == "the engine ended"
    bar.say("worse", BAD)
    assert bar.text == "worse"
    assert [text for _, text in bar.history] == ["the engine ended", "a run finished", "worse"]


def test_what_can_be_done_about_it_is_done_once(bar: MessageBar, qtbot: QtBot) -> None:
    done: list[str] = []
    bar.say("one run was deleted", INFO, "Undo", lambda: done.append("undone"))
    qtbot.mouseClick(bar._action, Qt.MouseButton.LeftButton)
    assert done == ["undone"]
    assert bar.text == ""


def test_a_message_is_shown_as_it_is_never_as_markup(bar: MessageBar) -> None:
    bar.say("<b>name</b>")
    assert bar.text == "<b>name</b>"
    assert bar._label.textFormat() == Qt.TextFormat.PlainText
