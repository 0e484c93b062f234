"""The whole test suite with one closing line: `python -m tests.helpers.suite`.

Files that drive Qt or whole programs run in a pytest process for each subject, the first word of their names, and
everything else in one: a crash at exit then costs one subject its verdict and not the suite. Two processes run at a
time where there are two processors, the longest first, so that none is left alone at the end; what each prints is shown
when it has ended. The module is also the pytest plugin with which every process tallies what happened.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

TESTS = Path(__file__).resolve().parent.parent
APART = ["e2e", "gui"]  # folders whose files run in processes of their own
LONG = [  # subjects that take half a minute or more, which are begun with
    "e2e/test_kill", "e2e/test_cli", "gui/test_window", "e2e/test_survival", "e2e/test_worker", "e2e/test_experiments",
    "e2e/test_own", "gui/test_app", "e2e/test_interleaved", "e2e/test_ablate", "gui/test_panels",
]
OUTCOMES = ["failed", "passed", "skipped", "deselected", "xfailed", "xpassed", "warnings", "error"]
TALLY = "TFX_TEST_TALLY"  # names the file into which a process tallies
_PRINTING = threading.Lock()
TIME_LIMIT_S = {True: 900, False: 3600}  # of one subject apart, and of everything else together


# ----------------------------------------------------------------------------------- in every pytest process


def note(**words: object) -> None:
    """Append one record to the tally, where one is kept."""
    if file := os.environ.get(TALLY):
        with Path(file).open("a", encoding="utf-8") as tally:
            print(json.dumps(words), file=tally)


def pytest_runtest_logstart(nodeid: str) -> None:
    """Note which test is about to run, so that a crash can name it."""
    note(began=nodeid)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Note the counts that pytest is about to print, and which tests failed."""
    stats = terminalreporter.stats
    bad = [report.nodeid for outcome in ("failed", "error") for report in stats.get(outcome, [])]
    note(counts={name: len(stats.get(name, [])) for name in OUTCOMES}, bad=bad)


# ----------------------------------------------------------------------------------- in the outer process


class Verdict(NamedTuple):
    """What one pytest process came to."""

    counts: Counter[str]
    bad: list[str]  # tests that failed, and crashes in words


def read_tally(tally: str, code: int | None, name: str) -> Verdict:
    """The verdict on one process from what it tallied and its exit code (None: it ran out of time)."""
    records = [json.loads(line) for line in tally.splitlines()]
    closing: dict = next((record for record in records if "counts" in record), {"counts": {}, "bad": []})
    counts, bad = Counter(closing["counts"]), list(closing["bad"])
    began = [record["began"] for record in records if "began" in record]
    if code in (0, 5) or (code == 1 and bad):
        return Verdict(counts, bad)
    if not closing["counts"]:
        counts["passed"] += max(len(began) - 1, 0)  # pytest had no time to say how they ended
    counts["error"] += 1
    place = began[-1] if began and not closing["counts"] else name
    when = " after its last test" if closing["counts"] else ""
    return Verdict(counts, [*bad, f"{place} - {ending(code)}{when}"])


def ending(code: int | None) -> str:
    """How a process ended, in words."""
    if code is None:
        return "ran out of time"
    if code < 0:
        return f"crashed ({signal.Signals(-code).name})"
    return f"pytest ended with exit code {code}"


def closing_line(counts: Counter[str], seconds: float) -> str:
    """The summary of the whole suite as pytest words it."""
    plurals = {"warnings": "warnings", "error": "errors"}
    parts = []
    for outcome in OUTCOMES:
        number = counts[outcome]
        plural = plurals.get(outcome, outcome)
        parts += [f"{number} {plural if number > 1 else outcome.removesuffix('s')}"] if number else []
    return f" {', '.join(parts) or 'no tests ran'} in {seconds:.2f}s ".center(100, "=")


def groups() -> Iterator[tuple[str, list[str]]]:
    """Name and pytest arguments of each process, the longest first: everything in one, then the files apart."""
    apart = [folder for folder in APART if (TESTS / folder).is_dir()]
    yield "tests", ["tests", *(f"--ignore=tests/{folder}" for folder in apart)]
    found: dict[str, list[str]] = {name: [] for name in LONG}
    for folder in apart:
        for file in sorted((TESTS / folder).rglob("test_*.py")):
            found.setdefault(f"{folder}/{subject(file)}", []).append(file.relative_to(TESTS.parent).as_posix())
    for name, files in found.items():
        if files:
            yield f"tests/{name}*.py" if len(files) > 1 else files[0], files


def subject(file: Path) -> str:
    """`test_window` for `test_window_load.py`."""
    return "_".join(file.stem.split("_")[:2])


def run_group(name: str, arguments: list[str]) -> Verdict:
    """Run one pytest process, its output on ours."""
    with _PRINTING:
        print(f"{name} ...", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        tally = Path(folder) / "tally.jsonl"
        tally.touch()
        command = [sys.executable, "-m", "pytest", "-p", "tests.helpers.suite", "--no-header", *arguments]
        limit = TIME_LIMIT_S[name.endswith(".py")]
        environment = os.environ | {TALLY: str(tally), "QT_QPA_PLATFORM": "offscreen"}
        with (Path(folder) / "output.txt").open("w+b") as output:
            try:
                code = subprocess.run(command, cwd=TESTS.parent, env=environment, timeout=limit,
                                      stdout=output, stderr=subprocess.STDOUT).returncode  # fmt: skip
            except subprocess.TimeoutExpired:
                code = None
            output.seek(0)
            _show(name, output.read().decode("utf-8", "replace"))
        return read_tally(tally.read_text(encoding="utf-8"), code, name)


def _show(name: str, output: str) -> None:
    with _PRINTING:
        print(f"\n{f' {name} ':-^100}\n{output}", end="", flush=True)


def at_once() -> int:
    """How many processes run at a time: what they wait for is not always a processor, but two are enough."""
    return min(2, os.cpu_count() or 1)


def main() -> int:
    """Run every group. Exit code 0: everything passed; 1: something failed or crashed; 5: no test ran."""
    began = time.monotonic()
    with ThreadPoolExecutor(at_once()) as processes:
        verdicts = list(processes.map(lambda group: run_group(*group), groups()))
    counts = sum((verdict.counts for verdict in verdicts), Counter())
    bad = [line for verdict in verdicts for line in verdict.bad]
    if bad:
        print(f"\n{' failures of the whole suite ':-^100}")
        print("\n".join(bad))
    print(f"\n{closing_line(counts, time.monotonic() - began)}", flush=True)
    if bad or counts["failed"] or counts["error"]:
        return 1
    return 0 if counts["passed"] else 5


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nInterrupted.")
        sys.exit(130)
