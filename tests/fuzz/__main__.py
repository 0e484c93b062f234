"""The long campaign: every reader is given inputs that were valid once, and what it does with them is counted.

    python -m tests.fuzz --executions 20000            all readers
    python -m tests.fuzz --seconds 60 --target search  one of them, for a minute
    python -m tests.fuzz --again FILE --target search  what a finding was, once more, with its traceback

A finding is anything but an answer or a refusal in words: another exception, a warning, more than 20 s or 200 MiB. Its
input is kept. The exit code is 1 where there was one. Coverage-guided, where `atheris` is installed (it is no
dependency): `python -m tests.fuzz --atheris --target search -- -max_total_time=600`. It goes on from whatever reached
new lines: half of the time as the campaign makes its inputs, so that archives and databases stay such, half as
libFuzzer does.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import hashlib
import random
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import NoReturn

GUIDED = "--atheris" in sys.argv
OURS = ["tfx_engine", "tfx_workbench"]
if GUIDED:
    import atheris  # type: ignore[import-not-found]

# Only what is imported here reports which lines it came through.
with atheris.instrument_imports(include=OURS) if GUIDED else contextlib.nullcontext():
    from tests.fuzz.target import Target, execute
    from tests.fuzz.targets import TARGETS

LONGEST_S = 20.0
MOST_GROWTH_BYTES = 200 * 2**20


class Hang(BaseException):
    """An execution took too long."""


def _hang(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Hang


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Campaign:
    """One reader's executions and what came of them."""

    def __init__(self, target: Target, folder: Path, findings: Path) -> None:
        self.target, self._folder, self._findings = target, folder, findings
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.found: dict[str, Path] = {}  # what went wrong and where -> the first input that did it
        self.slowest_s = 0.0
        self.growth_bytes = 0

    def run(self, executions: int, seconds: float, seed: int) -> None:
        """Until so many executions are done, or the time is over."""
        seeds = self.target.seeds(self._folder)
        for valid in seeds:
            self._once(valid)
        draw = random.Random(f"{seed} {self.target.name}")
        deadline = time.monotonic() + seconds
        for _ in range(executions):
            self._once(self.target.make(seeds, draw))
            if time.monotonic() > deadline:
                break

    def _once(self, data: bytes) -> None:
        before, start = _peak_bytes(), time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, LONGEST_S)
        try:
            outcome = execute(self.target, data, self._folder)
        except (Exception, Hang) as error:
            outcome = "finding"
            self._note(_place(error), data)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        self.outcomes[outcome] += 1
        self.slowest_s = max(self.slowest_s, time.perf_counter() - start)
        growth = _peak_bytes() - before
        self.growth_bytes = max(self.growth_bytes, growth)
        if growth > MOST_GROWTH_BYTES:
            self._note(f"grew by {growth >> 20} MiB", data)

    def _note(self, what: str, data: bytes) -> None:
        if what not in self.found:
            name = re.sub(r"\W+", "-", self.target.name).strip("-")
            self.found[what] = self._findings / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
            self._findings.mkdir(parents=True, exist_ok=True)
            self.found[what].write_bytes(data)

    def line(self) -> str:
        """One row of the table."""
        o = self.outcomes
        return (f"| {self.target.name} | {o.total():,} | {o['read']:,} | {o['refused']:,} | {len(self.found)} "
                f"| {1000 * self.slowest_s:,.0f} | {self.growth_bytes / 2**20:,.0f} |")


def _place(error: BaseException) -> str:
    """Which error, and the innermost line of ours that it came through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "/tfx_" in f.filename] or frames
    return f"{type(error).__name__} at {Path(ours[-1].filename).name}:{ours[-1].lineno}: {str(error)[:100]!r}"


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executions", type=int, default=2000, help="of each reader, at most")
    parser.add_argument("--seconds", type=float, default=1e9, help="for each reader, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", choices=[t.name for t in TARGETS], help="only this one")
    parser.add_argument("--findings", type=Path, default=Path(tempfile.gettempdir()) / "tfx-findings")
    parser.add_argument("--again", type=Path, help="an input that was kept")
    parser.add_argument("--atheris", action="store_true", help="guided by coverage; what follows -- goes to libFuzzer")
    parser.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """See the module's docstring."""
    options = _parse(arguments)
    chosen = [t for t in TARGETS if options.target in (None, t.name)]
    if options.atheris:
        return _guided(chosen[0], options)
    signal.signal(signal.SIGALRM, _hang)  # not above: libFuzzer's clock would ring it
    if options.again:
        with tempfile.TemporaryDirectory() as folder:
            print(execute(chosen[0], options.again.read_bytes(), Path(folder)))
        return 0
    print("| reader | executions | read | refused | findings | slowest, ms | memory, MiB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    campaigns = []
    for target in chosen:
        with tempfile.TemporaryDirectory(prefix="tfx-fuzz-") as folder:
            campaign = Campaign(target, Path(folder), options.findings)
            campaign.run(options.executions, options.seconds, options.seed)
        print(campaign.line(), flush=True)
        campaigns.append(campaign)
    for campaign in campaigns:
        for what, path in campaign.found.items():
            print(f"{campaign.target.name}: {what}\n    {path}")
    return int(any(c.found for c in campaigns))


def _guided(target: Target, options: argparse.Namespace) -> int:
    place = tempfile.TemporaryDirectory(prefix="tfx-fuzz-")
    folder, corpus = Path(place.name), Path(place.name, "corpus")
    corpus.mkdir()
    options.findings.mkdir(parents=True, exist_ok=True)
    with atheris.instrument_imports(include=OURS):  # what a reader imports as it goes
        for i, data in enumerate(target.seeds(folder)):
            (corpus / str(i)).write_bytes(data)
            execute(target, data, folder)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        draw = random.Random(seed)
        with contextlib.suppress(Exception):  # of what has no such shape any more
            if draw.random() < 0.5:
                return target.make([data], draw)[:most]
        return bytes(atheris.Mutate(data, most))

    arguments = [sys.argv[0], str(corpus), f"-timeout={LONGEST_S:.0f}", f"-artifact_prefix={options.findings}/"]
    atheris.Setup([*arguments, *options.rest], lambda data: execute(target, data, folder),
                  custom_mutator=mutate)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
