"""The segmented toggle: choosing by mouse and keys, greying with a reason, and what does not fit."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, Qt
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from tfx_workbench.widgets.choice_popup import ChoicePopup
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
    toggle.resize(230, 24)
    assert toggle.visible_values() != list(WORDS)
    places = set()
    for word in WORDS:
        toggle.set_value(word)
        assert word in toggle.visible_values()
        assert toggle.segment(word).text().startswith(word[:4]) and toggle.segment(word).isChecked()
        places.add(tuple(b.geometry().getRect() for b in toggle.findChildren(QPushButton) if not b.isHidden()))
        right = max(toggle.segment(v).geometry().right() for v in toggle.visible_values())
        assert right < toggle.width()
    assert len(places) == 1, "nothing moves when something else is chosen"
    toggle.resize(800, 24)
    assert toggle.visible_values() == list(WORDS)


def test_arrow_keys_reach_what_waits_behind_the_dots(toggle: Segmented, qtbot: QtBot) -> None:
    toggle.resize(230, 24)
    for word in WORDS[1:]:
        qtbot.keyClick(toggle.segment(toggle.value), Qt.Key.Key_Right)
        assert toggle.value == word
        assert toggle.segment(word).isVisible() and toggle.segment(word).isEnabled()


@pytest.fixture
def listed(toggle: Segmented) -> ChoicePopup:
    toggle.set_blocked({"sinusoidal": "it clashes with <this>"})
    popup = toggle.open_list()
    assert popup is not None
    return popup


def test_the_list_names_all_choices_with_a_line_and_says_why_one_is_greyed(listed: ChoicePopup) -> None:
    items = [listed.list.item(i) for i in range(listed.list.count())]
    assert [item.text() for item in items] == list(WORDS)
    assert listed.list.currentItem().text() == "none"
    assert items[1].data(Qt.ItemDataRole.AccessibleDescriptionRole) == "Does not fit: it clashes with <this>"
    assert "&lt;this&gt;" in items[1].toolTip()
    assert not listed.grab().isNull()


def test_keys_choose_from_the_list_what_may_be_chosen(toggle: Segmented, listed: ChoicePopup, qtbot: QtBot) -> None:
    heard: list[str] = []
    toggle.chosen.connect(heard.append)
    qtbot.keyClick(listed.list, Qt.Key.Key_Down)
    qtbot.keyClick(listed.list, Qt.Key.Key_Return)
    assert heard == [] and listed.isVisible(), "it does not fit"
    qtbot.keyClick(listed.list, Qt.Key.Key_A)
    qtbot.keyClick(listed.list, Qt.Key.Key_Return)
    assert heard == ["alibi"] and toggle.value == "alibi"


def test_the_list_opens_with_the_down_key_escape_leaves_it_and_f1_asks_for_the_page(
    toggle: Segmented, qtbot: QtBot
) -> None:
    pages: list[str] = []
    toggle.page_asked.connect(pages.append)
    toggle.resize(230, 24)
    for key in (Qt.Key.Key_Escape, Qt.Key.Key_F1):
        qtbot.keyClick(toggle.segment("none"), Qt.Key.Key_Down)
        popup = toggle.findChild(ChoicePopup)
        assert popup is not None and popup.isVisible()
        qtbot.keyClick(popup.list, key)
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        assert toggle.findChild(ChoicePopup) is None
    assert pages == ["none"] and toggle.value == "none"


def test_what_a_search_found_is_marked_even_behind_the_dots(toggle: Segmented) -> None:
    toggle.resize(230, 24)
    toggle.set_found(frozenset({"sinusoidal", "alibi"}), "alibi")
    assert toggle.segment("sinusoidal").property("mark") == "found"
    assert "alibi" in toggle.visible_values(), "the hit is to be seen"
    assert toggle.value == "none"
    toggle.set_found(frozenset())
    assert "alibi" not in toggle.visible_values()
    assert not toggle.segment("sinusoidal").property("mark")


def test_only_the_chosen_segment_takes_the_tab_key(toggle: Segmented) -> None:
    focusable = [w for w in WORDS if toggle.segment(w).focusPolicy() != Qt.FocusPolicy.NoFocus]
    assert focusable == ["none"]


def test_every_segment_has_a_name_for_screen_readers(toggle: Segmented) -> None:
    assert toggle.accessibleName() == "Position"
    assert all(toggle.segment(w).accessibleName() for w in WORDS)
