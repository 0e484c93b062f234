"""The files of experiments: every one that ships can be run, and what is wrong with another is said in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tfx_engine.instruments import MEASURES
from tfx_engine.model.validate import validate
from tfx_engine.protocol.cards import load_catalogue, resource
from tfx_engine.protocol.config import parse_config
from tfx_engine.protocol.experiment_files import (
    find_experiments,
    load_topics,
    read_experiment,
    shipped_experiments,
)
from tfx_engine.protocol.experiments import INSTRUMENTS
from tfx_engine.protocol.problems import ConfigError, errors_among
from tfx_workbench.analysis.findings import expected, sentence_arguments, what_is_measured
from tfx_workbench.analysis.verdict import Finding
from tfx_workbench.cli import main
from tfx_workbench.commands.experiment_table import BEGINS, ENDS
from tfx_workbench.runs.experiments import Measured, ResultStore

GOOD = """
format = 1
number = "99"
title = "T"
topic = "memory"
claim = "C"
paper = "P"
tests = "W"
advice = "A"
seconds = 5
seeds = [0, 1]
[base]
model = { width = 16, layers = 1, heads = 2, context = 16 }
[variants.a]
[variants.b]
techniques = { placement = "post_norm" }
[[expect]]
metric = "loss.final"
statistic = "difference"
of = "a"
to = "b"
at_least = 0.1
says = "It is {value}."
"""
ALL = shipped_experiments()


def problem_of(tmp_path: Path, text: str) -> str:
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_experiment(file)
    return "\n".join(problem.sentence() for problem in caught.value.problems)


@pytest.mark.parametrize("experiment", ALL, ids=lambda e: e.name)
def test_every_configuration_that_ships_is_legal(experiment):
    for variant in experiment.variants:
        data = experiment.config_of(variant, experiment.seeds[0])
        config, problems = parse_config(data)
        assert [p.sentence() for p in errors_among([*problems, *validate(config)])] == [], variant


def test_experiments_have_a_place_in_the_guide_and_name_techniques_that_are_there():
    topics, catalogue = {topic.name for topic in load_topics()}, load_catalogue()
    assert len({e.number for e in ALL}) == len({e.name for e in ALL}) == len(ALL)
    for each in ALL:
        assert each.topic in topics and each.seconds <= 120, each.name
        assert [t for t in each.techniques if not catalogue.find(*t.split("/"))] == [], each.name
        for e in each.expect:
            assert e.says.format_map(sentence_arguments(e, Finding("holds", 1.0, 0.9, 1.1, 2.0, 3.0)))
            assert expected(e) and what_is_measured(e)
    assert {e.topic for e in ALL} == topics, "a section of the guide without evidence"


def test_whatever_has_an_interval_has_it_of_three_seeds_or_more():
    few = [(each.number, e.says) for each in ALL for e in each.expect
           if not e.exact and max(len(each.seeds_of(name)) for name in each.needed_by(e)) < 3]  # fmt: skip
    assert few == []


def test_the_instruments_that_are_said_are_those_that_there_are():
    assert set(MEASURES) == {name for name, card in INSTRUMENTS.items() if not card.is_asked}


def test_variants_come_after_what_they_start_from(tmp_path):
    text = GOOD.replace("[variants.a]", '[variants.a]\nafter = "b"')
    text = text.replace("[variants.b]", "[variants.b]\nonce = true\nrun = { save_weights = true }")
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    assert read_experiment(file).jobs == [("b", 0), ("a", 0), ("a", 1)]


@pytest.mark.parametrize(("old", "new", "words"), [
    ("[base]", "surprise = 1\n[base]", "surprise"),
    ('number = "99"', "number = 7", "number"),
    ("format = 1", "format = 2", "this program knows 1"),
    ("seconds = 5", "seconds = -1", "seconds"),
    ("seeds = [0, 1]", "seeds = []", "needs a seed"),
    ("seeds = [0, 1]", "seeds = [0]", "no interval"),
    ("width = 16", "width = 15", "does not divide"),
    ('"post_norm"', '"pots_norm"', "post_norm"),
    ("[variants.a]", '[variants.a]\nafter = "c"', "'c' is no variant"),
    ("[variants.a]", '[variants.a]\nafter = "a"', "'a' is no variant"),
    ("[variants.a]", '[variants.a]\nafter = "b"', "leaves no weights"),
    ("[variants.a]", '[variants.a]\ninstrument = "x"', "no instrument 'x'"),
    ("[variants.a]", '[variants.a]\ninstrument = "held_out_at"', "needs weights"),
    ("[variants.a]", "[variants.a]\noptions = { deep = 1 }", "no option 'deep'"),
    ('of = "a"', 'of = "z"', "no variant 'z'"),
    ('of = "a"', "", "lacks the variants"),
    ('statistic = "difference"', 'statistic = "slope"', "lacks the variants"),
    ('statistic = "difference"', 'statistic = "luck"', "luck"),
    ("at_least = 0.1", "", "Nothing is expected"),
    ("{value}", "{value.__class__}", "in braces"),
    ("{value}", "{", "in braces"),
    ("[variants.a]", '[variants."../../x"]', "small letters"),
])  # fmt: skip
def test_what_is_wrong_with_a_file_is_said(tmp_path, old, new, words):
    assert old in GOOD
    assert words in problem_of(tmp_path, GOOD.replace(old, new, 1))


@pytest.mark.parametrize(("old", "new", "words"), [
    ('goal = "lean"', 'goal = "fat"', "no goal 'fat'"),
    ('least = "memory"', 'least = "money"', "no cost 'money'"),
    ('b = ["b"]', 'b = ["c"]', "no variant 'c'"),
    ('b = ["b"]', "", "two candidates"),
    ('metric = "loss.final"', "", "metric must be named"),
])  # fmt: skip
def test_what_is_wrong_with_goals_is_said(tmp_path, old, new, words):
    good = GOOD + """
