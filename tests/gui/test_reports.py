"""Reports and pictures out of the window: asked for, made beside it, cancelled, refused in words."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QContextMenuEvent, QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu

from tests.helpers.synthetic_run import make_config, write_run
from tests.helpers.windows import drawn_views, seen_views, spend, wait, window
from tfx_workbench.widgets.export_menu import COPY_PICTURE, COPY_VALUES, add_export_items

WANTED = {"loss", "memory", "throughput"}
LONG_S = 240.0  # a program that prints, beside whatever else this machine does


@pytest.fixture(scope="module")
def shown(qapp, tmp_path_factory):
    """A window that shows two runs, one of them named like markup."""
    tmp_path = tmp_path_factory.mktemp("home")
    (tmp_path / "runs").mkdir()
    for i, name in enumerate(("baseline", "<b>=1+1</b> 😀/..")):
        write_run(tmp_path / "runs" / f"{i}.tfx", make_config(name, steps=12, layers=1, heads=1, context=16))
    with window(tmp_path) as made:
        runs = made.session.runs
        wait(lambda: len(runs.rows) == 2, "both runs")
        for key in list(runs.rows):
            runs.tick(key, True)
        wait(lambda: len(runs.views()) == 2, "both runs read")
        runs.set_baseline(next(key for key, row in runs.rows.items() if row.name == "baseline"))
        wait(lambda: drawn_views(made).keys() >= WANTED, "the panels are drawn")
        yield made


def items(menu: QMenu) -> list[str]:
    return [action.text() for action in menu.actions() if not action.isSeparator()]


def test_every_exhibit_offers_to_be_saved_and_copied(shown):
    assert drawn_views(shown).keys() >= WANTED
    for view in drawn_views(shown).values():
        menu = QMenu()
        view.add_export_items(menu)
        assert len(items(menu)) == 6


def test_an_exhibit_without_a_picture_offers_nothing(tmp_path):
    with window(tmp_path) as made:
        wait(lambda: (loss := seen_views(made).get("loss")) and loss.empty_text, "the loss says what to do")
        menu = QMenu()
        made.area.docks["loss"].panel.add_export_items(menu)
        assert not items(menu)


def test_the_keyboards_menu_key_opens_the_menu(shown):
    view = seen_views(shown)["loss"]
    event = QContextMenuEvent(QContextMenuEvent.Reason.Keyboard, QPoint(5, 5), view.mapToGlobal(QPoint(5, 5)))
    QApplication.sendEvent(view.canvas, event)
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    assert any("SVG" in text for text in items(menu))
    menu.close()


def test_a_right_click_on_a_plot_opens_the_menu_and_dragging_does_not(shown):
    canvas = seen_views(shown)["loss"].canvas
    viewport, start, end = canvas.viewport(), QPoint(100, 60), QPoint(140, 70)
    pressed = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, start, viewport.mapToGlobal(start))
    QTest.mousePress(viewport, Qt.MouseButton.RightButton, pos=start)
    QApplication.sendEvent(viewport, pressed)  # on X11 with the press
    assert QApplication.activePopupWidget() is None
    QTest.mouseMove(viewport, end)
    QTest.mouseRelease(viewport, Qt.MouseButton.RightButton, pos=end)
    assert QApplication.activePopupWidget() is None
    spend(2 * QApplication.doubleClickInterval() / 1000)  # else the next click would be a double click
    QTest.mouseClick(viewport, Qt.MouseButton.RightButton, pos=start)
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    menu.close()


@pytest.mark.parametrize(("suffix", "begins"), [
    (".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF-"), (".csv", b"\xef\xbb\xbfplot,"),
])
def test_an_exhibit_is_saved_in_every_format(shown, tmp_path, suffix, begins):
    exhibit = seen_views(shown)["loss"].exhibit
    target = tmp_path / f"loss{suffix}"
    saved = []
    shown.reports.saved.connect(saved.append)
    shown.reports.save(exhibit, target)
    wait(lambda: saved, "the file")
    assert target.read_bytes().startswith(begins)
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".half"] == []
    if suffix == ".svg":
        assert "<b>=1+1</b> 😀/.." in "".join(ElementTree.parse(target).getroot().itertext())


def test_a_place_that_cannot_be_written_is_said_in_words(shown, tmp_path):
    shown.reports.save(seen_views(shown)["loss"].exhibit, tmp_path / "nowhere" / "loss.svg")
    wait(lambda: any("cannot be written" in words for _, words in shown.messages.history), "the reason")


def test_values_and_pictures_are_copied(shown):
    exhibit = seen_views(shown)["loss"].exhibit
    clipboard = QGuiApplication.clipboard()
    shown.reports.export(exhibit, COPY_VALUES)
    assert clipboard.text().startswith("plot,series,x,y")
    shown.reports.export(exhibit, COPY_PICTURE)
    wait(lambda: clipboard.mimeData().hasImage(), "the picture")
    assert clipboard.image().width() > 400


def test_a_report_is_made_beside_the_window_and_can_be_opened(shown, tmp_path):
    shown.actions_.report.trigger()
    dialog = shown.reports.dialog
    dialog.title.setText("-- <i>a title</i>")
    only = ["loss", "throughput"]
    for i in range(dialog.list.count()):
        item = dialog.list.item(i)
        if item.data(Qt.ItemDataRole.UserRole) not in only:
            item.setCheckState(Qt.CheckState.Unchecked)
    assert sorted(dialog.chosen()) == only
    target, seen = tmp_path / "report.html", []
    dialog.job.progressed.connect(lambda *said: seen.append(said))
    dialog.make(str(target))
    assert dialog.job.is_going and not dialog.make_button.isEnabled()
    wait(lambda: not dialog.job.is_going, "the report", LONG_S)
    assert str(target) in dialog.state.text(), dialog.state.text()
    assert dialog.open_button.isVisible()
    assert [done for done, _, _ in seen] == list(range(5)) and {of for _, of, _ in seen} == {5}
    text = target.read_text(encoding="utf-8")
    assert "&lt;i&gt;a title&lt;/i&gt;" in text and "<i>a title" not in text
    assert text.index("exhibit-throughput") < text.index("exhibit-loss"), "in the order of the list"


def test_a_report_that_is_cancelled_leaves_nothing_behind(shown, tmp_path):
    shown.reports.open()
    dialog = shown.reports.dialog
    target = tmp_path / "report.pdf"
    dialog.make(str(target))
    dialog.cancel()
    assert "Cancelled" in dialog.state.text() and not dialog.job.is_going
    assert dialog.make_button.isEnabled() and not dialog.open_button.isVisible()
    assert not target.exists()


def test_why_a_report_cannot_be_made_is_said_in_words(shown, tmp_path):
    shown.reports.open()
    dialog = shown.reports.dialog
    dialog.make(str(tmp_path / "nowhere" / "report.html"))
    wait(lambda: not dialog.job.is_going, "the refusal", LONG_S)
    assert "cannot be written" in dialog.state.text() or "no folder" in dialog.state.text(), dialog.state.text()


def test_without_ticked_runs_the_window_says_what_to_do(tmp_path):
    with window(tmp_path) as made:
        made.actions_.report.trigger()
        assert made.reports.dialog is None
        assert any("Tick the runs" in words for _, words in made.messages.history)


def test_a_window_that_closes_ends_the_report(shown, tmp_path):
    shown.reports.open()
    job = shown.reports.dialog.job
    job.start(["nothing.tfx", "-o", str(tmp_path / "x.html")])
    shown.reports.close()
    assert not job.is_going


def test_the_menu_names_what_it_does():
    menu, asked = QMenu(), []
    add_export_items(menu, asked.append)
    for action in menu.actions():
        action.trigger()
    assert asked == ["svg", "png", "pdf", "csv", COPY_PICTURE, COPY_VALUES]
