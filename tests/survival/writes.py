"""The Nth write or sync of a run's whole life fails: nothing is corrupted, it is said, the run goes on or ends well.

    python -m tests.survival.writes --calls 2000
    python -m tests.survival.writes --calls 2000 --kinds kill torn-kill

The writer is the real one on the real SQLite, from making the file to sealing it; `faults.c`, preloaded, lets the calls
of the C library fail that write or sync a file beside the run. N counts these calls.
"""

from __future__ import annotations

import errno
import shutil
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tests.helpers.synthetic_run import make_config
from tests.survival.checks import check_sealed
from tests.survival.children import Child, Tell, scratch, side_by_side
from tests.survival.preload import FAIL, FOR_EVER, KILL, SHORT, TORN_KILL, Faults, again_with_faults
from tests.survival.table import campaign_parser, tell
from tfx_engine.runfile.create import create
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.writer import RunWriter


class Kind(NamedTuple):
    """How a call fails."""

    what: int
    error: int = 0
    lasts_ms: float = 0.0

    @property
    def is_final(self) -> bool:
        """Whether the disk never works again."""
        return self.lasts_ms == FOR_EVER

    @property
    def is_deadly(self) -> bool:
        """Whether the writer is killed."""
        return self.what in (KILL, TORN_KILL)


KINDS = {
    "EIO": Kind(FAIL, errno.EIO), "ENOSPC": Kind(FAIL, errno.ENOSPC),
    "half, then ENOSPC": Kind(SHORT, errno.ENOSPC, 50.0),
    "ENOSPC for 0.7 s": Kind(FAIL, errno.ENOSPC, 700.0), "EDQUOT for 0.7 s": Kind(FAIL, errno.EDQUOT, 700.0),
    "EIO for ever": Kind(FAIL, errno.EIO, FOR_EVER), "ENOSPC for ever": Kind(FAIL, errno.ENOSPC, FOR_EVER),
    "EROFS for ever": Kind(FAIL, errno.EROFS, FOR_EVER),
    "kill": Kind(KILL), "torn kill": Kind(TORN_KILL),
}
DEFAULT = ("EIO", "ENOSPC")
SAID_WITHIN_S = 2.0
ROUNDS, STEPS_A_ROUND = 99, 3  # about 2,000 calls
ROUNDS_AFTER = 3  # the last in which something failed
_MAPS = np.random.default_rng(0).random((2, 64, 64)).astype(np.float16)  # 16 KB that do not compress well
_CONFIG = make_config()


def live(path: Path, tell: Tell, kind: Kind, nth: int, rounds: int = ROUNDS) -> None:
    """A run's whole life while the nth call fails; tells every acknowledged step and, at last, what was said."""
    faults, said, step = Faults(), [], 0  # said: when, and which code
    struck_at: int | None = None  # the round after which something failed
    faults.arm(path.parent, nth, kind.what, kind.error, kind.lasts_ms)

    def complain(error: RunFileError | None) -> None:
        said.append((time.monotonic(), error.problem.code if error else ""))

    try:
        create(path, _CONFIG, "")
        tell("created")
        with RunWriter(path, on_error=complain, hurried=lambda: kind.is_final and bool(said)) as writer:
            writer.state("running")
            tell("running")
            for number in range(rounds):
                if kind.is_final and said:  # whoever reads that ends the run
                    break
                struck_at = number if faults.struck().strikes and struck_at is None else struck_at
                if struck_at is not None and number > struck_at + ROUNDS_AFTER:
                    break
                for _ in range(STEPS_A_ROUND):
                    step += 1
                    writer.step(step=step, phase="measure", loss=float(step))
                writer.attention(number, step, None, [_MAPS])
                writer.flush()
                tell(step)
            status = "stopped" if kind.is_final and said else "finished"
            writer.state(status)
            tell(status)
        tell("closed")
    except RunFileError as error:
        said.append((time.monotonic(), error.problem.code))
    struck = faults.struck()
    waits_s = [at - struck.at_s for at, code in said if code]
    where = f"{struck.call} {_role(struck.file, path)}"
    tell({"steps": step, "calls": struck.calls, "strikes": struck.strikes, "at": where,
          "said_after_s": waits_s[0] if waits_s else None, "codes": sorted({code for _, code in said if code})})


def _role(file: str, path: Path) -> str:
    """What a file is to its run."""
    rest = file.removeprefix(path.name)
    return rest or "run file" if file.startswith(path.name) else "new run file"