[[expect]]
statistic = "unbeaten"
goal = "lean"
at_least = 1
says = "{value}"
[candidates]
a = ["a"]
b = ["b"]
[costs.memory]
title = "M"
foretold = "predicted.memory_bytes.peak"
measured = "memory_bytes.peak"
[goals.lean]
title = "L"
least = "memory"
"""
    file = tmp_path / "mine.toml"
    file.write_text(good, encoding="utf-8")
    each = read_experiment(file)
    assert each.metrics_of("a") == ("loss.final", "predicted.memory_bytes.peak", "memory_bytes.peak")
    assert old in good and words in problem_of(tmp_path, good.replace(old, new, 1))


@pytest.mark.parametrize("text", ["", "x", "\0", "[" * 5000, "format = 1\nformat = 2", "variants = 3"])
def test_hostile_files_are_refused_in_words(tmp_path, text):
    assert "Traceback" not in problem_of(tmp_path, text)


def test_names_and_numbers_find_experiments_and_a_misspelt_one_is_helped():
    assert find_experiments(["1a"]) == find_experiments(["positions_tell_order"])
    with pytest.raises(ConfigError, match="positions_tell_order"):
        find_experiments(["position_tell_order"])


def test_a_file_of_one_s_own_is_an_experiment_too(tmp_path, capsys):
    file = tmp_path / "mine.toml"
    file.write_text(GOOD, encoding="utf-8")
    assert [e.name for e in find_experiments([str(file)])] == ["mine"]
    assert [e.number for e in find_experiments([str(file), "1a"])] == ["1a", "99"]
    assert main(["experiment", str(tmp_path / "nowhere.toml"), "--list"]) == 2
    assert "no such file" in capsys.readouterr().err


def test_results_survive_and_damaged_ones_or_of_another_definition_do_not_count(tmp_path):
    store, (each,) = ResultStore(tmp_path), find_experiments(["6"])
    results = store.load(each)
    results.put("attention_16", 0, Measured({"operations": 58.0}))
    store.save(each, results)
    assert store.load(each).numbers() == {"attention_16": {0: {"operations": 58.0}}}
    other = find_experiments(["1a"])[0]
    assert store.load(other).values == {}
    file = tmp_path / "experiments" / "operations_in_a_row.json"
    kept = file.read_text(encoding="utf-8")
    for damage in ("", "{", kept.replace(each.fingerprint, "0" * 16), kept.replace('"0"', '"zero"')):
        file.write_text(damage, encoding="utf-8")
        assert store.load(each).values == {}


def test_what_is_measured_is_in_the_fingerprint_and_words_and_seeds_are_not(tmp_path):
    file = tmp_path / "mine.toml"
    prints = []
    others = (("claim = \"C\"", "claim = \"D\""), ("seeds = [0, 1]", "seeds = [0, 1, 2]"), ("layers = 1", "layers = 2"))
    for text in (GOOD, *(GOOD.replace(*other) for other in others)):
        file.write_text(text, encoding="utf-8")
        prints.append(read_experiment(file).fingerprint)
    assert prints[0] == prints[1] == prints[2] != prints[3]


def test_every_file_of_the_folder_ships():
    names = {file.stem for file in resource("experiments").glob("*.toml")} - {"guide"}
    assert names == {e.name for e in ALL}


def test_lists_tables_and_the_guide_name_every_experiment(tmp_path, capsys):
    store = ["--store", str(tmp_path)]
    for command in (["experiment", "--list"], ["experiment", "--markdown"]):
        assert main([*command, *store]) == 0
        printed = capsys.readouterr().out
        assert [e.number for e in ALL if e.claim not in printed] == []
    assert main(["guide", "--json", *store]) == 0
    topics = json.loads(capsys.readouterr().out)["topics"]
    assert sorted(one["number"] for t in topics for one in t["evidence"]) == sorted(e.number for e in ALL)
    assert not list(tmp_path.iterdir()), "to look leaves nothing behind"


def test_the_table_is_put_between_the_marks_of_a_document_and_nowhere_else(tmp_path, capsys):
    file = tmp_path / "doc.md"
    command = ["experiment", "6", "--into", str(file), "--store", str(tmp_path / "runs")]
    file.write_text("before\n", encoding="utf-8")
    assert main(command) == 2 and "no place for the table" in capsys.readouterr().err
    file.write_text(f"before\n{BEGINS}old\n{ENDS}after\n", encoding="utf-8")
    assert main(command) == 0
    once = file.read_text(encoding="utf-8")
    assert once.startswith("before\n") and once.endswith("after\n") and "old" not in once and "| 6 |" in once
    assert main(command) == 0 and file.read_text(encoding="utf-8") == once


@pytest.mark.parametrize("wrong", [["--list", "--again"], ["--markdown", "--again"], ["--json", "--markdown"],
                                   ["--all", "1a"]])
def test_options_that_mean_nothing_together_are_refused(tmp_path, capsys, wrong):
    assert main(["experiment", *wrong, "--store", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert "means nothing beside" in said.err + said.out and not any(tmp_path.iterdir())


@pytest.mark.parametrize("command", [["guide"], ["experiment", "--list"]])
def test_a_store_that_is_a_file_is_refused(tmp_path, capsys, command):
    (tmp_path / "file").write_text("x")
    assert main([*command, "--store", str(tmp_path / "file")]) == 2
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_the_document_has_a_row_for_every_experiment(repo):
    text = (repo / "docs" / "experiments.md").read_text(encoding="utf-8")
    assert [e.number for e in ALL if f"| {e.number} | {e.claim}" not in text] == []
