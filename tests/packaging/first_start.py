"""The first start on machines that are not as one would wish.

    python -m tests.packaging.first_start                                   what is in this checkout
    python -m tests.packaging.first_start disk                              only machines whose title has the word
    python -m tests.packaging.first_start --program /usr/bin/tfx-workbench  a program that was installed

Every situation is made for real (but for the driver, which is a stand-in for NVIDIA's library), and in each the program
is asked what works, trains a small model, and opens its window. Prints a table for docs/reliability.md; exit code 1
where something did not go as expected. Linux, as root; some minutes. The stand-ins need a C compiler; without one these
machines are named and left out. An installed program is started as that file, in a home, with the system's PATH and no
variable of Python: nothing of this checkout is in its reach but the table.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.helpers import situations

REPO = Path(__file__).resolve().parent.parent.parent
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CONFIG = """name = "small"
[model]
width = 32
layers = 1
heads = 2
context = 32
[run]
batch = 2
warmup_steps = 1
measure_steps = 5
device = "cpu"
"""


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    def says(self) -> str:
        """Its last line for people, shortened."""
        lines = [line.strip() for line in (self.err or self.out).splitlines() if line.strip()]
        return lines[-1] if lines else ""


class Program(NamedTuple):
    """What is started."""

    command: Sequence[str]
    variables: Mapping[str, str]


def program_at(path: Path | None) -> Program:
    """That file, with nothing of Python's around it; None: this checkout."""
    if path is not None:
        return Program([str(path.absolute())], {"PATH": SYSTEM_PATH, "LANG": "C.UTF-8"})
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "TFX_"))}
    own = {"PYTHONPATH": str(REPO), "PYTHONDONTWRITEBYTECODE": "1"}
    return Program([sys.executable, "-m", "tfx_workbench"], {**kept, **own})


class Situation(NamedTuple):
    """A machine: what it is called, what stands before a command, variables, and what must then be so."""

    title: str
    prefix: Sequence[str]
    variables: Mapping[str, str]
    not_ok: Sequence[str]  # the checks of `doctor` that say NOT OK
    runs: bool  # whether a run can be kept where it would be by itself


DRIVERS = {"driver for CUDA 11.4, torch for the CPU (stand-in)": 0,
           "driver that was updated and waits for a restart (stand-in)": 18}  # what each of its calls returns


def all_situations(folder: Path) -> Iterator[tuple[Situation, Path]]:
    """Every situation with its home; what it needs is made when it is reached."""
    def home(name: str) -> Path:
        place = folder / name
        place.mkdir()
        return place

    yield Situation("no GPU", [], {}, [], True), home("plain")
    for title, returns in DRIVERS.items():
        if shutil.which("gcc"):
            stand_in = situations.driver(home(f"stand-in-{returns}"), returns)
            yield Situation(title, [], stand_in, ["gpu"], True), home(f"driver-{returns}")
    place = home("read-only")
    yield Situation("home mounted for reading", situations.read_only(place), {}, ["store"], False), place
    place = home("not-ours")
    yield Situation("home that may not be written", situations.somebody_elses(place), {}, ["store"], False), place
    place = home("two-gigabytes")
    yield Situation("2 GB of free disk", situations.small_disk(place, "2000m"), {}, [], True), place
    place = home("twenty-megabytes")
    yield Situation("20 MB of free disk", situations.small_disk(place, "20m"), {}, ["free space"], True), place
    place = home("full")
    yield Situation("64 KB of free disk", situations.small_disk(place, "64k"), {}, ["free space"], False), place
    yield Situation("no network", situations.without_network(), {}, [], True), home("no-network")


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="WORD", help="only machines whose title has all of these")
    parser.add_argument("--program", type=Path, help="the installed program (this checkout)")
    asked = parser.parse_args(arguments)
    if asked.program is not None and not os.access(asked.program, os.X_OK):
        parser.error(f"{asked.program} is no program")
    if reason := situations.why_not():
        print(reason)
        return 1
    if not shutil.which("gcc"):
        print(f"Left out, since there is no C compiler: {'; '.join(DRIVERS)}")
    program, failed = program_at(asked.program), 0
    print("| machine | `doctor` objects to | a run | with `--store` elsewhere | the window |")
    print("| --- " * 5 + "|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        for situation, home in all_situations(Path(name)):
            if not all(word in situation.title for word in asked.words):
                continue
            faults, cells = look(program, situation, home, Path(name))
            failed += bool(faults)
            print("| " + " | ".join([situation.title, *cells]) + " |", flush=True)
            for fault in faults:
                print(f"FAILED {situation.title}: {fault}", file=sys.stderr, flush=True)
    return 1 if failed else 0


def look(program: Program, situation: Situation, home: Path, folder: Path) -> tuple[list[str], list[str]]:
    """What went otherwise than expected, and the cells of its row."""
    config = folder / "small.toml"
    config.write_text(CONFIG, encoding="utf-8")
    faults = []
    doctor = call(program, situation, home, "doctor", "--json")
    checks = json.loads(doctor.out)["checks"] if doctor.code == 0 else []
    wrong = [check for check in checks if check["ok"] is False]
    if doctor.code or [check["name"] for check in wrong] != list(situation.not_ok):
        faults.append(f"doctor: exit code {doctor.code}, {wrong}, {doctor.err[-300:]}")
    run = call(program, situation, home, "run", str(config))
    if (run.code == 0) != situation.runs or "Traceback" in run.err:
        faults.append(f"run: exit code {run.code}: {run.err[-600:]}")
    estimate = call(program, situation, home, "estimate", str(config), "--json")
    if estimate.code or "Traceback" in estimate.err:
        faults.append(f"estimate: exit code {estimate.code}: {estimate.err[-600:]}")
    other = folder / f"{home.name}-other"
    elsewhere = call(program, situation, home, "run", str(config), "--store", str(other)) if not situation.runs else run
    if elsewhere.code:
        faults.append(f"run --store: exit code {elsewhere.code}: {elsewhere.err[-600:]}")
    picture = folder / f"{home.name}.png"
    window = call(program, situation, home, "--headless", "--screenshot", str(picture))
    if window.code or not picture.is_file() or "Traceback" in window.err:
        faults.append(f"window: exit code {window.code}: {window.err[-600:]}")
    elif kept := os.environ.get("TFX_PICTURES"):
        shutil.copy(picture, kept)
    said = " ".join(f"{check['name']}: {check['detail']} {check['hint']}".strip() for check in wrong) or "all ok"
    return faults, [tidy(said, folder), "done" if run.code == 0 else tidy(run.says(), folder),
                    "" if situation.runs else "done" if elsewhere.code == 0 else "FAILED",
                    "opens" if window.code == 0 else "FAILED"]


def tidy(text: str, folder: Path) -> str:
    """A path that every reader understands, in a cell of a table."""
    return text.replace(str(folder), "…").replace("|", "/")


def call(program: Program, situation: Situation, home: Path, *arguments: str) -> Done:
    """A command of the program on that machine."""
    environment = {**program.variables, "HOME": str(home), **situation.variables}
    command = [*situation.prefix, *program.command, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd="/", timeout=300)
    return Done(done.returncode, done.stdout, done.stderr)


if __name__ == "__main__":
    sys.exit(main())
