"""`kill -9` of a writer, at random moments: every file opens, and every row that was acknowledged is there.

    python -m tests.survival.kills --kills 1000

Each writer records synthetic steps at 1,000 rows a second, with attention maps between them, and acknowledges on a pipe
what `flush` told it is committed. It is killed 20 to 400 ms after it began to record; every tenth from the moment it
was forked on, so that making the file, taking the lock and opening are hit too; every third is about to end, so that
the last state and sealing are. Then the file is read as it was found, sealed, and read again.
"""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.helpers.synthetic_run import make_config
from tests.survival.checks import check_rows, check_sealed
from tests.survival.children import Child, Tell, scratch, side_by_side
from tests.survival.table import campaign_parser, tell
from tfx_engine.runfile.create import create
from tfx_engine.runfile.writer import RunWriter

RATE_PER_S = 1000
SHORTEST_S, LONGEST_S = 0.02, 0.4
OPENS_WITHIN_S = 0.05  # forking, creating and opening take about 30 ms
_CONFIG = make_config()


def record(
    path: Path, tell: Tell, ends_after_s: float, flush_every_s: float, is_over: Callable[[], bool] = lambda: False
) -> None:
    """Write steps until killed, or to the end of the run after some time or when `is_over`."""
    create(path, _CONFIG, "")
    tell("created")
    with RunWriter(path) as writer:
        writer.state("running")
        tell("running")
        start = flushed = time.monotonic()
        step = 0
        while (now := time.monotonic()) - start < ends_after_s and not is_over():
            while step < (now - start) * RATE_PER_S:
                step += 1
                writer.step(step=step, phase="measure", loss=float(step), layer_grad_norm=np.full(8, step, np.float32))
                if step % 37 == 0:
                    writer.attention(step, step, None, [np.full((2, 16, 16), 0.5, np.float16)])
            if now - flushed >= flush_every_s:
                writer.flush()
                flushed = now
                tell(step)
            time.sleep(0.002)
        writer.flush()
        tell(step)
        writer.state("finished")
        tell("finished")
    tell("closed")


def one_kill(folder: Path, seed: int, number: int) -> dict[str, Any]:
    """Kill one writer; what was acknowledged and what was found. A fault is told under "fault"."""
    rng = random.Random(f"{seed} {number}")
    is_early, is_at_the_end = number % 10 == 9, number % 3 == 2
    lives_s = rng.uniform(0.0, OPENS_WITHIN_S) if is_early else rng.uniform(SHORTEST_S, LONGEST_S)
    ends_after_s = max(0.0, lives_s - rng.uniform(0.0, 0.03)) if is_at_the_end else 1e6
    path = folder / f"{number}" / "run.tfx"
    path.parent.mkdir()
    every_s = rng.choice((0.0, 0.01, 0.05))
    child = Child(lambda tell: record(path, tell, ends_after_s, every_s))
    told = []
    while not is_early and "running" not in told:
        told.append(child.next())
    time.sleep(lives_s)
    child.kill()
    rest, code = child.end()
    told += rest
    words = [word for word in told if isinstance(word, str)]
    acknowledged = max([0, *(word for word in told if isinstance(word, int))])
    found = {"said": words[-1] if words else "nothing", "acknowledged": acknowledged, "code": code}
    try:
        return found | check(path, found["said"], acknowledged, as_found=number % 2 == 0)
    except Exception as error:
        return found | {"fault": f"{type(error).__name__}: {error}"}
    finally:
        shutil.rmtree(path.parent)


ALLOWED = {  # what the file may say, by the last word of its writer
    "created": {"queued", "interrupted"}, "running": {"interrupted", "finished"},
    "finished": {"finished"}, "closed": {"finished"},
}


def check(path: Path, said: str, acknowledged: int, as_found: bool) -> dict[str, Any]:
    """Read the file as it lies there, and sealed."""
    if not path.exists():
        assert said == "nothing", f"no file after {said!r}"
        return {"status": "no file", "rows": 0, "left": sorted(file.name[:9] for file in path.parent.iterdir())}
    before = check_rows(path, acknowledged) if as_found else None
    status, rows, left = check_sealed(path, acknowledged)
    assert before in (None, (status, rows)), f"{before} before, {(status, rows)} after sealing"
    assert status in ALLOWED.get(said, {"queued", "interrupted"}), f"{status} after {said!r}"
    return {"status": status, "rows": rows, "left": left}


def campaign(kills: int, seed: int, lanes: int) -> list[dict[str, Any]]:
    """All of them."""
    with scratch() as folder:
        return [found for _, found in side_by_side(lambda n: one_kill(folder, seed, n), range(kills), lanes)]


def table(found: list[dict[str, Any]]) -> str:
    """What came of them."""
    rows = [f"{len(found)} kills, {sum(f['acknowledged'] for f in found)} rows acknowledged, "
            f"{sum(f.get('rows', 0) for f in found)} found, "
            f"{sum('fault' in f for f in found)} faults"]
    for (said, status), count in sorted(Counter((f["said"], f.get("status", "FAULT")) for f in found).items()):
        rows.append(f"  last word {said:10} found {status:12} {count:5}")
    left = Counter(name for f in found for name in f.get("left", ()))
    rows.append(f"  left beside the sealed file: {dict(left) or 'nothing'}")
    rows += [f"  FAULT {f['fault']} after {f['said']!r}" for f in found if "fault" in f]
    return "\n".join(rows)


def main() -> int:
    """See the module's docstring."""
    parser = campaign_parser(__doc__, lanes=4)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=6)
    options = parser.parse_args()
    found = campaign(options.kills, options.seed, options.lanes)
    return tell(table(found), found)


if __name__ == "__main__":
    raise SystemExit(main())
