"""Where a difference went: the parts add up to the whole, the biggest comes first, and words say what was changed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.commandline import command
from tests.helpers.exhibits import check_exhibit, views
from tests.helpers.synthetic_run import make_config, write_five, write_run
from tfx_engine.protocol.cards import load_catalogue
from tfx_workbench.analysis.config_words import differences, expected
from tfx_workbench.analysis.waterfall import MOST_PARTS, QUANTITIES, REST, SMALLER, Whole, between, waterfall
from tfx_workbench.exhibits.exhibit import Bars
from tfx_workbench.exhibits.kind import exhibit_type
from tfx_workbench.exhibits.waterfall import two_of
from tfx_workbench.runs.summary import highest_probe

SIZES = {"layers": 2, "heads": 2, "context": 16, "width": 16}
NAMES = [(name,) for name in "abcdefghijklmnop"]
AMOUNTS = st.dictionaries(st.sampled_from(NAMES), st.floats(0, 1e12), max_size=len(NAMES))


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return write_five(tmp_path_factory.mktemp("five"), steps=30, **SIZES)


@pytest.fixture(scope="module")
def runs(paths):
    return views(paths)


@given(AMOUNTS, AMOUNTS, st.floats(0, 1e12), st.floats(0, 1e12))
def test_changes_add_up_to_the_difference_whatever_is_in_them(before, after, more_before, more_after):
    sides = [Whole(sum(parts.values()) + more, parts) for parts, more in ((before, more_before), (after, more_after))]
    found = between("memory", *sides)
    scale = max(found.before, found.after, 1.0)
    assert math.isclose(sum(p.change for p in found.parts), found.change, rel_tol=1e-9, abs_tol=1e-8 * scale)
    named = [p for p in found.parts if p.key not in (SMALLER, REST)]
    sizes = [abs(p.change) for p in named]
    assert sizes == sorted(sizes, reverse=True) and all(sizes) and len(named) <= MOST_PARTS


def test_integers_add_up_to_the_byte():
    before = {(str(i),): 3**i for i in range(30)}
    after = {(str(i),): 5**i % 10**9 for i in range(30)}
    found = between("memory", Whole(sum(before.values()), before), Whole(sum(after.values()), after))
    assert sum(p.change for p in found.parts) == found.change
    assert found.parts[-1].key == SMALLER and found.parts[-1].count == 29 - (MOST_PARTS - 1)  # the first is 1 in both


def test_what_no_part_explains_is_named():
    found = between("time", Whole(100.0, {("attention",): 60.0}), Whole(150.0, {("attention",): 70.0}))
    assert [(p.key, p.change) for p in found.parts] == [(("attention",), 10.0), (REST, 40.0)]


@pytest.mark.parametrize("quantity", ["memory", "modules", "time"])
def test_between_two_runs_the_parts_add_up(runs, quantity):
    for run in runs[1:]:
        found = waterfall(quantity, runs[0].data, run.data)
        assert sum(p.change for p in found.parts) == pytest.approx(found.change, rel=1e-12, abs=1e-9)
    peaks = [highest_probe(run.data.memory_probes).composition for run in runs[:2]]
    largest = max(peaks[0], key=lambda name: abs(peaks[1][name] - peaks[0][name]))
    assert waterfall("memory", runs[0].data, runs[1].data).parts[0].key == (largest,)


def test_a_run_that_was_not_divided_says_why(tmp_path, runs):
    path = write_run(tmp_path / "short.tfx", make_config(steps=50, **SIZES), status="stopped", steps=20)
    (view,) = views([path])
    found = waterfall("time", runs[0].data, view.data)
    assert found.missing and found.of_other and not found.parts
    shown = exhibit_type("waterfall").make([*runs[:2], view], {"of": "time"})
    check_exhibit(shown)
    assert "profiled" in str(exhibit_type("waterfall").make([view], {"of": "time"}).empty)


@pytest.mark.parametrize("of", list(QUANTITIES))
def test_the_bars_lead_from_the_baseline_to_the_run(runs, of):
    exhibit = exhibit_type("waterfall").make(runs, {"of": of})
    check_exhibit(exhibit)
    bars = next(layer for layer in exhibit.plots[0].layers if isinstance(layer, Bars))
    assert bars.starts[-1] == bars.starts[0] == 0.0  # the lowest row is the run, the highest the baseline
    assert bars.ends[1] == pytest.approx(bars.ends[0]), "the last change ends where the run does"
    assert np.all(bars.starts[1:-1] == pytest.approx(bars.ends[2:]))
    assert runs[-1].label in str(exhibit.sentence) and runs[0].label in str(exhibit.sentence)


def test_a_lone_run_is_taken_apart(runs):
    exhibit = exhibit_type("waterfall").make(runs[:1], {})
    check_exhibit(exhibit)
    assert not exhibit.tables
    bars = exhibit.plots[0].layers[0]
    assert np.all(bars.ends[1:] > bars.starts[1:]) and bars.ends[0] == pytest.approx(max(bars.ends))


def test_the_two_runs_are_the_baseline_and_the_one_in_focus(paths):
    shown = views(paths, focus=2)
    assert [v.label for v in two_of(shown)] == ["baseline", "LoRA"]
    assert [v.label for v in two_of(views(paths, focus=0))] == ["baseline", "bfloat16"], "not with itself"
    assert two_of([]) == (None, None)


def test_differences_are_in_the_words_of_the_catalogue():
    before = make_config("a", **SIZES).as_dict()
    after = make_config("b", techniques={"adapter": {"use": "lora", "rank": 4}}, **{**SIZES, "layers": 3}).as_dict()
    found = differences(before, after, load_catalogue())
    assert [(d.title, str(d.before), str(d.after)) for d in found] == [
        ("Adapter", "Train everything", "LoRA (rank 4)"), ("layers", "2", "3")]
    again = make_config("c", techniques={"adapter": {"use": "lora", "rank": 16}}, **SIZES).as_dict()
    (rank,) = [d for d in differences(after, again, load_catalogue()) if d.path == "techniques.adapter"]
    assert (str(rank.before), str(rank.after)) == ("LoRA (rank 4)", "LoRA (rank 16)")
    found = differences(before, {**before, "run": {**before["run"], "probes": False}}, load_catalogue())
    assert [(str(d.before), str(d.after)) for d in found] == [("true", "false")], "as in a configuration"


def test_what_a_technique_did_is_undone_when_it_goes():
    plain = make_config("a", **SIZES).as_dict()
    recomputed = make_config("b", techniques={"recompute": {"use": "every_block"}}, **SIZES).as_dict()
    forward = expected(differences(plain, recomputed, load_catalogue()))
    back = expected(differences(recomputed, plain, load_catalogue()))
    assert ("activations", "-", False) in [(e.quantity, e.sign, e.is_gone) for e in forward]
    assert ("activations", "-", True) in [(e.quantity, e.sign, e.is_gone) for e in back]
    said = str(exhibit_table(plain, recomputed))
    assert "less activations" in said


def exhibit_table(before, after):
    from tfx_workbench.exhibits.waterfall import _table

    return "\n".join(str(words) for row in _table(differences(before, after, load_catalogue()), (
        "activations", "flops")).rows for words in row)


def test_compare_says_where_it_went(paths):
    done = command("compare", paths[0], paths[1])
    assert done.code == 0, done.err
    assert "Recompute: No recompute → Recompute blocks" in done.out
    assert "where the memory went (−" in done.out and "activations −" in done.out
    (answer,) = command("compare", paths[0], paths[1], "--json").objects
    where = answer["runs"][0]["where"]["memory"]
    assert where["after"] - where["before"] == sum(p["change"] for p in where["parts"])
