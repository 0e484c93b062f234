"""The window on small and large screens: nothing in the table is cut, panels keep their shares."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QFont, QFontMetrics
from PySide6.QtWidgets import QTabBar

from tests.helpers.synthetic_run import write_five
from tests.helpers.windows import wait, window
from tfx_workbench.app.dock_tabs import words_of
from tfx_workbench.app.window import MainWindow
from tfx_workbench.widgets.run_words import Column

pytestmark = pytest.mark.usefixtures("qapp")


def test_panels_keep_their_shares_on_a_larger_screen(tmp_path: Path) -> None:
    """Qt restores widths in pixels; what there is more would all go to the first column."""
    for size in ((1280, 720), (1920, 1080)):
        with window(tmp_path, size=size) as made:
            wait(lambda made=made: _are_equal(made), f"equal shares at {size}")


def _are_equal(made: MainWindow) -> bool:
    widths = [made.area.docks[name].width() for name in ("memory", "throughput", "loss")]
    return max(widths) - min(widths) <= 3 and sum(widths) > 0.9 * made.area.width()


def test_in_a_small_window_every_column_of_the_table_is_there_whole(tmp_path: Path) -> None:
    keys = [str(path) for path in write_five(tmp_path / "runs", steps=60)]
    with window(tmp_path, size=(1280, 720)) as made:
        wait(lambda: len(made.session.runs.rows) == 5)
        made.session.runs.show_only(keys)
        made.session.runs.set_baseline(keys[0])
        view, model = made.table.view, made.table.model
        wait(lambda: model.line(1).speed_effect and model.index(0, Column.TRAINABLE).data(), "figures")
        wait(lambda: not any(view.isColumnHidden(column) for column in Column), "every column")
        title = QFont(view.font())
        title.setWeight(QFont.Weight.DemiBold)
        for column in set(Column) - {Column.NAME}:  # a name is as long as somebody likes
            assert not view.isColumnHidden(column)
            texts = [str(model.index(row, column).data()) for row in range(5)]
            needed = [view.fontMetrics().horizontalAdvance(text) + 16 for text in texts]
            heading = model.headerData(column, Qt.Orientation.Horizontal)
            needed.append(QFontMetrics(title).horizontalAdvance(heading) + 12)
            assert max(needed) <= view.columnWidth(column), (column.name, texts)


def test_the_tabs_under_the_panels_scroll_and_no_word_is_cut(tmp_path: Path) -> None:
    with window(tmp_path, size=(1280, 720)) as made:
        wait(lambda: len(_bars(made)) == 3, "the tabs")
        for bar in _bars(made):
            assert bar.usesScrollButtons()
            for index in range(bar.count()):
                bar.setCurrentIndex(index)
                wait(lambda bar=bar, index=index: words_of(bar)[index][2], "the tab in front is there whole")
                metrics = bar.fontMetrics()
                for box, text, is_whole in words_of(bar):
                    assert not text or metrics.horizontalAdvance(text) <= box.width() - 8
                    assert is_whole or text in ("", "…") or "…" in text
                assert bar.tabToolTip(index) == bar.tabText(index)


def _bars(made: MainWindow) -> list[QTabBar]:
    return [bar for bar in made.area.findChildren(QTabBar) if bar.count() > 1 and bar.isVisible()]
