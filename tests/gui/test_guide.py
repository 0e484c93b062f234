"""The guide in the window: what is known, what is not yet measured, and a button that measures it."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, QUrl
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from tests.helpers.windows import wait, window
from tfx_engine.protocol.experiment_files import find_experiments, load_topics, shipped_experiments
from tfx_workbench.runs.experiments import Measured, ResultStore


def texts(widget) -> str:
    return "\n".join(label.text() for label in widget.findChildren(QLabel) if not label.isHidden())


def keep(store: Path, number: str, values: dict[str, float]) -> None:
    (each,) = find_experiments([number])
    results = ResultStore(store).load(each)
    for variant, value in values.items():
        results.put(variant, 0, Measured({each.expect[0].metric: value}))
    ResultStore(store).save(each, results)


def test_the_guide_tells_what_was_measured_and_offers_what_was_not(qtbot: QtBot, tmp_path: Path) -> None:
    keep(tmp_path / "runs", "1a", {"none": 0.0, "sinusoidal": 1.5, "rotary": 0.25})
    with window(tmp_path) as made:
        made.actions_.guide.trigger()
        pane = made.guide.pane
        said = texts(pane)
        assert not pane.isHidden() and "1a: holds here" in said and "differ by up to 1.50" in said
        assert [t.title for t in load_topics() if t.title not in said] == []
        assert pane.buttons["1a"].isHidden() and not pane.buttons["6"].isHidden()
        assert "Run (about" in pane.buttons["6"].text() and "6: not yet measured here" in said
        keep(tmp_path / "runs", "1a", {"none": 3.0, "sinusoidal": 1.5, "rotary": 0.25})
        wait(lambda: "1a: does not hold here" in texts(pane), "new results are shown by themselves")
        QTest.keyClick(pane, Qt.Key.Key_Escape)
        assert pane.isHidden()


def test_every_experiment_has_its_claim_and_its_place(qtbot: QtBot, tmp_path: Path) -> None:
    with window(tmp_path, begun=False) as made:
        made.guide.open()
        said = texts(made.guide.pane)
        assert [e.number for e in shipped_experiments() if e.claim not in said] == []


def test_the_page_of_a_technique_leads_to_its_experiments(qtbot: QtBot, tmp_path: Path) -> None:
    with window(tmp_path) as made:
        made.pages.open("recompute", "every_block")
        page = made.pages.pane.page
        assert "4 Recompute trades time for memory" in page.toPlainText()
        page.anchorClicked.emit(QUrl("experiment:4"))
        pane = made.guide.pane
        wait(lambda: pane.area.verticalScrollBar().value() > 0, "the guide is scrolled to it")
        top = pane.buttons["4"].mapTo(pane.area.viewport(), pane.buttons["4"].rect().topLeft()).y()
        assert not pane.isHidden() and 0 <= top < pane.area.viewport().height()


def test_the_button_measures_and_the_guide_says_what_came_of_it(qtbot: QtBot, tmp_path: Path) -> None:
    with window(tmp_path) as made:
        made.guide.open()
        pane = made.guide.pane
        pane.buttons["1a"].click()
        assert pane.buttons["1a"].text() == "Stop" and not pane.buttons["6"].isEnabled()
        wait(lambda: not made.guide.process.number, "the experiment ends")
        assert "1a: holds here" in texts(pane) and pane.buttons["1a"].isHidden()


def test_an_experiment_can_be_stopped_and_dies_with_its_window(qtbot: QtBot, tmp_path: Path) -> None:
    with window(tmp_path) as made:
        made.guide.open()
        pane, process = made.guide.pane, made.guide.process
        pane.buttons["6"].click()
        pane.buttons["6"].click()
        wait(lambda: not process.number, "the experiment is stopped")
        assert pane.buttons["6"].text() != "Stop" and "could not be measured" not in made.messages.text
        pane.buttons["6"].click()
        assert process.number == "6"
    assert process._process is None
