"""Whether a frozen engine has all that every technique needs: each is built and trained for a step in it.

    PYTHON packaging/every_technique.py ENGINE FOLDER

PYTHON has what this project's tests need: every variant of every technique that the contract tests try is written as a
configuration into FOLDER. ENGINE, the frozen executable, then runs all of them in a few processes. What it cannot do,
such as compile, it must refuse in words. Exit code 1 where a run failed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from alone import environment

ROOT = Path(__file__).resolve().parent.parent
_STEPS = {"schedule": 6}  # by slot: those of schedules must be longer than what they warm up; of all others, one
_RUN = {"warmup_steps": 0, "profile": False, "audit": False, "probes": False, "threads": 1}
_REFUSED = 2  # exit code


class Outcome(NamedTuple):
    """What became of the configurations: names that finished, and sentences for those refused and failed."""

    finished: list[str]
    refused: dict[str, str]
    failed: dict[str, str]


def write_configs(folder: Path) -> list[Path]:
    """One file for each variant of each technique that is legal on this machine."""
    sys.path.insert(0, str(ROOT))
    from tests.contract.test_script import each_alone
    from tfx_engine.protocol.toml import dumps

    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, config in each_alone().items():
        data = config.as_dict()
        steps = _STEPS.get(name.partition(".")[0], 1)
        data |= {"name": name, "run": {**data["run"], **_RUN, "measure_steps": steps}}
        file = folder / f"{name}.toml"
        file.write_text(dumps(data), encoding="utf-8")
        files.append(file)
    return files


def run_all(engine: Sequence[str], configs: Sequence[Path], store: Path) -> Outcome:
    """Run all of them. A process reads its configurations before it runs the first, and ends where it refuses one."""
    outcome, left = Outcome([], {}, {}), list(configs)
    while left:
        done = _run(engine, left, store)
        answers: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
        runs = [answer for answer in answers if "run" in answer]
        for answer in runs:
            if answer["status"] == "finished":
                outcome.finished.append(answer["name"])
            else:
                outcome.failed[answer["name"]] = f"{answer['status']}: {answer['reason']}"
        left = left[len(runs):]
        if left:  # the process ended before its time
            name = left.pop(0).stem
            refusal = [p["message"] for answer in answers if "problems" in answer for p in answer["problems"]]
            if done.returncode == _REFUSED and refusal:
                outcome.refused[name] = " ".join(refusal)
            else:
                outcome.failed[name] = f"exit code {done.returncode}: {done.stderr[-1500:]}"
    return outcome


def _run(engine: Sequence[str], configs: Sequence[Path], store: Path) -> subprocess.CompletedProcess[str]:
    command = [*engine, "run", *map(str, configs), "--store", str(store), "--json"]
    alone = environment(store, TFX_HOME=str(store / "home"))
    return subprocess.run(command, capture_output=True, text=True, env=alone)


def main(argv: list[str]) -> int:
    """Write, run, print."""
    engine, folder = Path(argv[0]), Path(argv[1])
    outcome = run_all([str(engine)], write_configs(folder / "configs"), folder / "runs")
    for title, found in (("refused", outcome.refused), ("FAILED", outcome.failed)):
        for name, words in found.items():
            print(f"{title} {name}: {words}")
    print(f"{len(outcome.finished)} finished, {len(outcome.refused)} refused, {len(outcome.failed)} failed")
    return 1 if outcome.failed or not outcome.finished else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
