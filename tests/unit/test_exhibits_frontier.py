"""The exhibit of what fits: hollow where it was predicted, filled where a run did it."""

from __future__ import annotations

import pytest

from tests.helpers.exhibits import check_exhibit
from tfx_workbench.analysis.frontier import Frontier, Row
from tfx_workbench.exhibits.exhibit import Bars
from tfx_workbench.exhibits.frontier import encode_frontiers
from tfx_workbench.exhibits.kind import exhibit_type
from tfx_workbench.exhibits.readout import read

KIND = exhibit_type("frontier")
GIB = 2**30
ROWS = [
    Row("", 96, 96, 8 * GIB, None, GIB, level="traced"),
    Row("recompute=every_block", 400, 412, 9 * GIB, 8 * GIB, GIB, level="traced", runs=["a.tfx"],
        reason="412 was predicted to fit and did not", error_95_percent=0.03),
    Row("adapter=lora", None, None, 10 * GIB, None, -GIB, reason="not even the smallest fits"),
    Row("offload=activations", reason="has nowhere to go {really}"),
    Row("precision=bfloat16"),
]
FOUND = Frontier("batch", "{mine} <b>", {}, ROWS, "c", 9 * GIB)


def make(**choices: str):
    exhibit = KIND.make([], {"found": encode_frontiers({"batch": FOUND}), **choices})
    check_exhibit_of_mine(exhibit)
    return exhibit


def check_exhibit_of_mine(exhibit) -> None:
    assert exhibit.definitions and bool(exhibit.plots or exhibit.tables) != bool(exhibit.empty)


def test_bars_are_hollow_where_predicted_and_filled_where_a_run_did_it() -> None:
    exhibit = make()
    predicted, confirmed, figures = [layer for layer in exhibit.plots[0].layers if isinstance(layer, Bars)]
    assert predicted.hollow and not confirmed.hollow
    assert list(predicted.ends[::-1]) == [96, 412, 0, 0, 0] and list(confirmed.ends[::-1]) == [0, 400, 0, 0, 0]
    assert [str(text) for text in figures.texts[::-1]] == [
        "96 · 1.0 GiB left", "400 · 1.0 GiB left", "does not fit: needs 10.0 GiB", "not possible", "…"]
    assert str(exhibit.sentence) == "{mine} <b> · 96 within 9.00 GiB · 400 with recompute every block (×4.2)"
    assert [str(note) for note in exhibit.notes][-1] == "offload activations: has nowhere to go {really}"


def test_predicted_and_confirmed_are_read_off_without_a_sum() -> None:
    readout = read(make().plots[0], 10.0, 3.0)
    assert readout is not None
    assert [(str(r.label), r.value) for r in readout.readings] == [
        ("predicted", "412.0 samples"), ("confirmed by a run", "400.0 samples")]


def test_the_figures_stand_in_a_table() -> None:
    rows = [[str(words) for words in row] for row in make(view="figures").tables[0].rows]
    assert rows[1] == ["recompute every block", "400", "4.2", "9.00 GiB", "0.03 %", "8.00 GiB", "1.00 GiB",
                       "412 was predicted to fit and did not"]
    assert rows[2][1:7] == ["–", "–", "10.0 GiB", "–", "–", "−1.00 GiB"]


@pytest.mark.parametrize("found", ["", "{}", "nonsense", '{"batch": 3}', '{"context": {}}'])
def test_without_a_frontier_it_says_what_to_do(found: str) -> None:
    exhibit = KIND.make([], {"found": found})
    check_exhibit(exhibit)
    assert "Press Predict" in str(exhibit.empty)


def test_another_thing_that_grows_has_a_frontier_of_its_own() -> None:
    assert "Press Predict" in str(KIND.make([], {"found": encode_frontiers({"batch": FOUND}), "grow": "layers"}).empty)
