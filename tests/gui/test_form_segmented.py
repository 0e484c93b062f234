"""The segmented toggle: choosing by mouse and keys, greying with a reason, and what does not fit."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from tfx_workbench.widgets.segmented import Segment, Segmented

WORDS = ("none", "sinusoidal", "learned", "rotary", "alibi")


@pytest.fixture
def toggle(qtbot: QtBot) -> Segmented:
    made = Segmented([Segment(w, w) for w in WORDS], "Position")
    qtbot.addWidget(made)
    made.resize(600, 24)
    made.set_value("none")
    made.show()
    return made


def test_a_click_chooses_and_says_so_once(toggle: Segmented, qtbot: QtBot) -> None:
    heard: list[str] = []
    toggle.chosen.connect(heard.append)
    for _ in range(2):
        qtbot.mouseClick(toggle.segment("learned"), Qt.MouseButton.LeftButton)
    assert heard == ["learned"]
    assert toggle.value == "learned"
    assert toggle.segment("learned").isChecked()
    assert not toggle.segment("none").isChecked()


def test_showing_a_value_does_not_emit(toggle: Segmented, qtbot: QtBot) -> None:
    with qtbot.assertNotEmitted(toggle.chosen):
        toggle.set_value("rotary")


def test_arrow_keys_move_the_choice_past_what_is_greyed(toggle: Segmented, qtbot: QtBot) -> None:
    toggle.set_blocked({"sinusoidal": "does not fit a mask"})
    qtbot.keyClick(toggle.segment("none"), Qt.Key.Key_Right)
    assert toggle.value == "learned"
    qtbot.keyClick(toggle.segment("learned"), Qt.Key.Key_Left)
    assert toggle.value == "none"
    qtbot.keyClick(toggle.segment("none"), Qt.Key.Key_Left)
    assert toggle.value == "none", "there is nothing further left"


def test_a_greyed_segment_cannot_be_chosen_and_says_why(toggle: Segmented, qtbot: QtBot) -> None:
    toggle.set_blocked({"learned": "does not fit <this> mask"})
    button = toggle.segment("learned")
    assert not button.isEnabled()
    assert "does not fit &lt;this&gt; mask" in button.toolTip()
    with qtbot.assertNotEmitted(toggle.chosen):
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    toggle.set_blocked({})
    assert button.isEnabled()


def test_the_chosen_segment_stays_usable_when_it_no_longer_fits(toggle: Segmented) -> None:
    toggle.set_blocked({"none": "clashes"})
    assert toggle.segment("none").isEnabled()


def test_what_does_not_fit_waits_behind_the_dots_and_the_chosen_one_never_does(toggle: Segmented) -> None:
    toggle.resize(170, 24)
    assert toggle.visible_values() != list(WORDS)
    for word in WORDS:
        toggle.set_value(word)
        assert word in toggle.visible_values()
        right = max(toggle.segment(v).geometry().right() for v in toggle.visible_values())
        assert right < toggle.width()
    toggle.resize(800, 24)
    assert toggle.visible_values() == list(WORDS)


def test_only_the_chosen_segment_takes_the_tab_key(toggle: Segmented) -> None:
    focusable = [w for w in WORDS if toggle.segment(w).focusPolicy() != Qt.FocusPolicy.NoFocus]
    assert focusable == ["none"]


def test_every_segment_has_a_name_for_screen_readers(toggle: Segmented) -> None:
    assert toggle.accessibleName() == "Position"
    assert all(toggle.segment(w).accessibleName() for w in WORDS)
