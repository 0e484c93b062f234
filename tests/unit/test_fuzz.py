"""Every reader, given what nearly is its format: an answer or a refusal in words, never anything else.

A few executions of what `python -m tests.fuzz` does for hours.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.target import Target, execute
from tests.fuzz.targets import TARGETS

EXAMPLES = {"run file, bytes": 10, "run file, values": 20, "files that were kept": 15}
OFTEN = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_reader_answers_or_refuses(target: Target, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFX_HOME", str(folder / "home"))
    seeds = target.seeds(folder)
    read = [execute(target, seed, folder) for seed in seeds]
    assert read.count("read") * 2 > len(read), "what is turned around was right before"

    @settings(max_examples=EXAMPLES.get(target.name, OFTEN), deadline=None, derandomize=True, database=None)
    @given(st.integers(0, 2**64))
    def made(seed: int) -> None:
        execute(target, target.make(seeds, random.Random(seed)), folder)

    @settings(max_examples=5, deadline=None, derandomize=True, database=None)
    @given(st.binary(max_size=200))
    def anything(data: bytes) -> None:
        execute(target, data, folder)

    made()
    anything()
