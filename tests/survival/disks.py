"""Disks that fill up, reach a quota or become read-only while a run is recorded; with real file systems, as root.

    python -m tests.survival.disks
    python -m tests.survival.disks --real        # with real training, by the command line, end to end

A writer records 1,000 synthetic steps a second; then the disk fails. It must be said within 2 s; where the disk works
again 1.5 s later the run goes on and its file has every step; where it does not, the run is told to end, and ends with
everything that was acknowledged. A kind of disk that cannot be had here is named with the reason.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil

from tests.helpers.commandline import start, write_config
from tests.helpers.services import family, gone, info, steps, until
from tests.helpers.synthetic_run import make_config
from tests.survival.checks import check_rows, check_sealed
from tests.survival.children import Child, Tell
from tests.survival.table import campaign_parser, tell
from tfx_engine.runfile.create import create
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.writer import RunWriter

RATE_PER_S = 1000
SAID_WITHIN_S = 2.0
BROKEN_FOR_S = 1.5
PATIENCE_S = 60.0


class Disk(NamedTuple):
    """A folder on a disk that can be made to fail for a process, and to work again."""

    folder: Path
    fail: Callable[[int], None]
    heal: Callable[[int], None] | None


class NotHere(Exception):
    """Such a disk cannot be had on this machine."""


def _do(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotHere(f"{words[0]}: {done.stderr.strip() or done.returncode}")


def _need_root() -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        raise NotHere("only root may mount a disk, on Linux")


def _fill(folder: Path) -> None:
    """Leave no room at all."""
    with (folder / "ballast").open("wb", buffering=0) as ballast:
        for size in (2**20, 2**12, 1):
            with contextlib.suppress(OSError):
                while True:
                    ballast.write(bytes(size))
            with contextlib.suppress(OSError):
                os.fsync(ballast.fileno())


@contextmanager
def small_tmpfs(place: Path) -> Iterator[Disk]:
    """Filled, then made larger."""
    _need_root()
    _do("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place))
    try:
        yield Disk(place, lambda _pid: _fill(place), lambda _pid: _do("mount", "-o", "remount,size=64m", str(place)))
    finally:
        _do("umount", "--lazy", str(place))


@contextmanager
def _ext4(place: Path) -> Iterator[Path]:
    """A loop-mounted ext4 of 16 MB; its device."""
    _need_root()
    image = place.with_name(f"{place.name}.img")
    with image.open("wb") as file:
        file.truncate(2**24)
    try:
        _do("mke2fs", "-q", "-F", "-t", "ext4", str(image))
        _do("mount", "-o", "loop,errors=remount-ro", str(image), str(place))
        try:
            device = next(p.device for p in psutil.disk_partitions(all=True) if p.mountpoint == str(place))
            yield Path(device)
        finally:
            _do("umount", "--lazy", str(place))
    finally:
        image.unlink()


@contextmanager
def full_ext4(place: Path) -> Iterator[Disk]:
    """Filled by somebody else's file, which is taken away again."""
    with _ext4(place):
        yield Disk(place, lambda _pid: _fill(place), lambda _pid: (place / "ballast").unlink())


@contextmanager
def read_only_ext4(place: Path) -> Iterator[Disk]:
    """The kernel finds an error and makes it read-only, as it does on a failing disk."""
    with _ext4(place) as device:
        trigger = Path("/sys/fs/ext4") / device.name / "trigger_fs_error"
        if not trigger.exists():
            raise NotHere(f"there is no {trigger}")
        yield Disk(place, lambda _pid: trigger.write_text("1") and None, None)


@contextmanager
def limited_files(place: Path) -> Iterator[Disk]:
    """A limit on the size of the process's files (RLIMIT_FSIZE), raised again: what there is without quotas."""
    def limit(size: int) -> Callable[[int], None]:
        return lambda pid: resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY)) and None

    yield Disk(place, limit(100_000), limit(resource.RLIM_INFINITY))


