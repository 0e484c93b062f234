"""The command line where no engine is needed: what it understands, what it prints, what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from tests.helpers.ablation import plan_of
from tests.helpers.commandline import write_config
from tests.helpers.synthetic_run import make_config, running, write_run
from tfx_engine.protocol.codec import problem_to_data
from tfx_engine.protocol.interleaving import Interleave
from tfx_engine.protocol.messages import Notice
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.runfile import pulse
from tfx_engine.runfile.store import beside
from tfx_workbench.cli import FUNCTIONS, main
from tfx_workbench.commands import ablate, words
from tfx_workbench.commands.configs import read_configs
from tfx_workbench.commands.parser import COMMANDS
from tfx_workbench.commands.run import trouble_in


@pytest.fixture
def run(capsys):
    """Run a command in this process: exit code, stdout, stderr."""

    def call(*arguments):
        code = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


@pytest.fixture
def store(tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    for seed, name in enumerate(["one", "two"]):
        write_run(store / f"{name}.tfx", name=name, steps=20, seed=seed)
    return store


def only_object(out):
    (line,) = out.splitlines()
    return json.loads(line)


# ------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("arguments", "words_in_it"),
    [
        (["show"], "RUN"),
        (["run"], "CONFIG"),
        (["show", "a", "b", "--colour"], "--colour"),
        (["run", "x.toml", "--on-disconnect", "panic"], "panic"),
        (["chekc", "x.toml"], "Did you mean 'check'?"),
        (["chekc", "x.toml", "--set", "seed=1"], "Did you mean 'check'?"),
        (["show", "x" * 5000], "is no run in"),
        (["x" * 5000], "neither a command nor a file"),
        (["import", "x" * 5000], "cannot be read: "),
        (["engine", "x" * 5000], "there is no such file"),
        (["engine", "~no-such-user/python"], "there is no such file"),
        (["trust", "x" * 5000], "is neither a folder nor an installed package"),
        (["nowhere.toml"], "neither a command nor a file"),
        (["--demmo"], "--demmo"),
        (["show", "nothing"], "is no run in"),
        (["compare", "one"], "two runs or more"),
        (["compare", __file__, __file__], "is named twice"),
        (["list", "loss<abc"], "loss<abc: 'abc' is no number"),
        (["list", "memory<abc"], "memory<abc: "),
        (["ablate", "x.toml", "--resume", "a", "--over", "b=1"], "--over: means nothing beside --resume"),
        (["ablate", "--resume", "a", "--seeds", "1"], "--seeds: means nothing beside --resume"),
        (["audit", "a-run", "--set", "seed=1"], "--set: means nothing beside a run"),
        (["report", "a", "--colours", "red", "-o", "a.html"], "--colours"),
        (["experiment", "1a", "--into", "nowhere/table.md"], "nowhere/table.md: cannot be read or written: No such"),
        (["trust", "/nowhere", "--forget"], "/nowhere: is not trusted"),
        (["techniques", "lroa"], "Did you mean 'lora'?"),
        (["check", "nowhere.toml"], "no such file"),
        (["estimate", "nowhere.toml", "--instant"], "no such file"),
        (["estimate", "x.toml", "--device-memory", "24 GiBs"], "no size of a memory"),
        (["estimate", "x.toml", "--device-memory", "0"], "more than nothing"),
    ],
)
def test_a_wrong_request_is_a_sentence_and_exit_code_2(run, tmp_path, monkeypatch, arguments, words_in_it):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert words_in_it in err
    assert "Traceback" not in err
    assert "usage:" not in err


@pytest.mark.parametrize("arguments", [["show"], ["show", "nothing"], ["check", "no.toml"], ["show", "--colour", "x"]])
def test_with_json_a_refusal_is_one_object(run, arguments):
    code, out, err = run(*arguments, "--json")
    refusal = only_object(out)
    assert (code, err) == (2, "")
    assert refusal["ok"] is False
    assert refusal["schema"] == 1
    assert refusal["problems"]
    for problem in refusal["problems"]:
        assert problem.keys() == {"path", "code", "message", "hint", "level"}


def test_every_command_has_help_and_a_function(run):
    assert set(COMMANDS) == FUNCTIONS.keys()
    for command in COMMANDS:
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0


# ------------------------------------------------------------------------------------------ configurations


def test_every_problem_of_every_file_is_found_at_once(tmp_path):
    files = [
        write_config(tmp_path, "a", model={"widht": 3, "layers": "two"}),
        write_config(tmp_path, "b", techniques={"position": "rotery"}),
        write_config(tmp_path, "c"),
    ]
    with pytest.raises(ConfigError) as refused:
        read_configs([*map(str, files), str(tmp_path / "d.toml")])
    text = str(refused.value)
    for expected in ("a.toml: model.widht", "a.toml: model.layers", "b.toml: techniques.position.use", "d.toml"):
        assert expected in text
    assert "c.toml" not in text


def test_a_setting_changes_the_configuration_and_what_is_recorded_of_it(tmp_path):
    (given,) = read_configs([str(write_config(tmp_path))], ["model.layers=2", "techniques.adapter.use=lora"])
    assert given.data["model"]["layers"] == 2
    assert given.data["techniques"]["adapter"] == {"use": "lora"}
    assert "layers = 2" in given.toml


def test_a_wrong_setting_is_said_once(tmp_path):
    files = [str(write_config(tmp_path, name)) for name in "ab"]
    with pytest.raises(ConfigError) as refused:
        read_configs(files, ["layers"])
    assert len(refused.value.problems) == 1


def test_data_beside_the_configuration_is_found_from_anywhere(tmp_path, monkeypatch):
    (tmp_path / "my.txt").write_text("words " * 100)
    config = write_config(tmp_path, data={"task": "text", "path": "my.txt"})
    monkeypatch.chdir("/")
    (given,) = read_configs([str(config)])
    assert given.data["data"]["path"] == str(tmp_path / "my.txt")


def test_a_data_path_that_cannot_be_one_is_left_for_the_engine_to_refuse(tmp_path):
    config = write_config(tmp_path, data={"task": "text", "path": "x" * 5000})
    assert read_configs([str(config)])[0].data["data"]["path"] == "x" * 5000


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_output_that_cannot_be_written_is_a_sentence(repo):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-m", "tfx_workbench", "techniques", "--json"], stdout=full,
                              stderr=subprocess.PIPE, cwd=repo, text=True, check=False)
    assert done.returncode == 1 and done.stderr == "The output cannot be written: No space left on device.\n"


def test_a_store_on_the_command_line_wins(tmp_path):
    config = write_config(tmp_path, run={"store": "elsewhere"})
    assert "store" not in read_configs([str(config)], store="here")[0].data["run"]
    assert read_configs([str(config)])[0].data["run"]["store"] == "elsewhere"


def test_a_configuration_without_a_name_is_called_after_its_file(tmp_path):
    (tmp_path / "big_one.toml").write_text("seed = 1\n")
    assert read_configs([str(tmp_path / "big_one.toml")])[0].data["name"] == "big one"


# ------------------------------------------------------------------------------------------ what is printed


def test_the_catalogue_has_the_keys_that_others_rely_on(run):
    code, out, _ = run("techniques", "--json")
    listing = only_object(out)
    assert code == 0
    keys = {"name", "slot", "title", "summary", "paper", "guide", "options", "requires", "excludes"}
    for technique in listing["techniques"]:
        assert keys <= technique.keys()
        for option in technique["options"]:
            assert {"name", "kind", "default", "low", "high", "choices", "unit", "help"} <= option.keys()
    assert {"sinusoidal", "lora", "every_block"} <= {technique["name"] for technique in listing["techniques"]}


@pytest.mark.parametrize("name", ["lora", "adapter/lora"])
def test_one_technique_has_its_page(run, name):
    code, out, _ = run("techniques", name)
    assert code == 0
    assert "rank" in out
    assert "Choose it when" in out


def test_a_slot_lists_its_techniques(run):
    _, out, _ = run("techniques", "position", "--json")
    assert {technique["slot"] for technique in only_object(out)["techniques"]} == {"position"}


def test_list_names_every_run(run, store):
    code, out, _ = run("list", "--store", store, "--json")
    listing = only_object(out)
    assert code == 0
    assert [row["name"] for row in listing["runs"]] == ["one", "two"]
    _, text, _ = run("list", "--store", store)
    assert "one" in text
    assert "finished" in text


def test_list_and_show_say_who_does_not_respond(run, store, monkeypatch):
    monkeypatch.setattr(pulse, "SILENT_S", 0.3)
    with running(store / "three.tfx", make_config("three", steps=20)) as live:
        live.advance(5)
        live.writer.note(**{pulse.PROMISE: pulse.BEAT_S})
        os.utime(beside(store / "three.tfx", ".lock"), (1, 1))
        said = run("list", "--store", store)[1].splitlines()
        assert ["not responding" in line for line in said] == ["three" in line for line in said]
        rows = only_object(run("list", "--store", store, "--json")[1])["runs"]
        assert {row["name"]: row.get("responds") for row in rows} == {"one": None, "two": None, "three": False}
        assert "running, not responding" in run("show", "three", "--store", store)[1]
        assert only_object(run("show", "three", "--store", store, "--json")[1])["responds"] is False
    assert "not responding" not in run("show", "three", "--store", store)[1], "it is running no longer"


def test_list_finds_and_sorts(run, store):
    def names(*words):
        code, out, _ = run("list", *words, "--store", store, "--json")
        assert code == 0
        return [row["name"] for row in only_object(out)["runs"]]

    assert names("two") == ["two"]
    assert names("speed>1", "loss<99") == ["one", "two"]
    assert names("--sort", "name", "--reverse") == ["two", "one"]
    assert set(names("--sort", "speed")) == {"one", "two"}
    assert names("nothing of the kind") == []
    code, out, _ = run("list", "colour:red", "--store", store, "--json")
    assert code == 2
    assert only_object(out)["problems"][0]["code"] == "bad-search"


def test_a_run_is_annotated(run, store):
    code, out, _ = run("annotate", "one", "--tag", "paper", "--note", "the best", "--store", store, "--json")
    assert code == 0
    assert (only_object(out)["tags"], only_object(out)["note"]) == (["paper"], "the best")
    code, out, _ = run("annotate", "one", "--untag", "paper", "--name", "first", "--store", store, "--json")
    assert (only_object(out)["tags"], only_object(out)["note"]) == ([], "the best")
    assert only_object(out)["name"] == "first"


def test_list_goes_on_past_a_file_that_is_no_run(run, store):
    (store / "bad.tfx").write_bytes(b"nothing of the kind" * 100)
    code, out, err = run("list", "--store", store)
    assert code == 0
    assert "two" in out
    assert "bad.tfx" in err


def test_show_has_the_keys_that_others_rely_on(run, store):
    code, out, _ = run("show", "one", "--store", store, "--json")
    figures = only_object(out)
    assert code == 0
    assert {
        *("schema", "run", "name", "status", "reason", "pid", "steps", "params", "tokens_per_s", "step_ms"),
        *("memory_bytes", "category_peak_bytes", "predicted", "loss", "flops_per_token", "mfu", "overhead_percent"),
        *("audit", "missing"),
    } <= figures.keys()
    assert figures["run"] == str(store / "one.tfx")
    assert {"total", "trainable"} <= figures["params"].keys()
    for name in ("tokens_per_s", "step_ms"):
        assert figures[name]["low"] <= figures[name]["median"] <= figures[name]["high"]
    assert {"peak", "reserved", "device", "rss", *CATEGORIES} <= figures["memory_bytes"].keys()
    assert set(CATEGORIES) == figures["category_peak_bytes"].keys()
    assert {"first", "final"} <= figures["loss"].keys()
    assert {"model", "hardware"} <= figures["flops_per_token"].keys()


def test_show_says_in_words_what_is_not_known(run, store):
    _, out, _ = run("show", "one", "--store", store)
    assert "This run is synthetic: there is no device." in out


def test_show_says_in_words_what_was_predicted_and_how_far_off_that_was_and_what_was_reserved(run, store):
    _, out, _ = run("show", "one", "--store", store)
    lines = dict(line.split("  ", 1) for line in out.splitlines() if "  " in line)
    assert lines["predicted peak"].strip() == "28.3 MiB (+4.0 % off)" and lines["reserved"].strip() == "28.0 MiB"
    assert lines["predicted step"].strip().endswith("% off)") and " ms (" in lines["predicted step"]
    assert words.beside_measured(None, 3.0, words.size) == words.UNKNOWN
    assert words.beside_measured(2048.0, None, words.size) == "2.00 KiB"


def test_mfu_is_shown_with_how_sure_its_denominator_is():
    rates = {"model": 2e9, "peak": 8e9, "vendor_peak": None, "format": "float32", "spread_percent": 1.2}
    assert words.utilisation(0.25, rates) == (
        "25.0 %: 2.00 GFLOP/s of the 8.00 GFLOP/s that products in float32 reach here "
        "(the best of its rounds; their median is 1.2 % lower)")


def test_compare_has_the_keys_that_others_rely_on(run, store):
    code, out, _ = run("compare", "one", "two", "--store", store, "--json")
    comparison = only_object(out)
    assert code == 0
    assert comparison["baseline"] == str(store / "one.tfx")
    (other,) = comparison["runs"]
    assert other["run"] == str(store / "two.tfx")
    assert other["config_diff"] == {"seed": {"baseline": 0, "run": 1}}
    assert {"percent", "low", "high", "distinguishable"} <= other["effects"]["tokens_per_s"].keys()


def test_compare_says_why_there_is_nothing_also_of_the_baseline(run, tmp_path):
    one = write_run(tmp_path / "one.tfx", name="one", steps=12)
    queued = write_run(tmp_path / "queued.tfx", make_config("queued"), status="queued")
    failed = write_run(tmp_path / "failed.tfx", make_config("failed", steps=20), status="failed", steps=4)
    said = {(a, b): run("compare", a, b)[1] for a, b in ((queued, one), (one, queued), (failed, one), (one, failed))}
    assert "baseline that is queued: it has no figures yet" in said[queued, one]
    assert "This run is queued: it has no figures yet" in said[one, queued]
    assert "difference" not in said[queued, one], "no table without a row"
    assert "The baseline is failed" in said[failed, one] and "This run is failed" in said[one, failed]
    assert "a baseline of 0 measured steps: no interval" in said[failed, one]
    assert "has 0 measured steps: no interval" in said[one, failed]


@pytest.mark.parametrize(
    ("content", "words_in_it"),
    [(b"just words " * 50, "not an SQLite database"), (b"", "cut off|not a run file|not an SQLite")],
    ids=["text", "empty"],
)
def test_a_file_that_is_no_run_is_refused(run, tmp_path, content, words_in_it):
    (tmp_path / "bad.tfx").write_bytes(content)
    code, _, err = run("show", tmp_path / "bad.tfx")
    assert code == 2
    assert any(part in err for part in words_in_it.split("|"))


def test_a_truncated_run_is_refused_and_a_newer_one_politely(run, store):
    whole = (store / "one.tfx").read_bytes()
    (store / "one.tfx").write_bytes(whole[: len(whole) // 2])
    code, _, err = run("show", store / "one.tfx")
    assert (code, "is cut off" in err) == (2, True)
    newer = bytearray((store / "two.tfx").read_bytes())
    newer[60:64] = (99).to_bytes(4, "big")  # SQLite's user_version
    (store / "two.tfx").write_bytes(newer)
    code, _, err = run("show", store / "two.tfx")
    assert (code, "newer" in err) == (2, True)


def test_paths_of_runs_hold_in_every_folder(run, store, monkeypatch):
    monkeypatch.chdir(store.parent)
    listed = only_object(run("list", "--store", store.name, "--json")[1])
    assert {one["run"] for one in listed["runs"]} == {str(store / "one.tfx"), str(store / "two.tfx")}


def test_turns_that_cannot_be_are_refused_before_anything_is_predicted(run, tmp_path, monkeypatch):
    monkeypatch.setattr(ablate, "predicted_costs", None)
    code, _, err = run("ablate", write_config(tmp_path), "--over", "adapter=lora", "--interleave", "--rounds", "0",
                       "--store", tmp_path / "runs")
    assert (code, err) == (2, "--rounds: must be between 1 and 1000.\n")


def test_an_order_to_a_run_that_has_ended_is_refused(run, store):
    code, _, err = run("stop", "one", "--store", store)
    assert code == 2
    assert "nothing to stop" in err


@pytest.mark.parametrize(
    ("value", "text"),
    [(12345.678, "12,346"), (12.345, "12.3"), (0.012345, "0.0123"), (0, "0"), (None, "–"), (1e-9, "1.00e-09")],
)
def test_numbers_have_three_digits(value, text):
    assert words.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(512, "512 B"), (1536, "1.50 KiB"), (3 * 2**30, "3.00 GiB"), (None, "–")]
)
def test_sizes_are_binary(value, text):
    assert words.size(value) == text


def test_differences_are_signed():
    assert words.percent(3.25) in ("+3.2 %", "+3.3 %")
    assert words.percent(-12) == "−12.0 %"
    assert words.percent(-0.04) == "+0.0 %"


def test_times_are_in_words():
    assert [words.seconds(s) for s in (4.4, 75, 3700, None)] == ["4 s", "1 min 15 s", "1 h 01 min", "–"]


def test_the_command_line_hears_of_a_full_disk_but_not_of_chatter() -> None:
    full = Notice(kind="log", run="/a/run.tfx", detail={"text": "/a/run.tfx: cannot be written: the disk is full."})
    chatter = Notice(kind="log", run="/a/run.tfx", detail={"text": "libgomp: hello"})
    refused = Notice(kind="problem", detail=problem_to_data(Problem(code="x", path="y", template="is bad.")))
    assert [trouble_in(n) for n in (full, chatter, refused)] == [full.detail["text"], None, "y: is bad."]


@pytest.mark.parametrize(
    ("name", "title"),
    [("five techniques", "five techniques"), ("a\nb\t c", "a b c"), ("\x1b[2Jgone", "[2Jgone"),
     ("x" * 99, "x" * 59 + "…"),
     ("日本語 🦊", "日本語 🦊"), ("left\u202eright", "left right"), ("  ", "–")],
)
def test_a_name_gives_no_orders_to_the_terminal_and_stays_on_its_line(name, title):
    assert words.title(name) == title


def test_a_table_of_runs_has_one_line_for_each_whatever_they_are_called(run, tmp_path):
    write_run(tmp_path / "odd.tfx", name="one\ntwo\x1b[2J" + "x" * 1000, steps=2)
    _, out, _ = run("list", "--store", tmp_path)
    _, row = out.splitlines()
    assert "\x1b" not in row and len(row) < 200


def test_one_of_a_thing_is_said_in_the_singular(capsys):
    assert [words.counted(n, "1 run", "{count} runs") for n in (0, 1, 2, 1234)] == [
        "0 runs", "1 run", "2 runs", "1,234 runs"]
    plan = plan_of("norm=rms_norm", design="one-at-a-time")
    for one in (plan.without({1: ()}), plan):
        ablate._say_plan(Namespace(json=False), ablate._Course(one, [{} for _ in one.cells], {}), len(one.cells))
    said = capsys.readouterr().out
    course = ablate._Course(plan, [{"step_ms": 100.0, "memory_bytes": {"peak": 1}}, {}], {})
    turns = course.in_turns(Interleave(minutes=3.0), 2.0)
    assert turns is not None and turns.seconds <= 180
    ablate._say_plan(Namespace(json=False), course, 2, turns)
    assert f"in turns, to ±{turns.reached_percent:.1f} %" in capsys.readouterr().out
    assert ": 1 run, 1 to do, 1 skipped;" in said and ": 2 runs, 2 to do, 0 skipped;" in said and "1 runs" not in said
