"""Runs against a baseline: every figure, and what differs in the configurations."""

from __future__ import annotations

import pytest

from tests.helpers.synthetic_run import write_run
from tfx_workbench.analysis.compare import config_diff, effects
from tfx_workbench.runs.rundata import RunData


@pytest.fixture
def pair(tmp_path):
    lora = {"adapter": {"use": "lora", "rank": 4}}
    runs = [RunData(write_run(tmp_path / "a.tfx", name="a", steps=40)).load(),
            RunData(write_run(tmp_path / "b.tfx", name="b", steps=40, techniques=lora)).load()]
    yield runs
    for run in runs:
        run.close()


def test_every_metric_has_its_four_figures(pair):
    found, _ = effects(*pair)
    assert {"tokens_per_s", "step_ms", "peak_bytes", "activations_bytes", "trainable_params", "loss"} <= found.keys()
    for effect in found.values():
        assert effect.as_dict().keys() == {"percent", "low", "high", "distinguishable"}


def test_a_run_against_itself_differs_in_nothing(pair):
    found, _ = effects(pair[0], pair[0])
    known = [effect for effect in found.values() if effect.distinguishable is not None]
    assert known
    assert not any(effect.distinguishable for effect in known)
    assert all(effect.percent == 0 for effect in known)


def test_what_cannot_be_told_has_its_reason(pair):
    found, missing = effects(*pair)
    assert {name for name, effect in found.items() if effect.distinguishable is None} == missing.keys()
    assert "seed" in missing["loss"]


def test_the_configurations_differ_where_they_were_made_to(pair):
    difference = config_diff(pair[0].info.config, pair[1].info.config)
    assert difference["techniques.adapter.use"] == {"baseline": "none", "run": "lora"}
    assert difference["techniques.adapter.rank"] == {"baseline": None, "run": 4}
    assert all(key.startswith("techniques.adapter.") for key in difference), "a name is no difference"
