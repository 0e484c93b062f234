"""The closing line of the suite counts what every process came to, crashes included."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from tests.helpers.suite import APART, LONG, TESTS, closing_line, groups, read_tally


def tally(*began: str, bad: list[str] | None = None, **counts: int) -> str:
    records: list[dict] = [{"began": name} for name in began]
    if counts:
        records.append({"counts": counts, "bad": bad or []})
    return "\n".join(map(json.dumps, records))


def test_every_file_apart_is_in_one_process_with_others_of_its_subject_and_the_longest_come_first():
    (first, _), *rest = groups()
    files = [file for _, given in rest for file in given]
    there = [file for folder in APART for file in (TESTS / folder).rglob("test_*.py")]
    assert first == "tests" and sorted(files) == sorted(file.relative_to(TESTS.parent).as_posix() for file in there)
    for name, (_, given) in zip(LONG, rest, strict=False):
        assert given and all(file.startswith(f"tests/{name}") for file in given)
    assert ["tests/gui/test_form_fields.py", "tests/gui/test_form_groups.py"] in [given[:2] for _, given in rest]


def test_a_process_that_passed_adds_its_counts():
    verdict = read_tally(tally("a", "b", passed=1, skipped=1), 0, "file")
    assert verdict.counts == Counter(passed=1, skipped=1) and verdict.bad == []


def test_a_failure_is_counted_once_and_named():
    verdict = read_tally(tally("a", passed=0, failed=1, bad=["a"]), 1, "file")
    assert verdict.counts["failed"] == 1 and verdict.counts["error"] == 0 and verdict.bad == ["a"]


def test_a_crash_within_a_test_names_the_test_and_keeps_the_others():
    verdict = read_tally(tally("a", "b", "c"), -11, "file")
    assert verdict.counts == Counter(passed=2, error=1)
    assert verdict.bad == ["c - crashed (SIGSEGV)"]


def test_a_crash_after_the_last_test_names_the_file():
    verdict = read_tally(tally("a", passed=1), -6, "gui/test_x.py")
    assert verdict.counts == Counter(passed=1, error=1)
    assert verdict.bad == ["gui/test_x.py - crashed (SIGABRT) after its last test"]


def test_a_process_that_never_began_is_an_error():
    assert read_tally("", 4, "file").bad == ["file - pytest ended with exit code 4"]


def test_a_process_that_ran_out_of_time_is_an_error():
    assert read_tally(tally("a"), None, "file").bad == ["a - ran out of time"]


def test_a_file_without_tests_is_no_error():
    assert read_tally(tally(passed=0), 5, "file").bad == []


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (Counter(passed=312, skipped=3), "312 passed, 3 skipped in 401.22s"),
        (Counter(failed=1, error=1, warnings=1), "1 failed, 1 warning, 1 error in 401.22s"),
        (Counter(error=2, warnings=2), "2 warnings, 2 errors in 401.22s"),
        (Counter(), "no tests ran in 401.22s"),
    ],
)
def test_the_closing_line_reads_like_pytest(counts, words):
    assert closing_line(counts, 401.22).strip("= ") == words
