"""`tfx-workbench audit` with a real engine: of a configuration, and of a run, whose file keeps what is found."""

from __future__ import annotations

from pathlib import Path

from tests.helpers.commandline import command, write_config


def test_a_configuration_is_audited_and_a_run_keeps_what_is_found(tmp_path: Path) -> None:
    config, store = write_config(tmp_path, techniques={"recompute": {"use": "every_block"}}), tmp_path / "store"
    done = command("audit", config, "--json")
    (found,) = done.objects
    assert done.code == 0 and found["run"] is None and found["name"] == "tiny"
    rows = {(row["slot"], row["technique"], row["claim"]): row for row in found["audit"]}
    assert rows["recompute", "every_block", "keeps-less"]["ok"] is True
    assert all(row["ok"] is not False and row["detail"] for row in found["audit"])

    assert command("run", config, "--store", store).code == 0
    (run,) = store.glob("*.tfx")
    (before,) = command("show", run, "--json").objects
    assert before["audit"] == [] and "audit = false" in before["missing"]["audit"]
    for _ in range(2):  # a second time replaces what the first one found
        (found,) = command("audit", "tiny", "--store", store, "--json").objects
        assert found["run"] == str(run)
        (after,) = command("show", run, "--json").objects
        assert after["audit"] == found["audit"] and after["status"] == "finished"
        assert after["audit_stand"] == found["audit_stand"] and found["audit_stand"]["of_layers"] >= 1
    words = command("show", run).out
    assert " layers, " in words and "weights" in words
    assert f"{sum(row['ok'] is True for row in found['audit'])} of {len(found['audit'])} claims hold" in words


def test_what_cannot_be_run_is_refused_and_not_audited(tmp_path: Path) -> None:
    config = write_config(tmp_path, techniques={"recompute": {"use": "every_block", "every": 0}})
    done = command("audit", config, "--json")
    assert done.code == 2 and done.objects[0]["problems"][0]["path"] == "techniques.recompute.every"
