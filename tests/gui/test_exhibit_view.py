"""The card that paints any exhibit: its head, its plots, its legend, what it says under the mouse and on keys."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QPainter

from tests.helpers.windows import wait
from tfx_workbench.exhibits.exhibit import (
    Area,
    Axis,
    Bars,
    Column,
    Curve,
    Definition,
    Exhibit,
    HeatMap,
    LegendEntry,
    Line,
    Marker,
    Plot,
    Span,
    Stack,
    Table,
)
from tfx_workbench.exhibits.kind import Choice
from tfx_workbench.exhibits.palette import DARK, LIGHT
from tfx_workbench.widgets import exhibit_view
from tfx_workbench.widgets.exhibit_view import ExhibitView
from tfx_workbench.widgets.plot_items import pen, segments
from tfx_workbench.widgets.plots import PlotCanvas

X = np.arange(1.0, 101.0)
CHOICE = Choice("view", "what is shown", (("one", "the one"), ("two", "the other")))


def curve(key="a", y=X, **more):
    return Curve(key, f"run {key}", X, np.asarray(y, dtype=float), "run:0", **more)


def exhibit(*layers, y=None, **more):
    plot = Plot("plot", Axis("step", whole=True, low=0, high=100), y or Axis("", "nats"), layers)
    return Exhibit("test", "Test", plots=(plot,), definitions=(Definition("loss", "what it is"),), **more)


@pytest.fixture
def view(qtbot):
    made = ExhibitView("Test", (CHOICE,))
    qtbot.addWidget(made, before_close_func=lambda v: v.close_view())
    made.resize(400, 300)
    made.apply_theme(DARK)
    made.show()
    return made


def frame_of(view):
    return next(iter(view.canvas.frames.values()))


def pixel_of(view, x, y):
    """Where a value is painted, in the canvas' pixels."""
    frame = frame_of(view)
    return view.canvas.mapFromScene(frame.mapToScene(frame.to_pixels(x, y)))


def test_every_kind_of_layer_is_painted(view):
    heat = HeatMap("h", np.array([[1.0, np.nan], [2.0, 3.0]]), 0, 100, ("a", "b"), "norm", log=True)
    stack = Stack("s", X, np.ones((100, 2)), (Area("a", "category:parameters"), Area("b", "category:gradients")))
    bars = Bars("b", ("x", "y"), np.array([0.0, 3]), np.array([5.0, 1]), ("better", "worse"), ("5", "−2"))
    for layer in (
        curve(), curve(style="dashed", points=True), curve(line=False, points=True), curve(low=X - 1, high=X + 1),
        curve(steps=True), heat, stack, bars, Line("l", 50.0, "capacity", low=40.0, high=60.0),
        Line("u", 50.0, "start", upright=True), Marker("m", 50, 50, "peak"), Span("p", 0, 50, "forward"),
    ):
        view.show_exhibit(exhibit(curve("ground", np.full(100, 1.0)), layer))
        image = view.canvas.grab().toImage()
        colours = {image.pixel(x, y) for x in range(30, 370, 2) for y in range(25, 200, 2)}
        assert len(colours) > 2, layer


@pytest.mark.parametrize("y", [
    np.full(100, np.nan), np.full(100, 5.0), np.full(100, 0.0), np.where(X > 50, np.nan, X),
    np.where(X == 7, X, np.nan),
    X * 1e300, X * 1e-300, -X,
])
@pytest.mark.parametrize("log", [False, True])
def test_values_of_any_kind_are_painted_without_a_warning(view, y, log):
    view.show_exhibit(exhibit(curve(y=y), y=Axis("", "nats", log=log)))
    view.grab()


def test_live_curves_are_drawn_with_fast_pens(view):
    """A joined line of width 2 is seventy times slower than one of width 1; antialiasing makes it worse."""
    view.show_exhibit(exhibit(curve()))
    assert not view.canvas.renderHints() & QPainter.RenderHint.Antialiasing
    for style in ("solid", "dashed", "dotted"):
        assert pen("#123456", style).width() == 1 and pen("#123456", style).isCosmetic()
        assert pen("#123456", style) is pen("#123456", style)


def test_a_wide_line_is_drawn_in_pieces():
    pieces = segments(np.array([0.0, 1, 2]), np.array([5.0, 6, 7]))
    assert pieces.ndarray().tolist() == [[0, 5, 1, 6], [1, 6, 2, 7]]
    assert len(segments(np.array([1.0]), np.array([1.0])).ndarray()) == 0


def test_a_curve_is_where_its_values_are(view):
    view.show_exhibit(exhibit(curve(y=np.full(100, 50.0)), y=Axis("", "nats", low=0, high=100)))
    image = view.canvas.grab().toImage()
    place = pixel_of(view, 50, 50)
    column = [image.pixelColor(place.x(), y).name() for y in range(place.y() - 3, place.y() + 4)]
    assert DARK.runs[0].lower() in column


