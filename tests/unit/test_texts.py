"""Every text that users see can be found by the translation tool, and can be translated: it is one literal."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from texts import Found, all_files, read
from tfx_engine.protocol.config import parse_config

HEADER = "from tfx_engine.protocol.problems import Problem\n"


@functools.cache
def everything() -> list[tuple[list[Found], list[Found]]]:
    """The texts and the faults of every file; read once, which takes seconds."""
    return [read(file) for file in all_files()]


def found(tmp_path: Path, source: str) -> tuple[list[str], list[str]]:
    file = tmp_path / "source.py"
    file.write_text(HEADER + source, encoding="utf-8")
    texts, faults = read(file)
    return [text.text for text in texts], [fault.text for fault in faults]


def test_no_text_of_the_program_is_lost_to_translation():
    assert [fault for _, faults in everything() for fault in faults] == []


def test_the_words_of_real_refusals_are_among_the_texts():
    texts = {text.text for found, _ in everything() for text in found}
    wrong = {"format": 99, "model": 5, "techniques": {"rotary": {}, "norm": {"use": "rotary"}}, "run": {"batch": -1},
             "seed": "x"}
    _, problems = parse_config(wrong)
    assert len(problems) >= 6
    used = {text for problem in problems for text in (problem.template, problem.hint_template) if text}
    assert used <= texts


@pytest.mark.parametrize(("source", "texts"), [
    ('tr_mark("One " "sentence.")', ["One sentence."]),
    ('Problem(code="c", path="", template="is {x}.", hint_template="Try {y}." if y else "Do not.")',
     ["is {x}.", "Try {y}.", "Do not."]),
    ('Problem(template="{error}", hint_template="")', []),
    ('_HINT = tr_mark("Try.")\nProblem(template=_HINT)', ["Try."]),
    ('def refused(text):\n    return Problem(template=text)\nrefused(tr_mark("No."))', ["No."]),
    ('def again(p):\n    return Problem(template=p.template, hint_template=TABLE[p.code])', []),
])
def test_what_is_marked_is_found_and_nothing_else(tmp_path, source, texts):
    assert found(tmp_path, source) == (texts, [])


@pytest.mark.parametrize("source", [
    'Problem(template=f"is {x}.")',
    'Problem(template=("No. " if x else "") + "Yes.")',
    'Problem(template="is {}.".format(x))',
    'tr_mark(f"is {x}.")',
    'tr_mark(text)',
    'hint = "Try."\nProblem(template="No.", hint_template=hint)',
    'def f():\n    text, hint = "No.", "Try."\n    return Problem(template=tr_mark("No."), hint_template=hint)',
    'def refused(text):\n    return Problem(template=text)\nrefused("No.")',
    'def refused(code, *, hint=""):\n    return Problem(template="No.", hint_template=hint)\nrefused(1, hint="Try.")',
    'def inner(a, text):\n    return Problem(template=text)\ndef outer(text):\n    return inner(1, text)\nouter("No.")',
    'def refused(text):\n    return Problem(template=text)\nwords = "No."\nrefused(words)',
])
def test_what_cannot_be_found_or_translated_is_refused(tmp_path, source):
    texts, faults = found(tmp_path, source)
    assert len(faults) == 1 and set(texts) <= {"No."}
