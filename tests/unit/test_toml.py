"""Configurations as TOML: what is written reads back the same, what cannot be read is said in words."""

from __future__ import annotations

import os
import threading
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfx_engine.protocol import toml
from tfx_engine.protocol.config import parse_config
from tfx_engine.protocol.problems import ConfigError


def refused(action, *arguments) -> str:
    """The sentence with which something is refused; exactly one problem."""
    with pytest.raises(ConfigError) as caught:
        action(*arguments)
    (problem,) = caught.value.problems
    return f"{problem.code} {problem.sentence()}"


def test_a_resolved_configuration_survives_toml() -> None:
    adapter = {"use": "lora", "targets": ["key"]}
    config, _ = parse_config({"name": 'a "b" \\ ü\n\t\x7f', "techniques": {"adapter": adapter}})
    text = toml.dumps(config.as_dict())
    assert parse_config(toml.loads(text)) == (config, ())
    assert 'adapter = { use = "lora", rank = 8' in text, "one line a technique"


_LEAVES = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=8)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.text(max_size=5), _VALUES, max_size=4))
def test_whatever_is_written_reads_back_the_same(data: dict) -> None:
    assert tomllib.loads(toml.dumps(data)) == data


def test_null_is_left_out_because_toml_has_none() -> None:
    assert tomllib.loads(toml.dumps({"a": None, "t": {"b": None, "c": {"d": None, "e": 1}}})) == {"t": {"c": {"e": 1}}}


def test_a_file_that_is_not_there_a_folder_and_a_binary_file_are_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    assert refused(toml.read_toml, tmp_path / "missing.toml").startswith("no-such-file")
    assert refused(toml.read_toml, tmp_path).startswith(("not-a-file", "unreadable"))
    assert "UTF-8" in refused(toml.read_toml, tmp_path / "binary.toml")


def test_text_that_is_not_toml_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("[model]\nwidth = = 3\n")
    sentence = refused(toml.read_toml, path)
    assert "bad.toml" in sentence and "line 2" in sentence


def test_deeply_nested_text_is_refused_and_not_a_crash() -> None:
    assert refused(toml.loads, "a = " + "[" * 100_000).startswith("not-toml")


def test_a_number_of_thousands_of_digits_is_refused_and_not_a_crash() -> None:
    assert refused(toml.loads, "seed = " + "9" * 5000).startswith("not-toml")
    assert toml.apply_settings({}, ["seed=" + "9" * 5000])["seed"] == "9" * 5000


def test_what_is_nested_deeper_than_any_configuration_is_refused_and_not_a_crash() -> None:
    assert refused(toml.loads, ".".join("a" * 3000) + " = 1").startswith("too-deep a: ")
    assert refused(toml.apply_settings, {}, ["a." * 3000 + "b=1"]).startswith("bad-setting")
    assert toml.apply_settings({}, ["name=" + "[" * 100_000])["name"] == "[" * 100_000, "a bare word"


def test_a_number_too_long_to_be_written_is_refused_and_not_a_crash() -> None:
    assert refused(toml.loads, "[model]\nwidth = 0x" + "f" * 5000).startswith("out-of-range model.width: ")
    assert refused(toml.apply_settings, {}, ["seed=0x" + "f" * 5000]).startswith("out-of-range seed: ")


def test_a_source_without_end_is_refused_and_not_read_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "endless.toml"
    path.write_bytes(b"#" * (2**20 + 1))
    assert refused(toml.read_toml, path).startswith("too-large")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_read_and_one_into_which_nobody_writes_is_not_waited_for(tmp_path: Path, monkeypatch) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("seed = 3\n",))
    writer.start()
    assert toml.read_toml(pipe) == {"seed": 3}
    writer.join()
    monkeypatch.setattr(toml, "_PATIENCE_S", 0.05)
    assert "nothing came out of it" in refused(toml.read_toml, pipe)


def test_a_path_that_cannot_be_one_is_refused_in_words() -> None:
    assert refused(toml.read_toml, "a\0b").startswith("unreadable")
    assert refused(toml.read_toml, "x" * 5000).startswith("unreadable")


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "notepad.toml"
    path.write_bytes(b"\xef\xbb\xbf[model]\r\nwidth = 64\r\n")
    assert toml.read_toml(path) == {"model": {"width": 64}}


@pytest.mark.parametrize(
    ("setting", "wanted"),
    [
        ("model.layers=2", {"model": {"layers": 2}}),
        ("model.layers = 2", {"model": {"layers": 2}}),
        ("name=five techniques", {"name": "five techniques"}),
        ('name="quoted"', {"name": "quoted"}),
        ("data.path=a=b.txt", {"data": {"path": "a=b.txt"}}),
        ("run.probes=false", {"run": {"probes": False}}),
        ("techniques.position=learned", {"techniques": {"position": "learned"}}),
        ("techniques.adapter={ use = \"lora\", rank = 2 }", {"techniques": {"adapter": {"use": "lora", "rank": 2}}}),
        ("techniques.adapter.targets=[\"query\"]", {"techniques": {"adapter": {"targets": ["query"]}}}),
        ("name=", {"name": ""}),
    ],
)
def test_a_setting_puts_one_value_at_its_path(setting: str, wanted: dict) -> None:
    assert toml.apply_settings({}, [setting]) == wanted


def test_settings_change_a_copy_in_their_order() -> None:
    data = {"model": {"width": 1}, "techniques": {"adapter": "lora"}}
    changed = toml.apply_settings(data, ["model.width=2", "model.width=3", "techniques.adapter.rank=4"])
    assert changed == {"model": {"width": 3}, "techniques": {"adapter": {"use": "lora", "rank": 4}}}
    assert data == {"model": {"width": 1}, "techniques": {"adapter": "lora"}}


@pytest.mark.parametrize("setting", ["layers", "=3", " = 3", "name.first=3", "model..width=3", "model.=3"])
def test_a_setting_that_makes_no_sense_is_refused(setting: str) -> None:
    assert refused(toml.apply_settings, {"name": "x"}, [setting]).startswith("bad-setting --set: ")


def test_settings_keep_dates_that_a_file_may_hold() -> None:
    data = tomllib.loads("name = 2020-01-01")
    assert toml.apply_settings(data, ["seed=1"])["seed"] == 1
