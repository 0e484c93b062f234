"""Whatever runs, notes and configurations are called: in the window it is text, everywhere, and nothing else."""

from __future__ import annotations

import html.parser
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtGui import QAction, Qt
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QDialog,
    QGraphicsTextItem,
    QGraphicsView,
    QGroupBox,
    QLabel,
    QTextEdit,
    QWidget,
)

from tests.helpers.hostile import PIECES
from tests.helpers.synthetic_run import make_config, write_run
from tests.helpers.windows import wait, window
from tfx_engine.runfile.edit import annotate, rename
from tfx_workbench.app.errors import ErrorHook
from tfx_workbench.app.window import MainWindow
from tfx_workbench.widgets.message_bar import WARNING

RUNS = 6
_TAGS_OF_OURS = {"qt", "html", "head", "body", "p", "b", "i", "br", "span", "meta", "style", "div", "table", "tr", "td",
                 "h1", "h2", "h3", "pre", "code", "ul", "ol", "li", "hr", "th", "em", "strong", "title"}  # fmt: skip
_MARK = "R&D <img src=x> "  # begins every name, so that it is seen however little room there is


def names() -> list[str]:
    """Every piece, in a few names."""
    return [_MARK + "".join(piece for piece in PIECES[i::RUNS] if len(piece) < 100) for i in range(RUNS)]


class Tags(html.parser.HTMLParser):
    """The tags of a rich text and where it leads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]


def assert_inert(text: str, where: str) -> None:
    """A text that Qt would take for a rich one holds nothing but what we put there."""
    if Qt.mightBeRichText(text):
        found = Tags(text)
        assert found.tags <= _TAGS_OF_OURS and not found.links, f"{where}: {text[:300]}"


def rich_texts(widget: QWidget) -> Iterator[tuple[str, str]]:
    """All texts of a widget, and of all within it, that Qt looks through for markup; and where each is."""
    for each in (widget, *widget.findChildren(QWidget)):
        where = f"{type(each).__name__} {each.objectName()}"
        yield each.toolTip(), where + " tool tip"
        yield each.whatsThis(), where + " what's this"
        if isinstance(each, QLabel) and each.textFormat() != Qt.TextFormat.PlainText:
            yield each.text(), where
        if isinstance(each, QTextEdit):
            yield each.toHtml(), where
        if isinstance(each, QGraphicsView) and each.scene() is not None:
            for item in each.scene().items():
                yield item.toolTip(), where + " item tool tip"
                if isinstance(item, QGraphicsTextItem):
                    yield item.toHtml(), where + " item"


def shortcuts(widget: QWidget) -> Iterator[tuple[str, str]]:
    """All texts in which Qt takes & for a sign that the next letter is a key."""
    for each in (widget, *widget.findChildren(QWidget)):
        if isinstance(each, QAbstractButton):
            yield each.text(), type(each).__name__
        if isinstance(each, QGroupBox):
            yield each.title(), type(each).__name__
        if isinstance(each, QLabel) and each.buddy() is not None:
            yield each.text(), type(each).__name__
    for action in widget.findChildren(QAction):
        yield action.text(), f"action {action.text()[:20]}"


def look_through(*widgets: QWidget) -> int:
    """Look at every text in them; how many show one of the names."""
    seen = 0
    for widget in widgets:
        for text, where in rich_texts(widget):
            assert_inert(text, where)
        for text, where in shortcuts(widget):
            seen += "R&&D" in text
            assert "R&D" not in text, f"{where}: {text[:80]}"
        seen += sum("R&D" in label.text() for label in widget.findChildren(QLabel))
    return seen


@pytest.fixture
def library(tmp_path: Path) -> list[Path]:
    paths = []
    for i, name in enumerate(names()):
        config = make_config("plain", steps=12, layers=1, heads=1, context=8, width=8)
        path = write_run(tmp_path / "runs" / f"{i}.tfx", config, status="finished" if i else "failed", reason=name)
        annotate(path, note=name, tags=[name])
        paths.append(path)
    for path, name in zip(paths, names(), strict=True):
        rename(path, name)
    return paths


def test_names_are_text_in_every_corner_of_the_window(tmp_path: Path, library: list[Path]) -> None:
    keys = [str(path) for path in library]
    with window(tmp_path) as made:
        wait(lambda: len(made.session.runs.rows) == RUNS, "the library")
        made.session.runs.tick_all(keys)
        made.session.runs.set_baseline(keys[1])
        wait(lambda: len(made.session.runs.views()) == RUNS, "the runs")
        for name in names():
            made.messages.say(name, WARNING)
        made.session.draft.load([{"name": name} for name in names()[:3]], names()[0])
        for dock in made.area.docks.values():
            dock.show()
            dock.raise_()
            QApplication.processEvents()
        wait(lambda: look_through(made) > 3, "some of the names")
        assert_tables_are_plain(made)
        for opened in dialogs_of(made, keys):
            QApplication.processEvents()
            look_through(opened)
            opened.close()


def assert_tables_are_plain(made: MainWindow) -> None:
    """What a table says at rest and under the mouse, by the roles of its model."""
    model = made.table.view.model()
    tips = 0
    for row in range(model.rowCount()):
        for column in range(model.columnCount()):
            tip = model.index(row, column).data(Qt.ItemDataRole.ToolTipRole) or ""
            tips += bool(tip)
            assert_inert(tip, f"tip of {row}, {column}")
    assert tips


def dialogs_of(made: MainWindow, keys: list[str]) -> Iterator[QWidget]:
    """What opens about runs, one after the other."""
    for chosen in (keys[:1], keys[:2]):
        menu = made.commands.menu_for(chosen)
        assert menu is not None
        yield menu
    before = set(QApplication.topLevelWidgets())
    made.commands._annotating.ask_tags(keys[:2])
    made.commands._annotating.ask_note(keys[0])
    made.commands.show_fair(keys[:2])
    opened = set(QApplication.topLevelWidgets()) - before
    yield from (widget for widget in opened if isinstance(widget, QDialog))  # lists of their boxes go with them


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_what_the_window_keeps_is_its_owners_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    before = os.umask(0)
    try:
        hook = ErrorHook(home / "window.log")
        with window(home) as made:
            made.session.draft.set_value("model.width", 96)
            wait(lambda: (home / "draft.json").is_file(), "the form")
            made.settings.theme = "dark"
            made.settings.sync()
        del hook
    finally:
        os.umask(before)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (home, *home.rglob("*"))}
    assert {"draft.json", "window.ini"} <= modes.keys()
    wrong = {name: mode for name, mode in modes.items() if mode != (0o600 if "." in name else 0o700)}
    assert not wrong, {name: oct(mode) for name, mode in wrong.items()}