def one_fault(folder: Path, name: str, nth: int, rounds: int = ROUNDS) -> dict[str, Any]:
    """Let one call fail; what was said and found. A fault of ours is told under "fault"."""
    kind = KINDS[name]
    path = folder / f"{name} {nth}".replace(" ", "-") / "run.tfx"
    path.parent.mkdir()
    child = Child(lambda tell: live(path, tell, kind, nth, rounds))
    told, code = child.end()
    last = next((t for t in told if isinstance(t, dict)), {})
    acknowledged = max([0, *(t for t in told if isinstance(t, int))])
    words = [t for t in told if isinstance(t, str)]
    found = {"kind": name, "n": nth, "acknowledged": acknowledged, "word": words[-1] if words else "nothing", **last}
    try:
        assert not child.timed_out, "hung"
        assert "traceback" not in last, last.get("traceback")
        assert code == (-9 if kind.is_deadly and not last else 0), f"ended with {code}"
        return found | _judge(path, kind, found, acknowledged)
    except Exception as error:
        return found | {"fault": f"{type(error).__name__}: {error}"}
    finally:
        shutil.rmtree(path.parent)


def _judge(path: Path, kind: Kind, found: dict[str, Any], acknowledged: int) -> dict[str, Any]:
    """Look at the file; raises where something is not as it must be."""
    said_after_s = found.get("said_after_s")
    if not path.exists():
        assert found["word"] == "nothing" and (said_after_s is not None or kind.is_deadly), "no file, and no word"
        status, rows, left = "no file", 0, sorted(f.name[:9] for f in path.parent.iterdir())
    else:
        status, rows, left = check_sealed(path, acknowledged)
    is_whole = status == "finished" and rows == found.get("steps")
    if not kind.is_deadly and found.get("strikes") and not is_whole:
        assert said_after_s is not None, f"{status} with {rows} rows, and not a word"
        assert said_after_s < SAID_WITHIN_S, f"said only after {said_after_s:.1f} s"
    if not kind.is_deadly and not kind.is_final and found["word"] in ("running", "finished", "closed"):
        assert is_whole, f"{status} with {rows} rows of {found.get('steps')} once the disk works again"
    if found["word"] in ("finished", "closed", "stopped"):
        assert status in ("finished", "stopped"), f"{status} after {found['word']!r}"
    return {"status": status, "rows": rows, "left": left}


def campaign(kinds: list[str], numbers: range, lanes: int, rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """Every kind of fault at every call."""
    wanted = [(kind, n) for kind in kinds for n in numbers]
    with scratch() as folder:
        def attempt(number: int) -> dict[str, Any]:
            return one_fault(folder, *wanted[number], rounds)
        return [found for _, found in side_by_side(attempt, range(len(wanted)), lanes)]


def table(found: list[dict[str, Any]]) -> str:
    """What came of them, a paragraph a kind."""
    lines = []
    for kind in dict.fromkeys(f["kind"] for f in found):
        of_kind = [f for f in found if f["kind"] == kind]
        struck = [f for f in of_kind if f.get("strikes", 1)]
        waits = [f["said_after_s"] for f in struck if f.get("said_after_s") is not None]
        lines.append(f"{kind}: {len(of_kind)} runs, {len(struck)} struck, {sum('fault' in f for f in of_kind)} faults; "
                     f"said {len(waits)} times, after {max(waits, default=0):.2f} s at most")
        for key in ("at", "codes", "status", "left"):
            counts = Counter(str(f.get(key, "?")) for f in struck)
            lines.append(f"  {key}: " + ", ".join(f"{name} {count}" for name, count in counts.most_common()))
        lines += [f"  FAULT N={f['n']} ({f.get('at')}, {f['word']}): {f['fault']}" for f in of_kind if "fault" in f]
    return "\n".join(lines)


def main() -> int:
    """See the module's docstring."""
    code = again_with_faults("tests.survival.writes", sys.argv[1:])
    if code is not None:
        return code
    parser = campaign_parser(__doc__, lanes=8)  # most of their time is waiting
    parser.add_argument("--calls", type=int, default=2000, help="N = 1 ... this")
    parser.add_argument("--every", type=int, default=1, help="only every so manieth N")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(DEFAULT))
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of a run: three steps, a map, a commit")
    options = parser.parse_args()
    found = campaign(options.kinds, range(1, options.calls + 1, options.every), options.lanes, options.rounds)
    return tell(table(found), found)


if __name__ == "__main__":
    raise SystemExit(main())
