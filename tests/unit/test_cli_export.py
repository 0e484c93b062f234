"""`export --format trace`: a file that Perfetto opens, or why there is none."""

from __future__ import annotations

import gzip
import json

import pytest

from tests.helpers.synthetic_run import write_run
from tests.helpers.worker import queue_run, read
from tfx_engine.worker.run import execute
from tfx_workbench.cli import main

SMALL = {"layers": 2, "heads": 2, "context": 16, "width": 16}


@pytest.fixture(scope="module")
def profiled(tmp_path_factory):
    path = queue_run(tmp_path_factory.mktemp("store"), run={"measure_steps": 2, "profile": True, "snapshot": True})
    assert execute(path).status == "finished"
    return path


@pytest.mark.parametrize("name", ["trace.json", "trace.json.gz"])
def test_the_trace_of_a_profiled_step_is_written(profiled, tmp_path, capsys, name):
    target = tmp_path / name
    assert main(["export", str(profiled), "--format", "trace", "-o", str(target), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["path"], said["bytes"]) == (str(target), target.stat().st_size)
    data = target.read_bytes()
    events = json.loads(gzip.decompress(data) if name.endswith("gz") else data)["traceEvents"]
    names = {event["name"] for event in events if "name" in event}
    assert {"tfx:forward", "tfx:backward", "tfx module blocks.0.attention", "aten::addmm"} <= names


def test_time_memory_and_flops_are_in_the_file(profiled):
    parts, facts = read(profiled, "profile_parts"), read(profiled, "facts")
    assert sum(row.ms for row in parts) == pytest.approx(facts["profile"]["step_ms"])
    declared = {(row.part, row.component): row.declared_flops for row in parts if row.declared_flops}
    assert declared and all(row.flops == declared[row.part, row.component] for row in parts if row.declared_flops)
    assert {operator.name for operator in read(profiled, "operators")} >= {"aten::addmm", "aten::mm"}
    assert not read(profiled, "kernels")
    assert read(profiled, "memory_blocks")


def test_show_says_where_time_goes(profiled, capsys):
    assert main(["show", str(profiled), "--json"]) == 0
    times = json.loads(capsys.readouterr().out)["time_ms"]
    assert sum(times["part"].values()) == pytest.approx(times["step"])
    assert sum(times["component"].values()) == pytest.approx(times["step"])
    assert main(["show", str(profiled)]) == 0
    assert "backward" in capsys.readouterr().out


def test_an_allocator_snapshot_needs_cuda_and_says_so(profiled):
    assert "CUDA" in read(profiled, "missing")["snapshot"]


def test_a_run_without_a_profile_says_why_it_has_no_trace(tmp_path, capsys):
    path = queue_run(tmp_path, run={"measure_steps": 1, "profile": False})
    execute(path)
    assert main(["export", str(path), "--format", "trace", "-o", str(tmp_path / "t.json")]) == 2
    assert "profile = false" in capsys.readouterr().err and not (tmp_path / "t.json").exists()
    cut_off = write_run(tmp_path / "cut.tfx", status="stopped", steps=5, **SMALL)
    assert main(["export", str(cut_off), "--format", "trace", "-o", str(tmp_path / "t.json")]) == 2
    assert "before a step was profiled" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--format", "trace"], ["--format", "wav", "-o", "x"], ["-o", "x"]])
def test_a_wrong_request_is_refused(profiled, wrong, capsys):
    assert main(["export", str(profiled), *wrong]) == 2
    assert capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_named(profiled, tmp_path, capsys):
    target = tmp_path / "no" / "folder" / "trace.json"
    assert main(["export", str(profiled), "--format", "trace", "-o", str(target)]) == 2
    assert str(target) in capsys.readouterr().err
