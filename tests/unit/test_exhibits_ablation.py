"""The table, the pairs and the Pareto view of an ablation: what failed says so, what was predicted is hollow."""

from __future__ import annotations

import json
import math

import pytest

from tests.helpers.ablation import plan_of, write_ablation
from tests.helpers.exhibits import check_exhibit, views
from tests.helpers.synthetic_run import make_config, write_run
from tfx_workbench.analysis.comparable import OTHER_DEVICE
from tfx_workbench.exhibits.exhibit import HeatMap, Line, Marker
from tfx_workbench.exhibits.kind import exhibit_type
from tfx_workbench.exhibits.pareto import START, Point, pareto_of
from tfx_workbench.exhibits.readout import neighbour, point_at, read

PLAN = plan_of("norm=rms_norm", "position=rotary,learned")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return views(write_ablation(tmp_path_factory.mktemp("whole"), PLAN), focus=1)


@pytest.fixture(scope="module")
def partial(tmp_path_factory):
    states = ["finished", "finished", "failed", "", "queued", ""]
    return views(write_ablation(tmp_path_factory.mktemp("partial"), PLAN, states), focus=1)


def made(name, runs, **choices):
    exhibit = exhibit_type(name).make(runs, choices)
    check_exhibit(exhibit)
    return exhibit


def markers(exhibit):
    return [layer for layer in exhibit.plots[0].layers if isinstance(layer, Marker)]


# ---------------------------------------------------------------------------------------------- table and pairs


def test_the_first_row_is_the_base_in_figures_and_the_others_are_effects(whole):
    (table,) = made("ablation_table", whole[::-1]).tables
    assert len(table.rows) == 6 and str(table.rows[0][0]) == "base"
    assert "%" not in str(table.rows[0][1]) and all("%" in str(row[1]) for row in table.rows[1:])
    assert all("[" in str(row[1]) for row in table.rows[1:]), "with intervals"
    assert all("[" not in str(row[3]) for row in table.rows[1:]), "one seed says nothing of the loss's scatter"
    assert "5 comparisons" in str(made("ablation_table", whole).notes[0])


def test_other_seeds_than_the_first_rows_are_not_compared_and_it_is_said(tmp_path, whole):
    paths = [write_run(tmp_path / f"{name}.tfx", make_config(name, steps=20, seed=seed, techniques=techniques))
             for name, seed, techniques in (("a", 0, {}), ("b", 1, {"norm": {"use": "rms_norm"}}))]
    exhibit = made("ablation_table", views(paths, focus=1))
    assert "%" not in str(exhibit.tables[0].rows[1][1])
    said = "without a seed in common"
    assert said in str(exhibit.notes[0]) and not any(said in str(n) for n in made("ablation_table", whole).notes)


def test_a_run_that_failed_or_waits_has_a_row_that_says_so(partial):
    (table,) = made("ablation_table", partial).tables
    rows = {str(row[0]): row for row in table.rows}
    assert len(rows) == 4
    failed, waiting = rows[partial[2].label], rows[partial[3].label]
    assert "failed" in str(failed[1]) and "emory" in str(failed[1]) and str(failed[2]).startswith("≈")
    assert str(waiting[1]) == "waiting"


def test_the_map_is_symmetric_and_its_pairs_are_of_different_factors(whole):
    exhibit = made("interactions", whole)
    (heat,) = [layer for layer in exhibit.plots[0].layers if isinstance(layer, HeatMap)]
    assert heat.values.shape == (3, 3)
    known = [(i, j) for i in range(3) for j in range(3) if math.isfinite(heat.values[i, j])]
    assert len(known) == 4 and all((j, i) in known and heat.values[i, j] == heat.values[j, i] for i, j in known)
    assert len(exhibit.tables[0].rows) == 2 and str(exhibit.tables[0].rows[0][-1]) == "not distinguishable"


def test_without_a_square_it_says_which_design_has_one(partial):
    exhibit = made("interactions", partial)
    assert "together" in str(exhibit.tables[0].rows[0][0]) and "every combination" in str(exhibit.notes[0])


# ---------------------------------------------------------------------------------------------- Pareto


def test_measured_are_filled_and_predicted_hollow_and_clickable(partial):
    points = markers(made("pareto", partial))
    assert len(points) == 6
    hollow = [p for p in points if p.hollow]
    assert len(hollow) == 3 and [str(p.name) for p in hollow if p.chooses] == [
        str(PLAN.cells[i].config["name"]) for i in (3, 5)]
    assert all(p.chooses == START and json.loads(p.choice) in [dict(c.levels) for c in PLAN.cells]
               for p in hollow if p.chooses)
    assert not any(p.chooses for p in points if not p.hollow)
    assert not any(p.hollow for p in markers(made("pareto", partial, axes="memory loss"))), "no loss is predicted"


def test_nothing_is_hollow_where_all_was_run(whole):
    assert not any(p.hollow for p in markers(made("pareto", whole)))
    assert whole[1].label in str(made("pareto", whole).sentence)


