"""Experiments as users have them: measured for real, kept, gone on with, and told by the guide."""

from __future__ import annotations

import json

from tests.helpers.commandline import command


def test_two_experiments_are_measured_kept_and_not_measured_again(tmp_path):
    done = command("experiment", "1a", "6", "--store", tmp_path, "--json")
    assert done.code == 0, done.err
    (printed,) = done.objects
    order, operations = printed["experiments"]
    assert [order["verdict"], operations["verdict"]] == ["holds", "holds"]
    assert order["expectations"][0]["value"] < 1e-4 < 0.1 < order["expectations"][1]["value"]
    values = [e["value"] for e in operations["expectations"]]
    assert values[0] == 1 and values[1] > 12
    assert "operations in a row for 16 tokens" in operations["expectations"][0]["says"]

    kept = tmp_path / "experiments" / "operations_in_a_row.json"
    results = json.loads(kept.read_text(encoding="utf-8"))
    del results["values"]["lstm_256"]
    kept.write_text(json.dumps(results), encoding="utf-8")
    listed = command("experiment", "6", "--list", "--store", tmp_path)
    assert "not yet measured" in listed.out
    again = command("experiment", "6", "--store", tmp_path, "--json").objects[0]["experiments"][0]
    assert again["verdict"] == "holds" and again["measured"] == again["of"] == 6

    at = kept.stat().st_mtime_ns
    table = command("experiment", "1a", "6", "--store", tmp_path)
    assert table.code == 0 and "HOLDS" in table.out and kept.stat().st_mtime_ns == at

    told = command("guide", "--store", tmp_path)
    assert "Here: holds" in told.out and "not yet measured here" in told.out and told.code == 0


def test_what_is_no_experiment_is_refused(tmp_path):
    done = command("experiment", "positions_tel_order", "--store", tmp_path)
    assert done.code == 2 and "positions_tell_order" in done.err