def test_a_log_axis_puts_decades_at_equal_distances(view):
    view.show_exhibit(exhibit(curve(y=10.0 ** (X / 25)), y=Axis("", "", log=True, low=1, high=10_000)))
    at = [pixel_of(view, 50, decade).y() for decade in range(5)]
    assert np.ptp(np.diff(at)) <= 1


def test_items_are_kept_and_those_of_a_run_that_is_gone_are_removed(view):
    view.show_exhibit(exhibit(curve("a"), curve("b")))
    items = frame_of(view).items
    view.show_exhibit(exhibit(curve("b", X * 2)))
    assert frame_of(view).items == {"b": items["b"]}
    assert items["a"].scene() is None and items["b"].scene() is not None
    view.show_exhibit(exhibit(curve("a"), curve("b")))
    assert set(frame_of(view).items) == {"a", "b"}


def test_hovering_says_value_and_unit_of_every_run(view):
    view.show_exhibit(exhibit(curve("a"), curve("b", X * 2)))
    view.canvas.hover_at(QPointF(pixel_of(view, 50, 50)))
    assert view.canvas.hover.lines() == ["step 50", "run a 50.00 nats", "run b 100.0 nats"]
    assert not view.canvas.hover.isHidden()
    assert frame_of(view).overlay.cross_x == 50
    view.canvas.hover_at(QPointF(0, 0))
    assert view.canvas.hover.isHidden() and frame_of(view).overlay.cross_x is None


def test_the_mouse_may_rest_while_values_change(view):
    view.show_exhibit(exhibit(curve()))
    view.canvas.hover_at(QPointF(pixel_of(view, 50, 50)))
    view.show_exhibit(exhibit(curve(y=X * 3)))
    assert view.canvas.hover.lines()[1] == "run a 150.0 nats"


def test_the_box_stays_inside_of_the_window(view):
    view.show_exhibit(exhibit(*(curve(str(i)) for i in range(9))))
    for x in (1, 50, 100):
        view.canvas.hover_at(QPointF(pixel_of(view, x, 50)))
        assert view.rect().contains(view.canvas.hover.geometry())


def test_arrow_keys_walk_from_value_to_value(view, qtbot):
    view.show_exhibit(exhibit(curve()))
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Left):
        qtbot.keyClick(view.canvas, key)
    assert view.canvas.hover.lines()[0] == "step 2"
    qtbot.keyClick(view.canvas, Qt.Key.Key_Escape)
    assert view.canvas.hover.isHidden()
    qtbot.keyClick(view.canvas, Qt.Key.Key_Left)
    assert view.canvas.hover.lines()[0] == "step 100"


def test_no_garbage_is_collected_while_qt_is_brought_in_beside_the_gui_thread(monkeypatch):
    seen = []
    monkeypatch.setattr(exhibit_view.importlib, "import_module", lambda _: seen.append(gc.isenabled()))
    exhibit_view._import_plots()
    assert seen == [False]
    assert gc.isenabled()


def test_what_was_zoomed_stays_zoomed_until_it_is_reset(view, qtbot):
    view.show_exhibit(exhibit(curve()))
    qtbot.keyClick(view.canvas, Qt.Key.Key_Plus)
    zoomed = frame_of(view).view.viewRange()
    assert zoomed[0][1] - zoomed[0][0] < 100
    view.show_exhibit(exhibit(curve(y=X * 5)))
    assert frame_of(view).view.viewRange() == zoomed
    qtbot.keyClick(view.canvas, Qt.Key.Key_Home)
    assert frame_of(view).view.viewRange()[0] == [0, 100]


def test_several_plots_share_the_card_without_overlapping(view):
    plots = tuple(Plot(str(i), Axis("time", "s"), Axis(f"p{i}", "%"), (curve(),)) for i in range(4))
    view.show_exhibit(Exhibit("test", "Test", plots=plots))
    places = [frame.geometry() for frame in view.canvas.frames.values()]
    assert not any(a.intersects(b) for i, a in enumerate(places) for b in places[:i])
    view.resize(900, 200)
    assert len({frame.geometry().top() for frame in view.canvas.frames.values()}) == 1


def test_ticks_do_not_overlap_and_leave_room_for_the_axis_name(view):
    for width in (220, 320, 640, 1200):
        view.resize(width, 260)
        view.show_exhibit(exhibit(curve()))
        level, upright = frame_of(view)._ticks
        xs = [frame_of(view).to_pixels(at, 0).x() for at, _ in level]
        ys = [frame_of(view).to_pixels(0, at).y() for at, _ in upright]
        assert len(level) >= 1 and len(upright) >= 2
        assert min(np.diff(xs), default=99) >= 20 and min(-np.diff(ys), default=99) >= 14