def test_what_was_measured_elsewhere_is_shown_and_neither_on_the_front_nor_beats_anything(whole):
    shown = [*whole]
    best = max(whole[1:], key=lambda view: view.data.summary()["tokens_per_s"]["median"])
    assert best.label in [str(p.name) for p in markers(made("pareto", shown)) if "on the front" in str(p.details)]
    threads = best.data.facts.get("threads")
    best.data.facts["threads"] = 64
    try:
        exhibit = made("pareto", shown)
    finally:
        best.data.facts["threads"] = threads
    (point,) = [p for p in markers(exhibit) if str(p.name) == best.label]
    assert point.colour == "line" and "not compared" in str(point.details)
    assert f"of {len(whole) - 1} on the front" in str(exhibit.sentence)
    (note,) = [str(n) for n in exhibit.notes if best.label in str(n)]
    assert "grey" in note and OTHER_DEVICE in note and whole[0].label in note


FOUR = [Point("small", 1e9, 1000, 3.0, "run:0"), Point("fast", 4e9, 4000, 2.0, "run:1"),
        Point("beaten", 5e9, 3000, 2.5, "run:2"), Point("planned", 2e9, 2500, math.nan, "muted", True, "{}")]


def test_the_front_is_marked_and_leads_over_what_nothing_beats():
    exhibit = pareto_of(FOUR, {})
    best = [str(p.name) for p in markers(exhibit) if ("on the front", "") in [(str(a), b) for a, b in p.details]]
    assert best == ["small", "fast", "planned"] and "3 of 4" in str(exhibit.sentence)
    assert len(exhibit.plots[0].layers[0].x) == 3
    assert "3 of 4" not in str(pareto_of(FOUR, {"axes": "memory loss"}).sentence)


def test_what_fits_is_a_filter():
    exhibit = pareto_of(FOUR, {"memory_limit": "4.5GB", "least_speed": "2,000"})
    check_exhibit(exhibit)
    assert "2 of 4 fit in 4.19 GiB at 2,000 tokens/s or more; the fastest: fast" in str(exhibit.sentence)
    dimmed = [str(p.name) for p in markers(exhibit) if p.colour == "line"]
    assert dimmed == ["small", "beaten"]
    assert len([layer for layer in exhibit.plots[0].layers if isinstance(layer, Line)]) == 2
    assert "nothing fits" in str(pareto_of(FOUR, {"memory_limit": "1MB"}).sentence)


@pytest.mark.parametrize("choices", [{"memory_limit": "12 parsecs {x}"}, {"least_speed": "quick"}])
def test_a_limit_that_cannot_be_read_limits_nothing_and_is_said(choices):
    exhibit = pareto_of(FOUR, choices)
    assert "3 of 4 on the front" in str(exhibit.sentence) and str(exhibit.notes[0])
    check_exhibit(exhibit) if "{" not in next(iter(choices.values())) else None


def test_a_point_is_read_off_with_all_its_figures_and_walked_to():
    plot = pareto_of(FOUR, {}).plots[0]
    point = point_at(plot, 3.7, 3.9)
    assert point is not None and point.name == "fast"
    readout = read(plot, 3.7, 3.9)
    assert str(readout.heading) == "fast" and "GiB" in readout.readings[0].value
    assert ("loss", "2.000") in [(str(r.label), r.value) for r in readout.readings]
    walked, x = [], -math.inf
    while (x := neighbour(plot, x, 1)) is not None:
        walked.append(str(read(plot, x, math.nan).heading))
    assert walked == ["small", "planned", "fast", "beaten"]


def test_nothing_known_says_what_to_do():
    nothing = [Point("a", math.nan, math.nan, math.nan, "run:0")]
    assert "Run" in str(pareto_of(nothing, {}).empty)
    lacking = pareto_of([Point("a", 1e6, 10.0, math.nan, "run:0")], {"axes": "memory loss"})
    assert "loss" in str(lacking.empty)


def test_a_sweep_is_a_curve_over_its_values(tmp_path):
    runs = views(write_ablation(tmp_path, plan_of("width=8..128:log:5", "norm=rms_norm", design="one-at-a-time")))
    exhibit = made("ablation_table", runs, view="curve")
    assert [plot.key for plot in exhibit.plots] == ["speed", "memory", "loss"]
    curve = exhibit.plots[1].layers[0]
    assert len(curve.x) == 5 and list(curve.x[1:] - curve.x[:-1]) == [1.0] * 4, "doublings, the base among them"
    assert [text for _, text in exhibit.plots[0].x.ticks] == ["8", "16", "32", "64", "128"]
    assert "width from 8 to 128" in str(exhibit.sentence)
    assert {str(layer.name) for layer in markers(exhibit)} >= {"base", "width 8"}


def test_without_a_sweep_the_curve_is_the_table_and_says_so(whole):
    exhibit = made("ablation_table", whole, view="curve")
    assert exhibit.tables and "no option was swept" in str(exhibit.notes[0])
