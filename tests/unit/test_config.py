"""Configurations: what is left out is filled in, what is wrong is named with path, reason and a way out."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfx_engine.protocol.cards import load_catalogue
from tfx_engine.protocol.codec import problem_from_data, problem_to_data
from tfx_engine.protocol.config import Config, broken_rules, parse_config
from tfx_engine.protocol.problems import ConfigError, Problem, nearest


def only_problem(data: dict[str, Any]) -> Problem:
    """The one problem that a configuration has."""
    _, problems = parse_config(data)
    assert len(problems) == 1, [p.sentence() for p in problems]
    return problems[0]


def test_an_empty_configuration_is_complete_and_right() -> None:
    config, problems = parse_config({})
    assert problems == ()
    assert list(config.techniques) == [s.name for s in load_catalogue().slots]
    for slot in load_catalogue().slots:
        card = load_catalogue().find(slot.name, config.use(slot.name))
        assert card is not None and card.name == slot.default
        assert set(config.techniques[slot.name].options) == {o.name for o in card.options}


def test_the_defaults_of_format_1_are_the_promised_ones() -> None:
    config, _ = parse_config({})
    promised = {
        "position": "sinusoidal", "attention": "multi_head", "norm": "layer_norm", "placement": "pre_norm",
        "feedforward": "gelu", "head": "tied", "precision": "float32", "optimizer": "adamw", "adapter": "none",
        "recompute": "none", "mask": "causal", "schedule": "constant",
    }  # fmt: skip
    assert {slot: config.use(slot) for slot in promised} == promised
    assert (config.vocab, config.head_width, config.seed, config.model.bias) == (256, 32, 0, True)


def test_the_configuration_of_the_design_is_read_as_it_is_meant() -> None:
    config, problems = parse_config(
        {
            "format": 1, "name": "five techniques", "seed": 0,
            "model": {"width": 256, "layers": 6, "heads": 8, "context": 256},
            "techniques": {
                "position": {"use": "sinusoidal"}, "attention": {"use": "multi_head"}, "placement": {"use": "pre_norm"},
                "recompute": {"use": "every_block"}, "adapter": {"use": "lora", "rank": 8},
            },
            "data": {"task": "text"},
            "run": {"batch": 8, "warmup_steps": 3, "measure_steps": 30, "device": "auto"},
        }
    )  # fmt: skip
    assert problems == ()
    lora = config.techniques["adapter"]
    given = {"rank": 8, "alpha": 16.0, "dropout": 0.0, "targets": ("query", "key", "value", "output", "feedforward")}
    assert lora.use == "lora" and {name: lora.options[name] for name in given} == given
    assert config.techniques["recompute"].options == {"every": 1}


def test_a_resolved_configuration_read_again_is_the_same() -> None:
    config, _ = parse_config({"techniques": {"adapter": {"use": "lora", "targets": ["value", "query"]}}, "seed": 7})
    assert config.techniques["adapter"].options["targets"] == ("query", "value")
    again, problems = parse_config(config.as_dict())
    assert problems == () and again == config
    through_json = msgspec.json.decode(msgspec.json.encode(config.as_dict()))
    assert parse_config(through_json) == (config, ())


def test_a_technique_may_be_named_alone() -> None:
    short, _ = parse_config({"techniques": {"position": "learned"}})
    assert short == parse_config({"techniques": {"position": {"use": "learned"}}})[0]


def test_options_without_use_are_those_of_the_default() -> None:
    config, problems = parse_config({"techniques": {"feedforward": {"width": 99}}})
    assert problems == () and config.techniques["feedforward"].options["width"] == 99


@pytest.mark.parametrize(
    ("data", "code", "path", "words"),
    [
        ({"modle": {}}, "unknown-key", "modle", "Did you mean 'model'?"),
        ({"model": {"widht": 64}}, "unknown-key", "model.widht", "Did you mean 'width'?"),
        ({"model": {"qqqqq": 64}}, "unknown-key", "model.qqqqq", "Known keys: width, layers"),
        ({"techniques": {"positoin": {}}}, "unknown-key", "techniques.positoin", "Did you mean 'position'?"),
        ({"techniques": {"lora": {"rank": 2}}}, "unknown-key", "techniques.lora", 'adapter = { use = "lora" }'),
        ({"techniques": {"adapter": {"use": "lora", "rnk": 2}}}, "unknown-key", "techniques.adapter.rnk", "'rank'"),
        ({"techniques": {"position": {"use": "sinusodal"}}}, "unknown-technique", "techniques.position.use",
         "Did you mean 'sinusoidal'?"),
        ({"techniques": {"position": "zzz"}}, "unknown-technique", "techniques.position.use",
         "Choices: none, sinusoidal, learned"),
        ({"techniques": {"recompute": "lora"}}, "unknown-technique", "techniques.recompute.use",
         "'lora' belongs to the slot 'adapter'"),
        ({"techniques": {"position": {"use": 3}}}, "unknown-technique", "techniques.position.use", "Choices"),
        ({"techniques": {"position": {"use": ["learned"]}}}, "unknown-technique", "techniques.position.use", "Choices"),
        ({"techniques": {"position": 5}}, "wrong-type", "techniques.position", "must be a table"),
        ({"techniques": []}, "wrong-type", "techniques", "must be a table"),
        ({"model": 3}, "wrong-type", "model", "must be a table"),
        ({"run": "fast"}, "wrong-type", "run", "must be a table"),
        ({"model": {"width": "wide"}}, "wrong-type", "model.width", "must be a whole number"),
        ({"model": {"width": 2.5}}, "wrong-type", "model.width", "must be a whole number"),
        ({"model": {"width": True}}, "wrong-type", "model.width", "must be a whole number"),
        ({"model": {"width": None}}, "wrong-type", "model.width", "must be a whole number"),
        ({"model": {"width": []}}, "wrong-type", "model.width", "must be a whole number"),
        ({"model": {"bias": 1}}, "wrong-type", "model.bias", "must be true or false"),
        ({"name": 3}, "wrong-type", "name", "must be a text"),
        ({"seed": "a"}, "wrong-type", "seed", "must be a whole number"),
        ({"data": {"path": 3}}, "wrong-type", "data.path", "must be a text"),
        ({"techniques": {"adapter": {"use": "lora", "targets": 3}}}, "wrong-type", "techniques.adapter.targets",
         "must be a list"),
        ({"techniques": {"adapter": {"use": "lora", "targets": []}}}, "wrong-type", "techniques.adapter.targets",
         "must be a list"),
        ({"model": {"layers": 0}}, "out-of-range", "model.layers", "nearest legal value is 1."),
        ({"seed": -1}, "out-of-range", "seed", "nearest legal value is 0."),
        ({"data": {"held_out": 0.9}}, "out-of-range", "data.held_out", "nearest legal value is 0.5."),
        ({"data": {"held_out": math.nan}}, "out-of-range", "data.held_out", "must lie between"),
        ({"techniques": {"adapter": {"use": "lora", "alpha": math.inf}}}, "out-of-range", "techniques.adapter.alpha",
         "must lie between"),
        ({"data": {"task": "texd"}}, "unknown-choice", "data.task", "Did you mean 'text'?"),
        ({"data": {"task": 3}}, "unknown-choice", "data.task", "Choices: text, copy, reverse, "),
        ({"techniques": {"adapter": {"use": "lora", "targets": ["querry"]}}}, "unknown-choice",
         "techniques.adapter.targets", "Did you mean 'query'?"),
        ({"format": 2}, "newer-format", "format", "knows formats up to 1"),
        ({"format": "1"}, "wrong-type", "format", "must be 1"),
        ({"format": True}, "wrong-type", "format", "must be 1"),
        ({"format": 0}, "wrong-type", "format", "must be 1"),
        ({"model": {"width": 256, "heads": 7}}, "heads-do-not-divide", "model.heads",
         "Choose 4 heads, or give a head_width."),
        ({"model": {"width": 4, "heads": 8}}, "heads-do-not-divide", "model.heads", "Choose 4 heads"),
        ({"techniques": {"position": "none", "mask": "prefix"}}, "does-not-fit", "techniques.position.use",
         "'none' does not fit 'prefix' in mask"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_place_reason_and_way_out(data: dict, code: str, path: str, words: str) -> None:
    problem = only_problem(data)
    assert (problem.code, problem.path) == (code, path)
    assert words in problem.sentence()
    assert problem.sentence().startswith(f"{path}: ")


@pytest.mark.parametrize("width", [1, 7, 250, 257])
def test_the_proposed_number_of_heads_divides_the_width(width: int) -> None:
    _, problems = parse_config({"model": {"width": width, "heads": 16}})
    fit = problems[0].args["fit"]
    assert parse_config({"model": {"width": width, "heads": fit}})[1] == ()


def test_heads_need_not_divide_the_width_where_a_head_width_is_given() -> None:
    config, problems = parse_config({"model": {"width": 256, "heads": 7, "head_width": 5}})
    assert problems == () and config.head_width == 5


def test_every_problem_is_found_and_not_just_the_first() -> None:
    _, problems = parse_config({"model": {"widht": 1, "layers": "x"}, "data": {"task": "t"}, "colour": 1, "seed": -2})
    assert {p.path for p in problems} == {"colour", "model.widht", "model.layers", "data.task", "seed"}


def test_a_wrong_value_leaves_its_default_and_the_rest_as_it_is() -> None:
    config, _ = parse_config({"model": {"width": "x", "layers": 3}})
    assert (config.model.width, config.model.layers) == (256, 3)


@pytest.mark.parametrize("value", [3, "text", None, [1], [{}]], ids=repr)
def test_a_configuration_that_is_no_table_is_refused_in_words(value: Any) -> None:
    config, problems = parse_config(value)
    assert isinstance(config, Config)
    assert [p.code for p in problems] == ["wrong-type"] and "must be a table" in problems[0].sentence()


@pytest.mark.parametrize("key", ["format", "name", "seed", "model", "techniques"])
@pytest.mark.parametrize("kind", ["long", "deep"])
def test_what_could_not_even_be_shown_is_refused_in_words(key: str, kind: str) -> None:
    value: Any = 10**5000
    if kind == "deep":
        for _ in range(5000):
            value = [value]
    problem = only_problem({key: value})
    assert problem.path == key and problem.sentence()
    assert problem_from_data(problem_to_data(problem)) == problem


def test_text_that_is_no_utf8_is_refused_in_words() -> None:
    problem = only_problem({"name": "caf\udce9"})  # what Python makes of Latin-1 on a command line
    assert (problem.code, problem.path) == ("not-text", "name")
    assert msgspec.json.encode(problem)


def test_limits_of_whole_numbers_are_written_out() -> None:
    assert "between 1 and 1000000. The nearest legal value is 1000000." in only_problem(
        {"model": {"width": 10**9}}).sentence()
    assert only_problem({"seed": 2**63}).hint == f"The nearest legal value is {2**63 - 1}."


def test_keys_that_are_no_text_are_refused_in_words() -> None:
    _, problems = parse_config({1: 2, "model": {None: 3}, "techniques": {4: "x"}})
    assert [p.code for p in problems] == ["unknown-key"] * 3


def test_a_whole_number_may_be_written_as_a_float_and_the_other_way_round() -> None:
    config, problems = parse_config({"model": {"width": 64.0}, "techniques": {"adapter": {"use": "lora", "alpha": 4}}})
    assert problems == ()
    assert type(config.model.width) is int and type(config.techniques["adapter"].options["alpha"]) is float


def test_why_a_toggle_is_greyed_can_be_asked_before_it_is_chosen() -> None:
    config, _ = parse_config({"techniques": {"mask": "prefix"}})
    card = load_catalogue().find("position", "none")
    assert card is not None
    (rule, reason), = broken_rules(card, config.techniques)
    assert rule.slot == "mask" and "order" in reason


def test_a_config_error_carries_every_problem_and_reads_as_sentences() -> None:
    _, problems = parse_config({"modle": 1, "seed": "x"})
    error = ConfigError(problems)
    assert error.problems == problems
    assert str(error).splitlines() == [p.sentence() for p in problems]


@pytest.mark.parametrize("section", ["model", "data", "run"])
def test_only_a_technique_is_used(section: str) -> None:
    _, problems = parse_config({section: {"use": "learned"}})
    assert [(p.code, p.path) for p in problems] == [("unknown-key", f"{section}.use")]


def test_nearest_finds_the_likely_word_or_nothing() -> None:
    assert nearest("adamv", ["adamw", "sgd"]) == "adamw"
    assert nearest("xyz", ["adamw", "sgd"]) is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_KEYS = st.sampled_from(
    ["format", "name", "seed", "model", "techniques", "data", "run", "width", "heads", "position", "adapter", "use",
     "task", "path", "lora", "rank", "targets", "device"]
) | st.text(max_size=6)  # fmt: skip
_CONFIGS = st.dictionaries(_KEYS, _JSON | st.dictionaries(_KEYS, _JSON | st.dictionaries(_KEYS, _JSON), max_size=4))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_CONFIGS)
def test_no_input_does_worse_than_problems_that_can_be_sent(data: dict) -> None:
    config, problems = parse_config(data)
    assert parse_config(config.as_dict())[0] == config
    for problem in problems:
        assert problem.sentence() and problem.as_dict()["message"]
        sent = msgspec.json.decode(msgspec.json.encode(problem_to_data(problem)))
        assert problem_from_data(sent).code == problem.code
