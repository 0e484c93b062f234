"""Looking for runs in words."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_engine.protocol.problems import ConfigError
from tfx_workbench.runs.row import RunRow
from tfx_workbench.runs.search import EXAMPLE, Query, found_of

ROW = RunRow(
    path=Path("/runs/20261101-rope-aaaa.tfx"), run_id="1", name="RoPE, long", status="finished", reason="",
    created_at="2026-11-01T10:00:00Z", started_at=None, ended_at=None, comparison="c1", queue_position=0.0, steps=120,
    size_bytes=2**20, note="for the paper", tags=("paper", "Figure 2"), techniques=("rotary", "grouped_query"),
    device="NVIDIA H200",
)
FIGURES = {"speed": 2500.0, "memory": 3 * 2.0**30, "loss": None}


@pytest.mark.parametrize(("query", "is_found"), [
    ("", True), ("rope", True), ("ROPE h200", True), ("rope alibi", False), ("-alibi", True), ("-rope", False),
    ("tag:paper", True), ("tag:rope", False), ('tag:"figure 2"', True), ("-tag:paper", False), ("note:paper", True),
    ("technique:rotary", True), ("status:failed", False), ('"for the"', True), ('"for the', True),
    ("speed>2k", True), ("speed>=2500", True), ("speed<2500", False), ("speed=2500", True),
    ("memory<4GiB", True), ("memory<2GiB", False), ("steps>100 steps<121", True), ("size>=1MiB", True),
    ("loss<9", False), ("-loss<9", True),  # what is not known is not smaller than anything
    ("since:2026-11", True), ("since:2026-12", False), ("until:2026-11-01", True), ("until:2026-10-31", False),
    ("until:2026", True),
])
def test_all_of_a_query_have_to_hold(query, is_found):
    assert Query(query).matches(found_of(ROW, FIGURES)) == is_found


@pytest.mark.parametrize(("query", "word"), [
    ("colour:red", "colour"), ("weight<3", "weight"), ("loss<", "''"), ("loss<red", "'red'"), ("memory<red", "'red'"),
    ("since:yesterday", "'yesterday'"),
])
def test_what_cannot_be_understood_is_named_and_what_could_be_typed(query, word):
    with pytest.raises(ConfigError) as caught:
        Query(query)
    assert word in caught.value.problems[0].message and caught.value.problems[0].hint


def test_the_example_that_people_are_shown_can_be_understood():
    assert Query(EXAMPLE).figures == {"loss", "memory"}


@pytest.mark.parametrize("text", ['"\\', "'\\", "\\", "it's", "'", '"' + "'"])
def test_marks_that_are_not_closed_are_words(text):
    Query(text).matches(found_of(ROW))


@given(st.text(max_size=40))
def test_any_text_is_a_query_or_refused_in_words(text):
    try:
        Query(text).matches(found_of(ROW))
    except ConfigError as error:
        assert error.problems[0].sentence()