def test_numbers_at_an_axis_of_a_small_plot_do_not_lie_on_one_another(view):
    share = Axis("share", "%", low=0.0, high=100.0)
    plots = tuple(Plot(str(i), Axis("time", "s"), share, (curve(),)) for i in range(4))
    for height in range(150, 200, 5):
        view.resize(280, height)
        view.show_exhibit(Exhibit("test", "Test", plots=plots))
        for frame in view.canvas.frames.values():
            ys = sorted(frame.to_pixels(0, at).y() for at, _ in frame._ticks[1])
            assert len(ys) <= 2 or np.diff(ys).min() >= 9, (height, ys)


def test_an_exhibit_without_data_says_what_to_do(view):
    view.show_exhibit(exhibit(curve()))
    view.show_exhibit(Exhibit("test", "Test", empty="Press <b>Run</b>."))
    assert view.empty_text == "Press <b>Run</b>."
    assert view.canvas.isHidden() and view.legend.isHidden()
    view.show_exhibit(exhibit(curve()))
    assert view.empty_text == "" and view.canvas.isVisible()


def test_a_table_stands_where_there_is_one(view):
    table = Table("t", (Column("name", number=False), Column("value")), (("a <i>", "1"), ("b", "2")))
    view.show_exhibit(Exhibit("test", "Test", tables=(table,)))
    found = view.findChild(type(view._tables()))
    assert found.isVisible() and found.item(0, 0).text() == "a <i>"
    assert found.item(1, 1).textAlignment() & Qt.AlignmentFlag.AlignRight


def test_the_sentence_takes_a_line_of_its_own_where_there_is_no_room_beside_the_title(view):
    view.show_exhibit(exhibit(curve(), sentence="a sentence that is rather long, for a card of this width at least"))
    view.resize(900, 300)
    wait(lambda: view.width() == 900)
    height = view.header.height()
    view.resize(300, 300)
    wait(lambda: view.header.height() > height, "a line of its own")
    view.resize(900, 300)
    wait(lambda: view.header.height() == height, "back beside the title")
    assert view.header.sentence().endswith("at least")


@pytest.mark.parametrize("width", [120, 200, 320])
def test_no_part_of_the_head_is_outside_of_it_or_over_another(view, width):
    view.resize(width, 200)
    view.show_exhibit(exhibit(curve(), sentence="one sentence"))

    def are_apart() -> bool:
        parts = [child.geometry() for child in view.header.children() if child.isWidgetType()]
        return all(view.header.rect().contains(part) for part in parts if part.width() > 1) and not any(
            a.intersects(b) for i, a in enumerate(parts) for b in parts[:i])

    wait(are_apart, "each part in its place")


def test_a_low_card_says_less_and_draws_on(view):
    view.show_exhibit(exhibit(curve(), notes=("a note",), legend=tuple(
        LegendEntry(f"configuration {i}", f"run:{i}") for i in range(8))))
    heights = []
    for height in (400, 220, 140):
        view.resize(400, height)
        heights.append(view.canvas.height() / height)
    assert view._note.isHidden() and view.legend.heightForWidth(400) == 16
    assert min(heights) > 0.4


def test_definitions_are_one_hover_away_and_literal(view):
    view.show_exhibit(exhibit(curve()))
    view.header.set_definitions(["a < b"])
    assert "a &lt; b" in view.header.findChild(type(view._empty), "cardTitle").toolTip()


def test_a_choice_is_named_and_can_be_made_from_its_menu(view, qtbot):
    button = view.header._buttons["view"]
    assert button.text().startswith("the one") and button.accessibleName() == "what is shown: the one"
    with qtbot.waitSignal(view.chosen) as chosen:
        button.menu().actions()[1].trigger()
    assert chosen.args == ["view", "two"]
    assert button.text().startswith("the other")


def test_a_light_card_is_light(view):
    view.show_exhibit(exhibit(curve()))
    view.apply_theme(LIGHT)
    image = view.canvas.grab().toImage()
    assert image.pixelColor(QPoint(image.width() - 2, 2)).name() == LIGHT.card.lower()
    assert LIGHT.runs[0].lower() in {
        image.pixelColor(x, y).name() for x in range(0, image.width()) for y in range(0, image.height(), 3)
    }


def test_opening_and_closing_views_leaves_nothing_behind(qtbot):
    for _ in range(5):
        made = ExhibitView("Test")
        made.show()
        made.show_exhibit(exhibit(curve()))
        made.grab()
        made.close_view()
        made.close()
        made.deleteLater()
        qtbot.wait(1)
    del made
    gc.collect()
    assert not [o for o in gc.get_objects() if isinstance(o, PlotCanvas)]
