"""The most that fits: predicted, then run for real; the run stays within what was allowed, and one more would not."""

from __future__ import annotations

from pathlib import Path

from tests.helpers.commandline import command, write_config
from tests.helpers.services import info
from tfx_workbench.analysis.frontier_file import read_frontiers

LIMIT = 4 * 2**20


def test_the_largest_batch_is_predicted_and_then_shown_to_fit(tmp_path: Path) -> None:
    config = write_config(tmp_path, data={"task": "copy"}, model={"width": 32, "context": 32})
    done = command("frontier", config, "--device-memory", "4MiB", "--with", "recompute=every_block", "--json",
                   "--store", tmp_path / "runs")
    assert done.code == 0, done.err
    (answer,) = done.objects
    plain, recomputed = answer["frontier"]
    assert answer["device_bytes"] == LIMIT and recomputed["value"] > plain["value"] > 2
    for row in (plain, recomputed):
        assert 0.9 * LIMIT < row["measured_bytes"] <= LIMIT
        assert row["headroom_bytes"] == LIMIT - row["measured_bytes"]
        assert abs(row["predicted_bytes"] / row["measured_bytes"] - 1) < 0.02
        assert len(row["runs"]) == 1 and Path(row["runs"][0]).is_file()
    kept = read_frontiers(tmp_path / "runs")["batch"]
    assert [row.measured_bytes for row in kept.rows] == [plain["measured_bytes"], recomputed["measured_bytes"]]
    comparisons = {info(Path(row["runs"][0])).comparison for row in (plain, recomputed)}
    assert comparisons == {kept.comparison}


def test_what_does_not_fit_or_cannot_be_asked_is_said(tmp_path: Path) -> None:
    config = write_config(tmp_path, data={"task": "copy"})
    done = command("frontier", config, "--device-memory", "1KiB", "--with", "recompute=every_block", "--json")
    assert done.code == 0, done.err
    assert [row["reason"] for row in done.objects[0]["frontier"]] == ["not even the smallest fits"] * 2
    wrong = command("frontier", config, "--with", "recompute")
    assert wrong.code == 2 and "slot=technique" in wrong.err
    unknown = command("frontier", config, "--with", "recompute=evry_block", "--device-memory", "1GiB")
    assert unknown.code == 2 and "every_block" in unknown.err
