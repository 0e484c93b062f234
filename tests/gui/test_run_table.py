"""The table of runs: words and numbers, colours that mean something, ticking, sorting, selecting, renaming."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from tests.helpers.windows import wait
from tfx_workbench.analysis.statistics import Effect
from tfx_workbench.exhibits.palette import DARK, LIGHT, Palette
from tfx_workbench.runs.interval import Interval
from tfx_workbench.session.run_line import Line
from tfx_workbench.widgets.delegates import bar_width, effect_colour
from tfx_workbench.widgets.run_model import AUDIT_ROLE, RunModel
from tfx_workbench.widgets.run_table import RunTable
from tfx_workbench.widgets.run_words import Column
from tfx_workbench.widgets.runs_card import RunsCard


def line(key: str = "a", **rest: Any) -> Line:
    basis = Line(key=key, name=key.upper(), colour=0, ticked=True, is_baseline=False, status="finished", reason="",
                 created_at="")
    return dataclasses.replace(basis, **rest)


def words(made: Line, column: Column) -> str:
    model = RunModel()
    model.set_lines([made])
    return str(model.index(0, column).data())


FASTER = Effect(21.4, 20.7, 22.0, True)


@pytest.mark.parametrize(("made", "column", "text"), [
    (line(status="queued"), Column.STATUS, "waiting"),
    (line(status="running"), Column.STATUS, "starting"),
    (line(status="running", progress=0.62, eta_s=48.2), Column.STATUS, "62 % · 48 s left"),
    (line(status="running", progress=0.62, paused=True), Column.STATUS, "62 % · paused"),
    (line(status="running", progress=0.62, eta_s=48.2, responds=False), Column.STATUS, "not responding"),
    (line(status="running", responds=False), Column.STATUS, "not responding"),
    (line(status="interrupted", progress=0.62, responds=False), Column.STATUS, "interrupted"),
    (line(tokens_per_s=Interval(38612.0, 38460.0, 38770.0)), Column.SPEED, "38,612 ± 0.4 %"),
    (line(tokens_per_s=Interval(38612.0, math.nan, math.nan)), Column.SPEED, "38,612"),
    (line(speed_effect=FASTER), Column.SPEED_EFFECT, "+21.4 % [+20.7, +22.0]"),
    (line(speed_effect=Effect(-0.4, -0.9, 0.2, False)), Column.SPEED_EFFECT, "not distinguishable"),
    (line(is_baseline=True), Column.SPEED_EFFECT, "baseline"),
    (line(peak_bytes=int(12.9 * 2**30)), Column.MEMORY, "12.9 GiB"),
    (line(memory_effect=Effect(-39.7, -39.7, -39.7, True)), Column.MEMORY_EFFECT, "−39.7 %"),
    (line(loss=2.0512), Column.LOSS, "2.051"),
    (line(trainable=861_240), Column.TRAINABLE, "861.2 k"),
    (line(), Column.SPEED, ""),
    (line(), Column.LOSS, ""),
])
def test_every_figure_has_its_words_and_nothing_is_made_up(made: Line, column: Column, text: str) -> None:
    assert words(made, column) == text


@pytest.mark.parametrize("text", ["7 % · 9 s left", "62 % · 48 s left", "62 % · paused", "not responding"])
def test_the_progress_bar_gives_way_before_the_words_do(table: RunTable, text: str) -> None:
    metrics = table.view.fontMetrics()
    for width in (metrics.horizontalAdvance(text) + 40, 400):
        bar = bar_width(metrics, text, width)
        assert bar >= 24
        assert metrics.elidedText(text, Qt.TextElideMode.ElideRight, int(width - bar - 8)) == text


def test_better_and_worse_follow_the_meaning_and_what_cannot_be_told_apart_is_muted() -> None:
    slower = Effect(-22.0, -22.6, -21.5, True)
    assert effect_colour(DARK, FASTER, higher_is_better=True) == DARK.better
    assert effect_colour(DARK, slower, higher_is_better=True) == DARK.worse
    assert effect_colour(DARK, slower, higher_is_better=False) == DARK.better
    assert effect_colour(DARK, Effect(3.0, -1.0, 7.0, False), higher_is_better=True) == DARK.muted
    assert effect_colour(DARK, Effect(3.0, math.nan, math.nan, None), higher_is_better=True) == DARK.muted
    assert effect_colour(DARK, None, higher_is_better=True) == DARK.muted


@pytest.fixture
def table(qtbot: QtBot) -> RunTable:
    made = RunTable()
    qtbot.addWidget(made)
    made.resize(1200, 300)
    made.set_palette(DARK)
    made.show()
    return made


def test_an_empty_table_says_what_to_do(table: RunTable) -> None:
    table.set_lines([])
    assert not table.view.isVisible()
    table.set_lines([line()])
    assert table.view.isVisible()


def test_a_click_on_the_square_ticks(table: RunTable, qtbot: QtBot) -> None:
    table.set_lines([line("a"), line("b", ticked=False)])
    heard: list[tuple[str, bool]] = []
    table.ticked.connect(lambda *what: heard.append(what))
    for row in (0, 1):
        rect = table.view.visualRect(table.view.model().index(row, Column.TICK))
        qtbot.mouseClick(table.view.viewport(), Qt.MouseButton.LeftButton, pos=rect.center())
    assert heard == [("a", False), ("b", True)]


def test_space_ticks_everything_that_is_selected(table: RunTable, qtbot: QtBot) -> None:
    table.set_lines([line("a"), line("b", ticked=False), line("c", ticked=False)])
    heard: list[tuple[list[str], bool]] = []
    table.all_ticked.connect(lambda *what: heard.append(what))
    table.select(["b", "c"])
    qtbot.keyClick(table.view, Qt.Key.Key_Space)
    assert heard == [(["b", "c"], True)]


def test_sorting_by_a_figure_and_back_to_the_order_of_the_session(table: RunTable) -> None:
    speeds = {"a": 20.0, "b": 30.0, "c": 10.0}
    table.set_lines([line(k, tokens_per_s=Interval(v, v, v)) for k, v in speeds.items()] + [line("d")])

    def order() -> list[str]:
        return shown_names(table)

    assert order() == ["A", "B", "C", "D"]
    table.view.sortByColumn(Column.SPEED, Qt.SortOrder.DescendingOrder)
    assert order() == ["B", "A", "C", "D"], "what is not known comes last"
    table.view.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
    assert order() == ["A", "B", "C", "D"]


def test_what_is_not_known_stands_last_whichever_way_round(table: RunTable) -> None:
    table.set_lines([line("d"), line("a", loss=2.0), line("b", loss=1.0)])
    for order, expected in ((Qt.SortOrder.AscendingOrder, "BAD"), (Qt.SortOrder.DescendingOrder, "ABD")):
        table.view.sortByColumn(Column.LOSS, order)
        assert "".join(shown_names(table)) == expected


def shown_names(table: RunTable) -> list[str]:
    model = table.view.model()
    return [str(model.index(row, Column.NAME).data()) for row in range(model.rowCount())]


def test_groups_have_heads_that_fold_with_mouse_and_keyboard(table: RunTable, qtbot: QtBot) -> None:
    table.set_lines([line("a"), line("b", tags=("paper",)), line("c"), line("d", tags=("paper",))])
    table.arrange(grouping="tags")
    assert shown_names(table) == ["paper · 2", "B", "D", "no tags · 2", "A", "C"]
    assert table.model.shown == 4
    qtbot.mouseClick(table.view.viewport(), Qt.MouseButton.LeftButton,
                     pos=table.view.visualRect(table.model.index(3, 0)).center())
    assert shown_names(table) == ["paper · 2", "B", "D", "no tags · 2"]
    assert table.model.shown == 4
    table.select(["d"])
    table.set_lines([line("a"), line("b", tags=("paper",)), line("d", tags=("paper",))])
    assert shown_names(table) == ["paper · 2", "B", "D", "no tags · 1"]
    assert table.selected_keys() == ["d"]
    table.view.setCurrentIndex(table.model.index(0, 0))
    qtbot.keyClick(table.view, Qt.Key.Key_Space)
    assert shown_names(table) == ["paper · 2", "no tags · 1"]
    table.arrange(grouping="", folded=frozenset())
    assert shown_names(table) == ["A", "B", "D"]


def test_the_card_finds_runs_as_one_types_and_says_what_it_does_not_understand(qtbot: QtBot) -> None:
    card = RunsCard()
    qtbot.addWidget(card)
    card.resize(1100, 300)
    card.show()
    card.table.set_lines([line("a", loss=1.0), line("b", note="the best", loss=3.0), line("c")])
    card.show_sentence("", 3)
    assert not card.search.isVisible(), "three runs need no search"
    card.start_search()
    for text, names in (("best", ["B"]), ("loss<4", ["A", "B"]), ("nothing of the kind", []), ("", ["A", "B", "C"])):
        card.search.setText(text)
        wait(lambda names=names: shown_names(card.table) == names)
    card.search.setText("loss<2")
    wait(lambda: shown_names(card.table) == ["A"])
    card.search.setText("loss<x")
    wait(lambda: "no number" in card._found.text())
    assert shown_names(card.table) == ["A"], "what was found before stays"
    qtbot.keyClick(card.search, Qt.Key.Key_Escape)
    assert card.search.text() == ""


def test_selection_survives_new_figures_and_new_rows(table: RunTable) -> None:
    table.set_lines([line("a"), line("b")])
    table.select(["b"])
    table.set_lines([line("a"), line("b", loss=1.0)])
    assert table.selected_keys() == ["b"]
    table.set_lines([line("new"), line("a"), line("b", loss=1.0)])
    assert table.selected_keys() == ["b"]


def test_renaming_in_the_row_is_passed_on_unless_it_is_empty(table: RunTable) -> None:
    table.set_lines([line("a")])
    heard: list[tuple[str, str]] = []
    table.renamed.connect(lambda *what: heard.append(what))
    index = table.model.index(0, Column.NAME)
    for name in ("  ", "A", "better name"):
        table.model.setData(index, name, Qt.ItemDataRole.EditRole)
    assert heard == [("a", "better name")]


def test_a_right_click_asks_for_the_menu_of_the_selection(table: RunTable, qtbot: QtBot) -> None:
    table.set_lines([line("a"), line("b")])
    table.select(["a", "b"])
    heard: list[list[str]] = []
    table.menu_asked.connect(lambda keys, _position: heard.append(keys))
    table.view.menu_asked.emit(QPoint(5, 5))
    assert heard == [["a", "b"]]


def test_a_run_s_name_is_shown_as_it_is_never_as_markup(table: RunTable) -> None:
    table.set_lines([line("a", name="<img src=x>", reason="<b>bad</b>")])
    tip = table.model.index(0, Column.NAME).data(Qt.ItemDataRole.ToolTipRole)
    assert "&lt;img" in tip and "<img" not in tip


@pytest.mark.parametrize("width", [500, 620, 760, 940, 1200, 2400])
def test_columns_use_the_width_and_nothing_needed_is_cut(table: RunTable, width: int) -> None:
    table.set_lines([line(speed_effect=FASTER, tokens_per_s=Interval(38612.0, 38460.0, 38770.0), peak_bytes=2**34)])
    table.resize(width, 300)
    shown = [c for c in Column if not table.view.isColumnHidden(c)]
    assert sum(table.view.columnWidth(c) for c in shown) == table.view.viewport().width()
    assert {Column.TICK, Column.NAME, Column.STATUS, Column.SPEED, Column.SPEED_EFFECT, Column.MEMORY} <= set(shown)
    assert (Column.TRAINABLE in shown) == (width > 900)


def test_what_the_audit_found_stands_behind_the_status_and_its_evidence_in_the_tip(table: RunTable) -> None:
    sound, broken = line("a", claims_held=29), line("b", claims_held=27, claims_broken=("lora: <b>nothing</b> moved.",))
    table.set_lines([sound, broken, line("c")])
    model = table.model
    words = [model.index(row, Column.STATUS).data(AUDIT_ROLE) for row in range(3)]
    assert words == ["29 claims hold", "1 broken", ""]
    tips = [model.index(row, Column.STATUS).data(Qt.ItemDataRole.ToolTipRole) for row in range(3)]
    assert "29 claims hold" in tips[0] and "nothing" in tips[1] and "<b>" not in tips[1] and "claims" not in tips[2]


@pytest.mark.parametrize(("palette", "width"), [(DARK, 900), (LIGHT, 900), (DARK, 420)])
def test_a_broken_claim_is_a_red_badge_also_where_there_is_little_room(
    table: RunTable, palette: Palette, width: int
) -> None:
    def red(made: Line) -> int:
        table.set_palette(palette)
        table.set_lines([made])
        table.resize(width, 120)
        table.show()
        image = table.view.grab().toImage()
        wanted = QColor(palette.worse)
        return sum(image.pixelColor(x, y) == wanted for x in range(0, image.width(), 2) for y in range(image.height()))

    assert red(line(claims_held=3)) == 0
    assert red(line(claims_held=3, claims_broken=("a", "b"))) > 20
