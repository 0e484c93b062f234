"""The strip before a run: what is shown of an estimate, and what where nothing is known."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from tfx_workbench.widgets.before_run import BeforeRun
from tfx_workbench.widgets.fitting_label import FittingLabel

GIB = 2**30
MEMORY = {"peak": 4 * GIB, "parameters": GIB, "gradients": 0, "optimizer": GIB, "activations": 2 * GIB, "adapters": 0,
          "temporary": 0, "other": 0}


def figures(fits: bool | None = True, capacity: int | None = 8 * GIB, **more: object) -> dict[str, object]:
    return {"memory_bytes": MEMORY, "device_bytes": capacity, "fits": fits, "step_ms": None, "error_percent": 0.5,
            "error_95_percent": 15.0, "error_runs": 0, "missing": {}, **more}


@pytest.fixture
def strip(qtbot: QtBot) -> BeforeRun:
    strip = BeforeRun()
    qtbot.addWidget(strip)
    return strip


def test_the_bar_is_to_the_scale_of_the_device(strip: BeforeRun) -> None:
    strip.show_estimate(figures())
    assert strip.bar.segments() == [("parameters", 0, 0.125), ("optimizer", 0.125, 0.25), ("activations", 0.25, 0.5)]
    assert strip.figures()["peak memory"] == "4.00 of 8.00 GiB"


def test_a_peak_beyond_the_device_is_drawn_beyond_it(strip: BeforeRun) -> None:
    strip.show_estimate(figures(False, 2 * GIB))
    assert strip.bar.segments()[-1][2] == 1.0 and strip.bar.whole == 4 * GIB
    assert strip.fit.startswith("does not fit")


def test_a_peak_too_small_to_see_fills_the_bar_and_says_its_share(strip: BeforeRun) -> None:
    strip.show_estimate(figures(True, 400 * GIB))
    assert strip.bar.segments()[-1][2] == 1.0
    assert "1.0 % of 400 GiB" in strip.figures()["peak memory"]


def test_the_error_is_that_of_ones_own_runs_once_there_are_any(strip: BeforeRun) -> None:
    strip.show_estimate(figures())
    assert strip.fit == "fits · half of them within 0.5 %, 95 of 100 within 15 %"
    assert "random configurations on a CPU" in strip._fit.toolTip()
    strip.show()
    strip.show_estimate(figures(error_percent=0.62, error_95_percent=2.0, error_runs=40))
    seen = {}
    for width in range(760, 140, -10):
        strip.resize(width, 160)
        strip.layout().activate()
        text = strip._fit.text()
        assert strip._fit.fontMetrics().horizontalAdvance(text) <= strip._fit.width()
        assert not strip._asks.isVisible() or not strip._asks.geometry().intersects(strip._fit.geometry())
        seen.setdefault(text, width)
    assert list(seen)[:3] == ["fits · half of them within 0.62 %, 95 of 100 within 2 %", "fits · 95 of 100 within 2 %",
                              "fits"], "shorter, and then shorter"
    assert not strip._asks.isVisible() and "on the last 40 configurations" in strip._fit.toolTip()


def test_where_no_device_is_known_nothing_is_said_of_fitting(strip: BeforeRun) -> None:
    strip.show_estimate(figures(None, None))
    assert strip.fit == "half of them within 0.5 %, 95 of 100 within 15 %"
    assert strip.figures()["peak memory"] == "4.00 GiB"


def test_old_figures_stay_until_there_are_newer_ones_and_go_where_there_are_none(strip: BeforeRun) -> None:
    strip.show_estimate(figures())
    strip.fade()
    assert strip.figures() and strip._fit.property("old") is True
    strip.show_estimate({})
    assert not strip.figures() and not strip.fit and strip._fit.property("old") is False


def step_of(strip: BeforeRun) -> FittingLabel:
    return strip._rows["step"][1]


def test_the_time_of_a_step_comes_later_in_its_place(strip: BeforeRun) -> None:
    strip.show_estimate(figures())
    strip.show()
    height = strip.sizeHint().height()
    assert step_of(strip).whole == "…"
    strip.show_time({"step_ms": 212.0, "step_ms_error_percent": None, "missing": {"step_ms_error_percent": "Too few."}})
    assert strip.figures()["step"] == "≈ 212 ms" and "Too few." in step_of(strip).toolTip()
    strip.fade()
    strip.show_estimate(figures())
    assert strip.figures()["step"] == "≈ 212 ms", "no flicker: the older one stays"
    assert step_of(strip).property("old") is True and strip._fit.property("old") is False
    strip.show_time({"step_ms": 300.0, "step_ms_error_percent": 6.2, "step_ms_error_95_percent": 21.0})
    assert "half of them within 6.2 %, 95 of 100 within 21 %" in step_of(strip).toolTip()
    assert strip.figures()["step"] == "≈ 300 ms ±6.2 %" and step_of(strip).property("old") is False
    assert strip.sizeHint().height() == height, "nothing moves when it comes"


def test_a_time_that_nobody_knows_is_a_dash_with_the_reason(strip: BeforeRun) -> None:
    strip.show_time({"step_ms": 212.0})
    assert not strip.figures(), "of a configuration that is gone"
    strip.show_estimate(figures())
    strip.show_time({"step_ms": None, "missing": {"step_ms": "This device was not measured yet."}})
    assert strip.figures()["step"] == "–" and "not measured yet" in step_of(strip).toolTip()


def test_figures_are_said_shorter_where_there_is_little_room_and_never_cut(strip: BeforeRun) -> None:
    strip.show_counts(354_800_000, 860_000, 1.46e9)
    strip.show()
    label = strip._rows["parameters"][1]
    metrics = label.fontMetrics()
    seen = set()
    for width in range(420, 60, -20):
        strip.resize(width, 160)
        strip.layout().activate()
        assert metrics.horizontalAdvance(label.text()) <= label.width()
        seen.add(label.text())
        if label.text() != label.whole:
            assert label.whole in label.toolTip()
    assert {"355 M · 860 k trained", "355 M"} <= seen


def test_the_traced_peak_takes_the_place_of_the_closed_forms_and_says_so(strip: BeforeRun) -> None:
    strip.show_estimate(figures())
    assert strip.figures()["peak memory"] == "4.00 of 8.00 GiB"
    memory = {**MEMORY, "peak": 5 * GIB, "activations": 3 * GIB}
    strip.show_time(figures(level="traced", memory_bytes=memory, step_ms=3.0, error_percent=0.001,
                            error_95_percent=0.03))
    assert strip.figures()["peak memory"] == "5.00 of 8.00 GiB" and strip.bar.peak == 5 * GIB
    assert strip._rows["peak memory"][0].text() == "traced peak"
    assert "0.03 %" in strip.fit and strip.figures()["step"] == "≈ 3.00 ms"
    strip.show_estimate(figures())
    assert strip.figures()["peak memory"] == "4.00 of 8.00 GiB"
    assert strip._rows["peak memory"][0].text() == "peak memory"
    strip.show_time(figures(level="instant", memory_bytes=memory, step_ms=3.0))
    assert strip.bar.peak == 4 * GIB, "where it could not be traced the closed form stays"


def test_experts_have_a_peak_from_where_to_where(strip: BeforeRun) -> None:
    strip.show_estimate(figures())
    strip.show_time(figures(level="traced", peak_interval_bytes={"low": 4 * GIB, "high": 6 * GIB}))
    assert strip.figures()["peak memory"] == "4.00 GiB to 6.00 GiB of 8.00 GiB"
