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

LONG_S = 240.0  # real training beside whatever else this machine does


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


def test_what_to_choose_leads_and_the_figures_are_a_click_away(qtbot: QtBot, tmp_path: Path) -> None:
    (each,) = find_experiments(["2"])
    store = ResultStore(tmp_path / "runs")
    results = store.load(each)
    for seed, accuracy in enumerate((0.9, 0.92, 0.94)):
        results.put("eight_heads", seed, Measured({"accuracy": accuracy, "params.total": 7.0}))
        results.put("one_head", seed, Measured({"accuracy": 0.5, "params.total": 7.0}))
    store.save(each, results)
    with window(tmp_path, begun=False) as made:
        made.guide.open("2")
        row = made.guide.pane.rows["2"]
        said = texts(row)
        assert said.index(each.advice) < said.index(each.claim) and "2: holds here, by 3 seeds" in said
        assert "(difference 42 % [37.0 %, 47.0 %])" in said and "0.9 BLEU" not in said
        row.more.click()
        assert "≥ 25 %" in texts(row) and "0.9 BLEU" in texts(row)
        row.more.click()
        assert "0.9 BLEU" not in texts(row)
        assert "of 21 claims 1 hold" in made.guide.pane.summary.text()


def test_what_is_recommended_for_each_goal_is_shown(qtbot: QtBot, tmp_path: Path) -> None:
    (each,) = find_experiments(["9"])
    store = ResultStore(tmp_path / "runs")
    results = store.load(each)
    for place, (run, foretold, in_turns) in enumerate(each.candidates.values()):
        peak = (100.0 - place) * 2**20
        results.put(run, 0, Measured({"memory_bytes.peak": peak, "predicted.error_percent": 1.0}))
        results.put(foretold, 0, Measured({"foretold.peak_bytes": peak, "foretold.step_ms": 5.0 + place}))
        for seed in each.seeds:
            results.put(in_turns, seed, Measured({"times_as_long": 1.0 + place + seed / 100}))
    store.save(each, results)
    with window(tmp_path, begun=False) as made:
        made.guide.open("9")
        said = texts(made.guide.pane.rows["9"])
        assert "The least memory\nbfloat16\n97 MiB" in said and "The fastest step\nas it is\n1.02 ×" in said
        assert "nine tenths of the memory\nnothing fits" in said


def test_all_are_measured_one_after_the_other_until_somebody_stops_it(qtbot: QtBot, tmp_path: Path) -> None:
    with window(tmp_path) as made:
        process, begun = made.guide.process, []

        def start(number: str) -> None:
            begun.append(number)
            process.number = number
            process.changed.emit()

        def end() -> None:
            process.number = ""
            process.changed.emit()

        process.start, process.stop = start, end
        made.guide.open()
        pane = made.guide.pane
        assert "Run all (about" in pane.all_button.text() and pane.bar.isHidden()
        pane.all_button.click()
        assert begun == ["1a"] and "left)" in pane.all_button.text() and not pane.bar.isHidden()
        end()
        assert begun[1] == "1b"
        pane.all_button.click()
        assert process.number == "" and len(begun) == 2 and "Run all" in pane.all_button.text()


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

        def is_in_sight() -> bool:
            top = pane.buttons["4"].mapTo(pane.area.viewport(), pane.buttons["4"].rect().topLeft()).y()
            return pane.area.verticalScrollBar().value() > 0 and 0 <= top < pane.area.viewport().height()

        wait(is_in_sight, "the guide is scrolled to it")
        assert not pane.isHidden()


def test_the_button_measures_and_the_guide_says_what_came_of_it(qtbot: QtBot, tmp_path: Path) -> None:
    with window(tmp_path) as made:
        made.guide.open()
        pane = made.guide.pane
        pane.buttons["1a"].click()
        assert pane.buttons["1a"].text() == "Stop" and not pane.buttons["6"].isEnabled()
        wait(lambda: not made.guide.process.number, "the experiment ends", LONG_S)
        assert "1a: holds here" in texts(pane) and pane.buttons["1a"].isHidden()


def test_an_experiment_can_be_stopped_and_dies_with_its_window(qtbot: QtBot, tmp_path: Path) -> None:
    with window(tmp_path) as made:
        made.guide.open()
        pane, process = made.guide.pane, made.guide.process
        pane.buttons["6"].click()
        pane.buttons["6"].click()
        wait(lambda: not process.number, "the experiment is stopped", LONG_S)
        assert pane.buttons["6"].text() != "Stop" and "could not be measured" not in made.messages.text
        pane.buttons["6"].click()
        assert process.number == "6"
    assert process._process is None
