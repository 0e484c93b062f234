"""Every panel opens in every state, follows what is chosen, and costs nothing while nobody sees it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtWidgets import QLabel

from tests.helpers.exhibits import all_choices, views
from tests.helpers.synthetic_run import make_config, running, write_five, write_run
from tfx_workbench.exhibits.kind import all_exhibits, exhibit_type
from tfx_workbench.exhibits.palette import DARK, LIGHT
from tfx_workbench.panels import all_panels
from tfx_workbench.widgets.table_view import TableView

SIZES = {"layers": 2, "heads": 3, "context": 16, "width": 24}
FACTORIES = all_panels()
OF_RUNS = [factory for factory in FACTORIES if factory.exhibit.needs]  # tests/gui/test_frontier.py has the others


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    return views(write_five(tmp_path_factory.mktemp("five"), steps=30, **SIZES))


@pytest.fixture(params=OF_RUNS, ids=lambda f: f.name)
def panel(request, qtbot):
    made = request.param()
    qtbot.addWidget(made, before_close_func=lambda p: p.close_panel())
    made.resize(420, 320)
    return made


@pytest.fixture
def attention(qtbot):
    made = next(f for f in FACTORIES if f.name == "attention")()
    qtbot.addWidget(made, before_close_func=lambda p: p.close_panel())
    made.resize(420, 320)
    made.show()
    return made


def test_there_is_a_panel_for_every_exhibit():
    assert [f.name for f in FACTORIES] == [kind.name for kind in all_exhibits()]
    assert all(f.title for f in FACTORIES)


def test_without_runs_a_panel_says_what_to_do(panel):
    panel.show()
    panel.update_runs([])
    assert "Run" in panel.view.empty_text
    assert panel.view.canvas is None


@pytest.mark.parametrize("palette", [DARK, LIGHT], ids=lambda p: p.name)
def test_every_choice_of_every_panel_paints(panel, palette, five, qtbot):
    panel.apply_theme(palette)
    panel.show()
    for choices in all_choices(exhibit_type(panel.name)):
        panel.update_runs(five, choices)
        image = panel.grab().toImage()
        assert panel.view.empty_text == ""
        assert panel.choices().items() >= choices.items()
        colours = {image.pixel(x, y) for x in range(0, 420, 7) for y in range(60, 300, 7)}
        assert len(colours) > 4, "a card with nothing on it"


def test_a_panel_can_be_very_small_and_very_large(panel, five):
    panel.show()
    panel.update_runs(five)
    for size in ((200, 140), (1600, 1100), (240, 900), (1200, 160)):
        panel.resize(*size)
        panel.grab()
        body = panel.view.canvas or panel.view.findChild(TableView) or panel.body
        assert panel.view.rect().contains(body.geometry())


def test_a_hidden_panel_makes_no_exhibit_until_it_is_shown(panel, five, monkeypatch):
    made = []
    monkeypatch.setattr(type(panel), "show_exhibit", lambda self, exhibit: made.append(exhibit.name))
    panel.update_runs(five)
    assert made == []
    panel.show()
    assert made == [panel.name]


def test_switching_between_light_and_dark_keeps_what_is_shown(panel, five):
    panel.apply_theme(DARK)
    panel.show()
    panel.update_runs(five)
    panel.grab()
    panel.apply_theme(LIGHT)
    image = panel.grab().toImage()
    canvas = panel.view.canvas
    if canvas is not None:
        corner = canvas.mapTo(panel, canvas.rect().bottomRight())
        assert image.pixelColor(corner).name() == LIGHT.card.lower()
    assert panel.view.empty_text == ""


def test_a_live_run_grows_in_the_same_curves(panel, tmp_path):
    panel.show()
    with running(tmp_path / "live.tfx", steps=400, **SIZES) as run:
        run.advance(30)
        run.writer.flush()
        view = views([run.writer.path])
        panel.update_runs(view)
        canvas = panel.view.canvas
        before = [frame.items for frame in canvas.frames.values()] if canvas else []
        for _ in range(3):
            run.advance(50)
            run.writer.flush()
            view[0].data.load()
            panel.update_runs(view)
            panel.grab()
        assert panel.view.canvas is canvas
        if canvas:
            after = [frame.items for frame in canvas.frames.values()]
            assert all(old.items() <= new.items() for old, new in zip(before, after, strict=True))
        view[0].data.close()


def test_what_a_user_typed_is_shown_to_the_letter(panel, tmp_path):
    paths = [write_run(tmp_path / f"{i}.tfx", make_config(f"<b>{i}</b> & {{x}}", steps=12, **SIZES)) for i in range(2)]
    panel.show()
    panel.update_runs(views(paths))
    assert "<b>1</b> & {x}" in panel.view.header.sentence()
    assert all(label.textFormat() == Qt.TextFormat.PlainText for label in panel.findChildren(QLabel))


def test_a_panel_says_in_words_what_it_shows(panel, five):
    panel.show()
    panel.update_runs(five)
    assert panel.accessibleName() == panel.title
    assert panel.view.header.sentence() in panel.view.accessibleDescription()


def test_the_same_view_can_be_chosen_by_menu_and_is_remembered(qtbot, five):
    panel = next(f for f in FACTORIES if f.name == "gradients")()
    qtbot.addWidget(panel, before_close_func=lambda p: p.close_panel())
    panel.show()
    panel.update_runs(five)
    with qtbot.waitSignal(panel.choices_changed):
        panel.choose("view", "profile")
    assert panel.choices() == {"view": "profile"}
    assert list(panel.view.canvas.frames) == ["profile"]
    panel.update_runs(five, {"view": "nonsense"})
    assert panel.choices() == {"view": "layers"}


def test_a_panel_that_was_closed_can_be_closed_again(panel, five):
    panel.show()
    panel.update_runs(five)
    panel.close_panel()
    panel.close_panel()


# ---------------------------------------------------------------------------------------------- attention


def test_a_click_on_a_thumbnail_shows_that_head(attention, five, qtbot):
    attention.update_runs(five)
    grid = attention.body.grid
    qtbot.mouseClick(grid, Qt.MouseButton.LeftButton, pos=grid.place(1, 2).center())
    assert attention.choices() == {"layer": "1", "head": "2"}
    assert "layer 2 · head 3" in attention.view.header.sentence()


def test_arrow_keys_walk_over_the_heads_and_stop_at_the_edge(attention, five, qtbot):
    attention.update_runs(five)
    grid = attention.body.grid
    for key in (Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Down):
        qtbot.keyClick(grid, key)
    assert attention.choices() == {"layer": "1", "head": "2"}


@pytest.mark.parametrize(("size", "stacked"), [((700, 420), False), ((500, 420), False), ((262, 620), True),
                                              ((340, 900), True), ((600, 1000), True)])
def test_heads_map_and_scrubber_lie_close_together_and_use_the_room(attention, five, size, stacked):
    attention.update_runs(five)
    body = attention.body
    body.setParent(None)
    body.resize(*size)
    body.show()
    grid, large = body.grid, body.map.geometry()
    last = grid.place(1, 2).translated(grid.pos())  # two layers, three heads
    assert (large.top() > last.bottom()) == stacked and (large.left() > last.right()) != stacked
    assert min(large.width(), large.height()) >= 0.6 * min(size)
    between = large.top() - last.bottom() if stacked else large.left() - last.right()
    assert 0 < between < 24
    if stacked:
        assert 0 < body.scrubber.y() - large.bottom() < 12
    body.deleteLater()


def test_the_scrubber_goes_through_the_captures_and_follows_at_its_end(attention, five):
    attention.update_runs(five)
    steps = [c.step for c in five[-1].data.attention_captures]
    scrubber = attention.body.scrubber
    assert (scrubber.minimum(), scrubber.maximum(), scrubber.value()) == (0, len(steps) - 1, len(steps) - 1)
    scrubber.setValue(0)
    assert f"step {steps[0]}" in attention.view.header.sentence()
    scrubber.setValue(len(steps) - 1)
    assert attention.choices()["capture"] == ""


def test_a_place_of_the_scrubber_is_the_capture_that_was_shown_there(attention, five, monkeypatch):
    attention.update_runs(five)
    held = five[-1].data.attention_captures
    monkeypatch.setattr(five[-1].data, "attention_captures", held[1:])  # read meanwhile: of many some do not stay
    attention.body.scrubber.setValue(0)
    assert attention.choices()["capture"] == str(held[0].capture)


def test_hovering_says_query_key_and_weight(attention, five):
    attention.update_runs(five)
    attention.grab()
    box = attention.body.map.map_rect()
    attention.body.map.hover_at(QPointF(box.left() + 1, box.bottom() - 1))
    weight, query, key = attention.body.map.hover.lines()
    assert weight.startswith("weight ") and query.startswith("query 15  “") and key.startswith("key 0  “")
    attention.body.map.hover_at(QPointF(0, 0))
    assert attention.body.map.hover.isHidden()


def test_a_pooled_map_of_a_live_run_can_be_asked_for_in_full_resolution(attention, tmp_path, qtbot):
    with running(tmp_path / "run.tfx", make_config(steps=20, **SIZES)) as run:
        run.advance(1)
        maps, _, _ = run.numbers.attention(1)
        run.writer.attention(50, 3, 1.0, [m[:, :4, :4] for m in maps], pool=4)
        run.writer.flush()
        attention.update_runs(views([run.writer.path]), {"layer": "1", "head": "2"})
        assert attention.body.probe.isVisible()
        with qtbot.waitSignal(attention.probe_wanted) as wanted:
            attention.body.probe.click()
        assert wanted.args == [run.writer.path, 1, 2]


# ---------------------------------------------------------------------------------------------- the whole


def test_panels_without_plots_do_not_import_pyqtgraph():
    program = (
        "import sys; from PySide6.QtWidgets import QApplication; app = QApplication([])\n"
        "import tfx_workbench.app.theme\n"
        "from tfx_workbench.panels import all_panels\n"
        "panels = [f() for f in all_panels()]\n"
        "[p.update_runs([]) for p in panels]\n"
        "assert 'pyqtgraph' not in sys.modules and 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_program_that_ends_with_plots_open_ends_well(tmp_path):
    path = write_run(tmp_path / "run.tfx", steps=10, **SIZES)
    program = (
        "import sys; from PySide6.QtWidgets import QApplication; app = QApplication([])\n"
        "from tests.helpers.exhibits import views\n"
        "from pathlib import Path\n"
        "from tfx_workbench.panels import all_panels\n"
        "panels = [f() for f in all_panels()]\n"
        f"runs = views([Path({str(path)!r})])\n"
        "for p in panels: p.show(); p.update_runs(runs); p.grab()\n"
        "if 'close' in sys.argv:\n"
        "    for p in panels: p.close_panel(); p.close()\n"
    )
    for words in ([], ["close"]):
        done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
