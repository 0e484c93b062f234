"""Run files cut off anywhere, or with a bit turned over: never a crash or a hang, and it is said what is wrong.

    python -m tests.survival.damage --flips 10000
    python -m tests.survival.damage --flips 0 --step 1 --log-step 1       # every length there is

Each damaged file is looked at as the library lists it, as the window opens it, as `show --json` prints it, and with
everything that a reader can give, attention maps and all. Then it is rescued: the new file must be readable in all
these ways, or it is said why there is none; of files that are read without complaint only every tenth is. Truncations:
of a small sealed file at every length in its first three pages and its last one, and at every 64th between them; of the
log of a killed one at every 64th (`--step`, `--log-step`).
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.helpers.synthetic_run import running, write_run
from tests.survival.children import Child, Tell, scratch, side_by_side
from tests.survival.table import campaign_parser, tell
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.rescue import rescue
from tfx_engine.runfile.store import side_files
from tfx_engine.runfile.tables import LAYER_COLUMNS
from tfx_engine.runfile.writer import RunWriter
from tfx_workbench.cli import main as command
from tfx_workbench.runs.row import read_row
from tfx_workbench.runs.rundata import RunData

CHUNK = 50  # damaged files to a child
HANGS_AFTER_S = 30.0  # a statement of ours is given up after 20 s
SIZES = {"layers": 1, "heads": 2, "context": 16, "width": 16}


def read_everything(path: Path) -> None:
    """All that a reader can give."""
    with RunReader(path) as reader, reader.snapshot():
        reader.info(), reader.facts(), reader.missing(), reader.predictions(), reader.newest(), reader.annotations()
        reader.steps(), reader.rollup_columns(), reader.rollup(1), reader.memory_probes(), reader.evaluations()
        reader.device_samples(), reader.events(), reader.logs(), reader.count_steps(), reader.turns(), reader.audit()
        reader.profile_parts(), reader.operators(), reader.kernels(), reader.memory_blocks()
        for name in LAYER_COLUMNS:
            reader.layer_steps(name)
        for capture in reader.attention_captures():
            reader.attention_tokens(capture.capture)
            for layer in capture.layers:
                reader.attention(capture.capture, layer)


def show(path: Path) -> None:
    """`show --json`: an object in either case, exit code 0 or 2, and never a traceback."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = command(["show", str(path), "--json"])
    found = json.loads(out.getvalue())
    assert code == (0 if "run_id" in found else 2), f"exit code {code}"
    if code:
        assert found["problems"][0]["message"] and found["problems"][0]["hint"], "nothing is said"
        raise RunFileError(_problem(found["problems"][0]["code"]))


def _problem(code: str) -> Any:
    from tfx_engine.protocol.problems import Problem

    return Problem(code=code, path="", template="")


def open_as_the_window(path: Path) -> None:
    """What is read when a run is shown, with its figures."""
    with contextlib.closing(RunData(path)) as run:
        run.load().summary()


RESCUE_EVERY = {"file cut": 509}  # most of them are alike
DENSE = 3 * 4096
WAYS = {"list": read_row, "open": open_as_the_window, "show": show, "everything": read_everything}


def saved(path: Path) -> str:
    """What `rescue` makes of a file: a new one of which everything can be read, or the code of the problem."""
    target = path.with_name("rescued.tfx")
    try:
        found = rescue(path, target)
    except RunFileError as error:
        return error.problem.code
    for read in WAYS.values():
        read(target)  # must not be refused
    target.unlink()
    return "saved in part" if found.damaged else "saved"


def look(path: Path) -> dict[str, Any]:
    """What each way makes of a file: "read", or the code of the problem; raises whatever is no problem's words."""
    found: dict[str, Any] = {}
    start = time.monotonic()
    for way, read in WAYS.items():
        try:
            read(path)
            found[way] = "read"
        except RunFileError as error:
            assert error.problem.code
            found[way] = error.problem.code
    found["seconds"] = time.monotonic() - start
    return found


# ---------------------------------------------------------------------------------------------- damage

def small_files(folder: Path) -> tuple[Path, Path]:
    """A sealed run with rows of every kind, and one that was killed: its log has not been moved into it."""
    sealed, killed = folder / "sealed.tfx", folder / "killed.tfx"
    write_run(sealed, steps=20, **SIZES)
    with RunWriter(sealed) as writer:
        writer.log("stderr", "a line")
    with running(folder / "live.tfx", steps=20, **SIZES) as run:
        run.advance(18)
        run.writer.flush()
        for suffix in ("", "-wal"):
            shutil.copy(folder / f"live.tfx{suffix}", folder / f"killed.tfx{suffix}")
    return sealed, killed


