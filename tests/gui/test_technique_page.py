"""The page of a technique: everything that its file says, in both themes, by keyboard, and never as markup."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs
from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QDesktopServices, QTextCursor
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from tests.helpers.windows import wait, window
from tfx_engine.protocol.cards import load_catalogue
from tfx_engine.protocol.options import OptionCard
from tfx_workbench.app.window import MainWindow
from tfx_workbench.exhibits.palette import DARK, LIGHT
from tfx_workbench.widgets.technique_page import TechniquePage, sections


def page_of(qtbot: QtBot, slot: str, name: str, **other: object) -> TechniquePage:
    catalogue = load_catalogue()
    slot_card, card = catalogue.slot(slot), catalogue.find(slot, name)
    assert slot_card is not None and card is not None
    made = TechniquePage()
    qtbot.addWidget(made)
    made.show_card(slot_card, structs.replace(card, **other) if other else card)
    return made


@pytest.mark.parametrize("slot", [s.name for s in load_catalogue().slots])
def test_a_page_says_everything_that_the_card_says(qtbot: QtBot, slot: str) -> None:
    for card in load_catalogue().in_slot(slot):
        text = page_of(qtbot, slot, card.name).toPlainText()
        said = [card.title, card.summary, card.guide.choose, card.guide.avoid]
        said += [t for o in card.options for t in (o.label, o.name, o.help, o.unit)]
        said += [t for rule in (*card.requires, *card.excludes) for t in (rule.slot, rule.reason)]
        said += [effect.formula for effect in card.effects]
        assert [t for t in said if t not in text] == []
        for heading in ("What it is", "What it costs", "Paper"):
            assert f"\n{heading}\n" in text, card.name


def test_nothing_of_a_page_is_lost_between_the_paragraphs() -> None:
    for card in load_catalogue().techniques:
        words = "".join(heading + "".join(lines) for heading, lines in sections(card.doc))
        squeezed = "".join(words.split()).lower()
        for word in card.doc.split():
            assert word.strip(":,.").lower() in squeezed, (card.name, word)


def test_paragraphs_become_headings_sentences_and_formulas_as_they_stand() -> None:
    doc = "X: y.\n\nWhat it is: a\nthing of two lines.\n\nFormula, for a of b:\n    u = a        v = b\n    w\n\nElse."
    assert list(sections(doc)) == [
        ("", ["X: y."]), ("What it is", ["A thing of two lines."]),
        ("Formula", ["For a of b:", "    u = a        v = b", "    w"]), ("", ["Else."]),
    ]
    assert list(sections("Formula: x = 1")) == [("Formula", ["x = 1"])], "a symbol keeps its size"


def test_limits_units_defaults_and_conditions_of_options_are_said(qtbot: QtBot) -> None:
    option = OptionCard(name="size", kind="int", default=None, low=1, high=4096, unit="tokens", label="window",
                        automatic="all of it", help="How far.", optional=True, only_when={"kind": ("near", "far")})
    text = page_of(qtbot, "position", "rotary", options=(option,)).toPlainText()
    assert "default all of it" in text and "1 to 4,096" in text and "tokens" in text
    assert "Of effect while kind is near, far." in text


def test_a_technique_of_one_s_own_says_where_it_is_from_and_may_say_little(qtbot: QtBot) -> None:
    text = page_of(qtbot, "position", "rotary", origin="/home/me/own.py", doc="", paper="", options=(),
                   kinds=("classes",)).toPlainText()
    assert "/home/me/own.py" in text and "Paper" not in text
    assert "tasks: digits, sounds" in text


def test_what_a_technique_file_says_is_never_markup(qtbot: QtBot) -> None:
    evil = "<b>bold</b> & <img src='http://x/y.png'> [link](http://x) javascript:alert(1)"
    page = page_of(qtbot, "position", "rotary", doc=f"T: t.\n\n{evil}\n\n    {evil}\n\nPaper: {evil}", summary=evil,
                   title=evil)
    assert page.toPlainText().count(evil) >= 4
    assert "<img" not in page.toHtml()


def test_links_lead_to_papers_only_and_open_outside(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toString()))
    page = page_of(qtbot, "position", "rotary")
    cursor = page.document().find("arXiv:2104.09864")
    assert cursor.charFormat().anchorHref() == "https://arxiv.org/abs/2104.09864"
    for url in ("https://arxiv.org/abs/1", "file:///etc/passwd", "javascript:alert(1)"):
        page.anchorClicked.emit(url)
    assert opened == ["https://arxiv.org/abs/1"]


def test_a_page_has_the_colours_of_the_theme_and_stays_where_it_is(qtbot: QtBot) -> None:
    page = page_of(qtbot, "position", "rotary")
    page.resize(400, 300)
    page.show()
    page.verticalScrollBar().setValue(200)
    for palette in (DARK, LIGHT):
        page.apply_theme(palette)
        cursor = QTextCursor(page.document())
        cursor.movePosition(QTextCursor.MoveOperation.NextCharacter)
        assert cursor.charFormat().foreground().color().name() == palette.text.lower()
        assert page.verticalScrollBar().value() == 200


def test_text_can_be_selected_by_keyboard(qtbot: QtBot) -> None:
    page = page_of(qtbot, "position", "rotary")
    page.show()
    qtbot.keyClick(page, Qt.Key.Key_End, Qt.KeyboardModifier.ShiftModifier)
    assert page.textCursor().selectedText() == "Rotary positions"


# ---------------------------------------------------------------------- in the window


def test_f1_in_the_form_opens_the_page_and_escape_gives_the_keyboard_back(tmp_path: Path, qtbot: QtBot) -> None:
    with window(tmp_path) as made:
        toggle = made.pane.form.rows["placement"].toggle
        assert toggle is not None
        toggle.setFocus()
        wait(toggle.segment("pre_norm").hasFocus, "the focus")
        qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_F1)
        page = made.pages.pane
        assert page is not None and page.isVisible() and page.name == "pre_norm"
        wait(page.page.hasFocus, "the page to have the keyboard")
        assert page.choose_button.text() == "Chosen"
        qtbot.keyClick(page.page, Qt.Key.Key_Right, Qt.KeyboardModifier.AltModifier)
        assert page.name == "post_norm" and page.choose_button.isEnabled()
        page.choose_button.click()
        assert made.session.draft.config.use("placement") == "post_norm"
        assert page.choose_button.text() == "Chosen"
        qtbot.keyClick(page.page, Qt.Key.Key_Escape)
        assert not page.isVisible()
        wait(lambda: toggle.isAncestorOf(QApplication.focusWidget()), "the keyboard to be back")


def test_f1_at_a_hit_of_the_search_reads_about_it_and_elsewhere_it_is_the_help(tmp_path: Path, qtbot: QtBot) -> None:
    with window(tmp_path) as made:
        made.pane.start_search()
        wait(made.pane.search.hasFocus, "the focus")
        qtbot.keyClicks(made.pane.search, "lion")
        qtbot.keyClick(made.pane.search, Qt.Key.Key_F1)
        assert made.pages.pane is not None and made.pages.pane.name == "lion"
        qtbot.keyClick(made.pages.pane.page, Qt.Key.Key_Escape)
        made.pane.search.clear()
        helped: list[bool] = []
        made.commands.show_help = lambda: helped.append(True)  # type: ignore[method-assign]
        made.table.take_focus()
        made.actions_.help.trigger()
        assert helped == [True]


def test_a_page_that_is_open_follows_what_is_chosen_and_says_why_something_cannot_be(tmp_path: Path) -> None:
    with window(tmp_path) as made:
        made.pages.open("position", "none")
        page = made.pages.pane
        assert page is not None
        made.pane.technique_chosen.emit("optimizer", "sgd")
        assert page.name == "sgd"
        made.session.draft.choose("mask", "prefix")
        made.pages.open("position", "none")
        assert not page.choose_button.isEnabled()
        assert made.session.draft.blocked()["position", "none"].split()[-1].strip(".") in page.choose_button.toolTip()
        made.pages.open("position", "no such technique")
        assert page.name == "none"


def test_a_page_lies_over_the_panels_and_keeps_within_them(tmp_path: Path) -> None:
    with window(tmp_path, size=(1280, 720)) as made:
        made.pages.open("position", "rotary")
        page = made.pages.pane
        assert page is not None
        for size in ((1280, 720), (960, 600), (1680, 1010)):
            made.resize(*size)
            wait(lambda: place_of(made.rows, made).contains(page.geometry()), f"its place at {size}")


def place_of(widget: QWidget, made: MainWindow) -> QRect:
    """Where a widget lies in the centre of its window."""
    return widget.rect().translated(widget.mapTo(made.centralWidget(), widget.rect().topLeft()))