@contextmanager
def btrfs_quota(place: Path) -> Iterator[Disk]:
    """A quota group of btrfs that is used up, and lifted."""
    _need_root()
    if shutil.which("mkfs.btrfs") is None:
        raise NotHere("btrfs-progs is not installed")
    image = place.with_name(f"{place.name}.img")
    with image.open("wb") as file:
        file.truncate(2**28)
    try:
        _do("mkfs.btrfs", "-q", str(image))
        _do("mount", "-o", "loop", str(image), str(place))
        try:
            _do("btrfs", "quota", "enable", str(place))
            _do("btrfs", "subvolume", "create", str(place / "runs"))
            _do("btrfs", "qgroup", "limit", "8M", str(place / "runs"))
            def lift(_pid: int) -> None:
                _do("btrfs", "qgroup", "limit", "none", str(place / "runs"))

            yield Disk(place / "runs", lambda _pid: _fill(place / "runs"), lift)
        finally:
            _do("umount", "--lazy", str(place))
    finally:
        image.unlink()


DISKS = {"tmpfs fills up": small_tmpfs, "ext4 filled by others": full_ext4, "quota (btrfs)": btrfs_quota,
         "limit on file size": limited_files, "ext4 becomes read-only": read_only_ext4}


# ---------------------------------------------------------------------------------------------- a synthetic writer

def record(path: Path, tell: Tell, last_word: str) -> None:
    """Record steps until SIGUSR1, then end with that state; tells what is said, and when."""
    told_to_end: list[bool] = []
    signal.signal(signal.SIGUSR1, lambda *_: told_to_end.append(True))
    create(path, make_config(), "")
    try:
        with RunWriter(path, on_error=lambda e: tell(["said", time.monotonic(), e.problem.sentence() if e else ""]),
                       hurried=lambda: last_word == "stopped" and bool(told_to_end)) as writer:
            writer.state("running")
            start, step = time.monotonic(), 0
            tell(["running", start])
            while (now := time.monotonic()) - start < PATIENCE_S and not told_to_end:
                while step < (now - start) * RATE_PER_S:
                    step += 1
                    writer.step(step=step, phase="measure", loss=float(step), layer_grad_norm=np.zeros(8, np.float32))
                if writer.error is None and step % 5 == 0:
                    with contextlib.suppress(RunFileError):
                        writer.flush()
                        tell(["acknowledged", step])
                time.sleep(0.01)
            writer.state(last_word)
    except RunFileError as error:
        tell(["raised", time.monotonic(), error.problem.code])
    tell(["steps", step])


def one_disk(name: str, place: Path) -> dict[str, Any]:
    """Let a disk fail under a writer; a fault is told under "fault", a disk that cannot be had under "not here"."""
    place.mkdir()
    try:
        with DISKS[name](place) as disk:
            return _watch(disk, disk.folder / "run.tfx")
    except NotHere as why:
        return {"not here": str(why)}


def _watch(disk: Disk, path: Path) -> dict[str, Any]:
    child = Child(lambda tell: record(path, tell, "finished" if disk.heal else "stopped"), 2 * PATIENCE_S)
    told: list[Any] = [child.next()]
    assert told[0][0] == "running", told
    while told[-1] is not None and told[-1][0] != "acknowledged":
        told.append(child.next())
    time.sleep(0.5)
    failed_at = time.monotonic()
    disk.fail(child.pid)
    while told[-1] is not None and told[-1][0] != "said":
        told.append(child.next())
    said = told[-1]
    if said is None:
        return _watch_killed(path, told, child.end()[1])
    time.sleep(BROKEN_FOR_S)
    if disk.heal:
        disk.heal(child.pid)
        time.sleep(BROKEN_FOR_S)
    os.kill(child.pid, signal.SIGUSR1)
    rest, code = child.end()
    told += rest
    wrong = next((t["traceback"] for t in told if isinstance(t, dict)), "it hung" if child.timed_out else "")
    if wrong:
        return {"said": said[2], "said_after_s": 0.0, "acknowledged": 0, "fault": wrong}
    words = {t[0]: t for t in told if t is not None}
    found = {"said": said[2], "said_after_s": max(0.0, said[1] - failed_at), "steps": words["steps"][1],
             "acknowledged": max(t[1] for t in told if t is not None and t[0] == "acknowledged")}
    try:
        assert code == 0, f"ended with {code}"
        assert found["said_after_s"] < SAID_WITHIN_S, "said too late"
        return found | _judge(path, found, disk)
    except Exception as error:
        return found | {"fault": f"{type(error).__name__}: {error}"}


