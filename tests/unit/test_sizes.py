"""Sizes of memory as people write them."""

from __future__ import annotations

import pytest

from tfx_engine.protocol.problems import ConfigError
from tfx_engine.protocol.sizes import parse_bytes


@pytest.mark.parametrize(("text", "size"), [
    ("24GiB", 24 * 2**30), ("80 GB", 80 * 10**9), (" 512mib ", 512 * 2**20), ("1.5GiB", 3 * 2**29),
    ("2097152", 2**21), ("1KiB", 1024),
    ("RTX 4090", 24 * 2**30), ("NVIDIA GeForce RTX 4090", 24 * 2**30), ("H100 80GB", 80 * 2**30),
    ("A100 40GB", 40 * 2**30), ("1024 B", 1024),
])
def test_a_size_or_a_device_is_understood(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", [
    "", "GiB", "-3GiB", "0", "0GiB", "24GiBs", "1e3GiB", "nan", "inf", "1,5 GiB", "9" * 30, "9" * 24 + "TiB", "24\0GiB",
    "0.0000000001", "twenty", "²GiB",
])
def test_anything_else_is_refused_in_words(text):
    with pytest.raises(ConfigError) as raised:
        parse_bytes(text, "--device-memory")
    (problem,) = raised.value.problems
    assert problem.path == "--device-memory" and problem.message and problem.hint


def test_a_misspelt_device_is_guessed():
    with pytest.raises(ConfigError, match="Did you mean 'rtx 4090'"):
        parse_bytes("RTX4090")


@pytest.mark.parametrize(("text", "said"), [
    ("24", "Write 24GiB."), ("1000000", "Write 1000000GiB."), ("A100", "'A100 40GB' or 'A100 80GB'"),
    ("NVIDIA V100", "16 GB and with 32 GB"),
])
def test_what_may_mean_several_sizes_is_asked_and_not_guessed(text, said):
    with pytest.raises(ConfigError) as raised:
        parse_bytes(text, "--device-memory")
    assert said in raised.value.problems[0].sentence()
