"""Values in sentences look as in a configuration."""

from __future__ import annotations

import datetime

import pytest

from tfx_engine.protocol.config import parse_config
from tfx_engine.protocol.written import in_words, written


@pytest.mark.parametrize(("value", "text"), [
    (True, "true"), ("a\nb", '"a\\nb"'), (("q", 1), '["q", 1]'), ({"a b": 0.5}, '{ "a b" = 0.5 }'),
    (datetime.date(2020, 1, 2), "2020-01-02"),
])
def test_a_value_is_written_as_in_toml(value: object, text: str) -> None:
    assert written(value) == text


def test_a_long_value_is_cut_in_a_sentence() -> None:
    assert len(in_words("x" * 10_000)) == 80


@pytest.mark.parametrize(("data", "sentence"), [
    ({"run": {"batch": True}}, "run.batch: must be a whole number, not true. The default is 8."),
    ({"data": {"path": 3}}, "data.path: must be a text, not 3. Leave it out for the default."),
    ({"techniques": {"adapter": {"rank": 8}}}, "techniques.adapter.rank: is not a key that is known here. "
                                               "There are none here."),
    ({"techniques": {"adapter": {"use": "lora", "targets": []}}},
     'techniques.adapter.targets: must be a list of names, not []. '
     'The default is ["query", "key", "value", "output", "feedforward"].'),
])
def test_a_refusal_speaks_the_language_of_the_file(data: dict[str, object], sentence: str) -> None:
    _, problems = parse_config(data)
    assert [problem.sentence() for problem in problems] == [sentence]