def _watch_killed(path: Path, told: list[Any], code: int) -> dict[str, Any]:
    """The kernel ends a process (SIGBUS) for whose shared memory with SQLite's readers, a file, there is no room."""
    found = {"said": f"ended with {code}", "said_after_s": 0.0, "acknowledged": told[-2][1]}
    try:
        assert code == -signal.SIGBUS, f"ended with {code}, and not a word"
        status, rows = check_rows(path, found["acknowledged"])
        return found | {"status": status, "rows": rows}
    except Exception as error:
        return found | {"fault": f"{type(error).__name__}: {error}"}


def _judge(path: Path, found: dict[str, Any], disk: Disk) -> dict[str, Any]:
    try:
        status, rows, _ = check_sealed(path, found["acknowledged"])
    except RunFileError as refused:  # nothing can be sealed on a disk that is read-only: it is read as it lies there
        if disk.heal:
            raise
        status, rows = check_rows(path, found["acknowledged"])
        status = f"{status}, unsealed ({refused.problem.code})"
    if disk.heal:
        assert (status, rows) == ("finished", found["steps"]), f"{status} with {rows} rows of {found['steps']}"
    return {"status": status, "rows": rows}


# ---------------------------------------------------------------------------------------------- real training

def one_real(name: str, place: Path, folder: Path) -> dict[str, Any]:
    """The same under `tfx-workbench run`; where the disk stays as it is, Ctrl-C ends it."""
    place.mkdir()
    try:
        with DISKS[name](place) as disk:
            return _watch_real(disk, folder)
    except NotHere as why:
        return {"not here": str(why)}


def _watch_real(disk: Disk, folder: Path) -> dict[str, Any]:
    count = 4000 if disk.heal else 10**8
    config, store = write_config(folder, run={"measure_steps": count}), disk.folder / "store"
    process = start("run", config, "--store", store, "--json")
    try:
        run = until(lambda: next(iter(store.glob("*.tfx")), None), PATIENCE_S)
        until(lambda: info(run).status == "running" and len(steps(run)) > 50, PATIENCE_S)
        failed_at = time.monotonic()
        disk.fail(info(run).pid or 0)
        assert process.stderr is not None
        words = until(lambda: os.read(process.stderr.fileno(), 2**16).decode(), PATIENCE_S)
        said_after_s = time.monotonic() - failed_at
        time.sleep(BROKEN_FOR_S)
        seen, processes = len(steps(run)), family(process.pid)
        if disk.heal:
            disk.heal(info(run).pid or 0)
        else:
            process.send_signal(signal.SIGINT)
            assert gone(processes, within_s=5.0), "not over within 5 s"
        out, _ = process.communicate(timeout=PATIENCE_S)
    finally:
        for left in family(process.pid) if process.poll() is None else []:
            left.kill()
    rows = steps(run)
    found = {"said": words.strip(), "said_after_s": said_after_s, "rows": len(rows), "acknowledged": seen,
             "status": info(run).status, "code": process.returncode}
    if rows != list(range(1, len(rows) + 1)) or len(rows) < seen:
        found["fault"] = f"{len(rows)} steps of {seen}"
    elif disk.heal and (found["status"], len(rows)) != ("finished", count + 1) and '"finished"' not in out:
        found["fault"] = f"{found['status']} with {len(rows)} steps of {count + 1}"
    return found


def table(found: dict[str, dict[str, Any]]) -> str:
    """What came of them."""
    lines = []
    for name, f in found.items():
        if "not here" in f:
            lines.append(f"{name}: not here: {f['not here']}")
            continue
        lines.append(f"{name}: said after {f['said_after_s']:.2f} s; {f.get('status')}, {f.get('rows')} rows, "
                     f"{f['acknowledged']} acknowledged")
        lines.append(f"  {f['said']}")
        lines += [f"  FAULT {f['fault']}"] if "fault" in f else []
    return "\n".join(lines)


def main() -> int:
    """See the module's docstring."""
    parser = campaign_parser(__doc__)
    parser.add_argument("--disks", nargs="+", choices=list(DISKS), default=list(DISKS))
    parser.add_argument("--real", action="store_true", help="train for real, by the command line")
    options = parser.parse_args()
    import tempfile

    with tempfile.TemporaryDirectory(prefix="tfx-survival-") as folder:
        found = {}
        for number, name in enumerate(options.disks):
            place = Path(folder) / f"{number}"
            found[name] = one_real(name, place, Path(folder)) if options.real else one_disk(name, place)
    return tell(table(found), found.values())


if __name__ == "__main__":
    raise SystemExit(main())
