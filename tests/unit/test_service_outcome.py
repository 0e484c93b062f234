"""The end of a worker, in words."""

from __future__ import annotations

import signal

import pytest

from tfx_engine.service.outcome import describe_exit, signal_name


@pytest.mark.parametrize(("exit_code", "words"), [
    (-signal.SIGKILL, ["SIGKILL", "memory"]), (-signal.SIGSEGV, ["SIGSEGV", "crashed"]),
    (-signal.SIGABRT, ["SIGABRT", "crashed"]), (-signal.SIGTERM, ["SIGTERM"]), (1, ["exit code 1"]),
    (0, ["without saying why"]), (0xC0000005, ["0xc0000005"]),
])
def test_the_outcome_names_what_happened(exit_code: int, words: list[str]) -> None:
    outcome = describe_exit(exit_code)
    assert all(word in outcome for word in words) and "Its last lines" not in outcome


@pytest.mark.skipif(not hasattr(signal, "SIGBUS"), reason="there is no such signal here")
def test_a_page_that_had_no_room_is_said_to_be_one() -> None:
    outcome = describe_exit(-signal.SIGBUS)
    assert "SIGBUS" in outcome and "quota" in outcome


def test_only_a_kill_is_said_to_be_perhaps_for_want_of_memory() -> None:
    assert "memory" not in describe_exit(-signal.SIGSEGV) and "memory" not in describe_exit(1)


def test_the_last_lines_are_told_but_not_a_whole_book() -> None:
    outcome = describe_exit(1, ["x" * 10_000, "", "RuntimeError: it broke {here}"])
    assert outcome.endswith("RuntimeError: it broke {here}") and len(outcome) < 1000


def test_what_was_written_before_a_kill_is_not_taken_for_its_reason() -> None:
    assert "warning" not in describe_exit(-signal.SIGKILL, ["a warning about something else"])


def test_a_signal_without_a_name_has_a_number() -> None:
    assert signal_name(250) == "signal 250"
