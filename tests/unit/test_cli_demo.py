"""The presets that ship, and the table of the demonstration."""

from __future__ import annotations

import tomllib

import pytest

from tests.helpers.synthetic_run import write_five, write_run
from tfx_engine.pretrained.index import published_models
from tfx_engine.protocol.cards import resource
from tfx_engine.protocol.config import parse_config
from tfx_workbench.analysis.compare import compare_runs, config_diff
from tfx_workbench.commands import words
from tfx_workbench.commands.configs import read_configs
from tfx_workbench.commands.demo import PRESET, preset_files, print_comparison, save_picture, save_report
from tfx_workbench.runs.rundata import RunData

PRESETS = tomllib.loads(resource("presets", "index.toml").read_text(encoding="utf-8"))["preset"]
ALONE = {"positions": "position", "norm_placement": "placement", "recompute": "recompute", "lora": "adapter",
         "precision": "precision"}


def configs_of(name):
    """The resolved configurations of a preset, without what it leaves to chance: there may be no problem in it."""
    found = []
    for given in read_configs(preset_files(name)):
        config, problems = parse_config(given.data)
        assert problems == ()
        found.append(config.as_dict())
    return found


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset["name"])
def test_a_preset_is_complete_and_right(preset):
    assert preset.keys() == {"name", "title", "summary", "files"}
    assert preset["summary"].endswith(".")
    names = [config["name"] for config in configs_of(preset["name"])]
    assert len(set(names)) == len(names) > 0


def test_every_configuration_that_ships_is_in_a_preset():
    files = {str(path) for path in resource("presets").rglob("*.toml") if path.name != "index.toml"}
    files -= {str(model.file) for model in published_models()}
    assert files == {file for preset in PRESETS for file in preset_files(preset["name"])}


@pytest.mark.parametrize(("name", "slot"), ALONE.items())
def test_a_technique_alone_differs_from_the_baseline_in_its_slot_only(name, slot):
    baseline, other = configs_of(name)
    changed = config_diff(baseline, other)
    assert changed
    assert all(key.startswith(f"techniques.{slot}.") for key in changed)


def test_five_techniques_is_a_baseline_and_each_of_the_five():
    baseline, *others = preset_files(PRESET)
    assert [preset_files(name) for name in ALONE] == [[baseline, other] for other in others]
    summary = next(preset["summary"] for preset in PRESETS if preset["name"] == PRESET)
    assert "random base" in summary


def test_the_original_transformer_is_post_norm_with_sines_and_scaled_embeddings():
    (config,) = configs_of("original_transformer")
    techniques = config["techniques"]
    chosen = [techniques[slot]["use"] for slot in ("placement", "position", "schedule")]
    assert chosen == ["post_norm", "sinusoidal", "cosine"]
    assert techniques["embedding"]["scale"] is True


def test_the_table_says_what_compare_says_and_marks_runs_that_were_disturbed(tmp_path, capsys):
    runs = [RunData(path).load() for path in write_five(tmp_path, steps=40)]
    other = runs[2]
    summary = {**other.summary(), "disturbed_steps": 7, "left_out_steps": 9}
    other.summary = lambda: summary
    print_comparison(runs)
    printed = capsys.readouterr().out
    (line,) = [line for line in printed.splitlines() if line.startswith("LoRA") and "%" in line]
    assert " * " in line and printed.count(" * ") == 1
    assert "* LoRA:" in printed and "7 were disturbed from outside and left out" in printed
    found = [one.effects["tokens_per_s"] for one in compare_runs(runs[0], runs[1:])]
    assert words.percent(found[1].percent) in line
    assert "with 4 comparisons made at once" in printed and found[1].family == 4
    for run in runs:
        run.close()


def test_the_table_has_a_line_for_each_run_with_signed_differences(tmp_path, capsys):
    runs = [RunData(path).load() for path in write_five(tmp_path, steps=40)]
    print_comparison(runs)
    for run in runs:
        run.close()
    heading, baseline, *others = capsys.readouterr().out.splitlines()
    assert "peak memory" in heading
    assert baseline.startswith("baseline")
    assert "+" not in baseline
    lora = next(line for line in others if line.startswith("LoRA"))
    assert "−" in lora
    assert not any(" *" in line for line in (baseline, *others)), "no run was disturbed"


def test_the_table_names_runs_that_did_not_finish(tmp_path, capsys):
    write_run(tmp_path / "a.tfx", name="a", steps=20)
    write_run(tmp_path / "b.tfx", name="b", status="failed", steps=2)
    runs = [RunData(path).load() for path in sorted(tmp_path.glob("*.tfx"))]
    print_comparison(runs)
    for run in runs:
        run.close()
    assert "b: failed. Out of memory" in capsys.readouterr().out


def test_a_picture_that_fails_is_said_and_is_no_failure(tmp_path, capsys):
    save_picture([tmp_path / "no.tfx"], tmp_path / "no" / "picture.png", None)
    printed = capsys.readouterr()
    assert "No picture of the window" in printed.err
    assert "Traceback" not in printed.err


def test_the_demonstration_ends_in_a_report_and_says_where_it_is(tmp_path, capsys):
    runs = [RunData(path).load() for path in write_five(tmp_path, steps=20, layers=1, heads=1)]
    save_report(runs)
    for run in runs:
        run.close()
    (report,) = tmp_path.glob("*.html")
    assert str(report) in capsys.readouterr().out
    assert "bfloat16" in report.read_text(encoding="utf-8")


def test_a_report_that_cannot_be_written_is_said_and_no_failure(tmp_path, capsys):
    runs = [RunData(path).load() for path in write_five(tmp_path, steps=20, layers=1, heads=1)]
    for run in runs:
        run.path = tmp_path / "gone" / run.path.name
    save_report(runs)
    for run in runs:
        run.close()
    assert "cannot be written" in capsys.readouterr().err