def damaged(what: str, number: int, files: dict[str, bytes]) -> dict[str, bytes]:
    """The files, by suffix, of one damaged run."""
    if what == "file cut":
        return {"": files["sealed"][:number]}
    if what == "log cut":
        return {"": files["killed"], "-wal": files["killed-wal"][:number]}
    rng = random.Random(f"{what} {number}")
    key, beside = ("killed-wal", {"": files["killed"]}) if what == "log flipped" else ("sealed", {})
    content = bytearray(files[key])
    # Every other one hits the header and the schema, where a bit decides about everything.
    offset = rng.randrange(12_000 if what == "file flipped" and rng.random() < 0.3 else len(content))
    content[offset] ^= 1 << rng.randrange(8)
    return {**beside, "-wal" if beside else "": bytes(content)}


def chunk(folder: Path, what: str, numbers: list[int], files: dict[str, bytes]) -> list[dict[str, Any]]:
    """Look at some damaged files in a child; one that crashes or hangs is told under "fault"."""
    place = folder / f"{what}-{numbers[0]}".replace(" ", "-")
    place.mkdir()
    path = place / "run.tfx"

    def work(tell: Tell) -> None:
        for number in numbers:
            for suffix, content in damaged(what, number, files).items():
                path.with_name(path.name + suffix).write_bytes(content)
            found = {"what": what, "n": number, **look(path)}
            is_refused = any(found[way] != "read" for way in WAYS) and what != "file cut"
            if is_refused or number % RESCUE_EVERY.get(what, 10) == 0:
                found["rescue"] = saved(path)
            tell(found)
            for left in (path, *side_files(path)):
                left.unlink(missing_ok=True)

    told, code = Child(work, HANGS_AFTER_S + len(numbers)).end()
    found = [t for t in told if "n" in t]
    if code or len(found) < len(numbers):
        words = next((t["traceback"] for t in told if "traceback" in t), f"ended with {code}")
        found.append({"what": what, "n": numbers[len(found)], "fault": words})
    shutil.rmtree(place)
    return found


def _lengths(size: int, step: int) -> list[int]:
    """Where a file is cut: more closely near its ends, unless the step is as coarse as that of the suite."""
    close = {*range(min(DENSE, size)), *range(max(0, size - 4096), size)} if step <= DENSE / 16 else set()
    return sorted({*range(0, size + 1, step), *close})


def campaign(flips: int, step: int, log_step: int, lanes: int) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """All damaged files; what was found, and the sizes of the files that were damaged."""
    with scratch() as folder:
        sealed, killed = small_files(folder)
        files = {"sealed": sealed.read_bytes(), "killed": killed.read_bytes(),
                 "killed-wal": Path(f"{killed}-wal").read_bytes()}
        wanted = {
            "file cut": _lengths(len(files["sealed"]), step),
            "log cut": list(range(0, len(files["killed-wal"]) + 1, log_step)),
            "file flipped": list(range(flips - flips // 10)), "log flipped": list(range(flips // 10)),
        }
        chunks = [(what, numbers[i : i + CHUNK]) for what, numbers in wanted.items()
                  for i in range(0, len(numbers), CHUNK)]

        def attempt(number: int) -> list[dict[str, Any]]:
            return chunk(folder, *chunks[number], files)

        found: list[dict[str, Any]] = []
        random.Random(0).shuffle(chunks)  # whoever stops it early has some of each
        with contextlib.suppress(KeyboardInterrupt):
            for _, of_chunk in side_by_side(attempt, range(len(chunks)), lanes):
                found += of_chunk
    return found, {name: len(content) for name, content in files.items()}


def table(found: list[dict[str, Any]], sizes: dict[str, int]) -> str:
    """What came of them."""
    lines = [f"files of {sizes} bytes; {sum('fault' in f for f in found)} crashes, hangs or tracebacks"]
    for what in dict.fromkeys(f["what"] for f in found):
        of_it = [f for f in found if f["what"] == what]
        slowest = max(f.get("seconds", 0.0) for f in of_it)
        lines.append(f"{what}: {len(of_it)}, the slowest looked at in {slowest:.2f} s")
        for way in (*WAYS, "rescue"):
            counts = Counter(f[way] for f in of_it if way in f)
            lines.append(f"  {way}: " + ", ".join(f"{code} {n}" for code, n in counts.most_common()))
    lines += [f"FAULT {f['what']} {f['n']}: {f['fault']}" for f in found if "fault" in f]
    return "\n".join(lines)


def main() -> int:
    """See the module's docstring."""
    parser = campaign_parser(__doc__, lanes=2)
    parser.add_argument("--flips", type=int, default=10_000)
    parser.add_argument("--step", type=int, default=64, help="bytes between two truncations of the file")
    parser.add_argument("--log-step", type=int, default=64, help="and of the log")
    options = parser.parse_args()
    found, sizes = campaign(options.flips, options.step, options.log_step, options.lanes)
    return tell(table(found, sizes), found)


if __name__ == "__main__":
    raise SystemExit(main())
