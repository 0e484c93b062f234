"""Who is writing a run file: an operating-system lock on a small file beside it, gone with the process that held it.

The lock file also says who holds it (pid, start time of that process, boot), for people and for messages; only the
lock itself is believed. With one exception: where it is handed over, the file names the heir, and until that process
has taken the lock, or has ended, nobody else can.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
import weakref
from pathlib import Path
from types import TracebackType
from typing import Any

from tfx_engine.protocol.plain_file import read_plain
from tfx_engine.runfile.errors import RunFileError, failure, os_failure
from tfx_engine.runfile.processes import boot_id, process_identity, process_started, process_ticks
from tfx_engine.runfile.store import beside

_PATIENCE_S = 0.5  # somebody who only asks whether it is locked holds it for microseconds
_PAUSE_S = 0.01
_NOTE_BYTES = 4096  # more than any note has
_SAME_START_S = 2.0  # a start time is reckoned from the clock, which is adjusted now and then
# Not through a link: whoever made the folder may have put one there that leads to another file of ours. Not blocking:
# nor a pipe.
_AS_IT_IS = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_FOREIGN_S = 60.0  # for so long a promise to a process of another machine is believed
_held: weakref.WeakSet[RunLock] = weakref.WeakSet()


class RunLock:
    """The right to write one run file. A context manager; `release` is safe to call twice."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Take the lock. Raises `RunFileError`: in use by another process (or promised to it), no permission, no space.
        """
        self.path = Path(path)
        self.file = beside(path, ".lock")
        self._mutex = threading.Lock()  # of the descriptor: notes come from any thread
        self._more: dict[str, Any] = {}  # of the newest note
        self._descriptor = self._acquire()
        _held.add(self)
        self.note()

    def _acquire(self) -> int:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            descriptor = self._open()
            is_ours = _lock(descriptor)
            is_there = is_ours and _is_at(descriptor, self.file)
            is_promised = is_there and _is_promised(descriptor)
            if is_there and not is_promised:
                return descriptor
            os.close(descriptor)
            if is_promised or time.monotonic() > deadline:
                raise failure("in-use", self.path, who=_who(holder(self.path)))
            time.sleep(_PAUSE_S)  # locked by another, or taken away between opening and locking: look again

    def _open(self) -> int:
        try:
            return os.open(self.file, os.O_RDWR | os.O_CREAT | _AS_IT_IS, 0o600)
        except OSError as error:
            raise os_failure(error, self.path) from None

    def note(self, **more: Any) -> None:
        """Write down who holds the lock, and anything more that a reader should know."""
        with self._mutex:
            self._more = more
            self._write_note()

    def _write_note(self) -> None:
        text = json.dumps({**process_identity(), **self._more}).encode() + b"\n"
        try:
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            os.write(self._descriptor, text)
            os.ftruncate(self._descriptor, len(text))
        except OSError:
            # A full disk, or a pipe: the lock holds without the note, which only people read.
            return

    def keep(self) -> bool:
        """Take the lock anew where somebody took its file away, so that others see again that it is held.

        Returns whether that was so, and was done: where another process has it now, or there is no writing, the next
        call tries again.
        """
        with self._mutex:
            if self._descriptor < 0 or _is_at(self._descriptor, self.file):
                return False
            try:
                descriptor = self._open()
            except RunFileError:
                return False
            if not (_lock(descriptor) and _is_at(descriptor, self.file)):
                os.close(descriptor)
                return False
            old, self._descriptor = self._descriptor, descriptor
            os.close(old)
            self._write_note()
            return True

    def hand_over(self, pid: int) -> None:
        """Let go of the lock for the process `pid` alone: nobody else can take it before that one, while it lives."""
        self.note(heir={
            **process_identity(), "pid": pid, "started": process_started(pid), "ticks": process_ticks(pid)})
        with self._mutex:
            descriptor, self._descriptor = self._descriptor, -1
        _unlock(descriptor)
        os.close(descriptor)

    @property
    def is_held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor >= 0

    def release(self) -> None:
        """Take the lock file away and let go."""
        with self._mutex:
            descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        if os.name == "nt":  # an open file cannot be removed there; whoever opens it next keeps it from being removed
            _unlock(descriptor)
            os.close(descriptor)
            _remove(self.file)
            return
        # Removed while it is locked: who opens it afterwards makes a new one, who had it open finds out in `_is_at`.
        if _is_at(descriptor, self.file):
            _remove(self.file)
        os.close(descriptor)

    def forget(self) -> None:
        """Close the descriptor of a forked child, whose parent goes on holding the lock."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._mutex = threading.Lock()  # which another thread may have held when it was forked

    def __enter__(self) -> RunLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def is_locked(path: str | os.PathLike[str]) -> bool:
    """Whether some process (this one included) is writing the run file now, or is about to: the lock's heir."""
    try:
        descriptor = os.open(beside(path, ".lock"), os.O_RDWR | _AS_IT_IS)
    except FileNotFoundError:
        return False
    except OSError:
        return _is_locked_elsewhere(path)
    try:
        return not _lock(descriptor, shared=True) or _is_promised(descriptor)
    finally:
        os.close(descriptor)


def _is_locked_elsewhere(path: str | os.PathLike[str]) -> bool:
    """The same of a lock file that may only be read, or not even that: a lock needs no right to write on POSIX."""
    try:
        descriptor = os.open(beside(path, ".lock"), os.O_RDONLY | _AS_IT_IS)
    except OSError:
        return os.name == "nt"  # Windows refuses to share what another process has open for itself
    try:
        return not _lock(descriptor, shared=True) or _is_promised(descriptor)
    finally:
        os.close(descriptor)


def _is_promised(descriptor: int) -> bool:
    """Whether the lock, which is free, was handed over to another process that lives and has not taken it yet."""
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        heir = _parse(os.read(descriptor, _NOTE_BYTES)).get("heir")
    except OSError:  # a folder or a pipe of that name promises nothing
        return False
    if not isinstance(heir, dict) or not isinstance(heir.get("pid"), int):
        return False
    if heir.get("host") != socket.gethostname():
        return abs(time.time() - os.fstat(descriptor).st_mtime) < _FOREIGN_S
    if heir["pid"] == os.getpid() or heir.get("boot_id") != boot_id():
        return False
    if (ticks := process_ticks(heir["pid"])) is not None and heir.get("ticks") is not None:
        return bool(ticks == heir["ticks"])  # a clock that is set changes nothing about that
    started, said = process_started(heir["pid"]), heir.get("started")
    return started is not None and isinstance(said, (int, float)) and abs(started - said) < _SAME_START_S


def holder(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What the lock file says about who holds it; empty where it says nothing."""
    try:
        return _parse(read_plain(beside(path, ".lock"), _NOTE_BYTES))
    except OSError:
        return {}


def _parse(note: bytes) -> dict[str, Any]:
    try:
        found = json.loads(note)
    except (ValueError, RecursionError):  # anybody may have written it
        return {}
    return found if isinstance(found, dict) else {}


def _who(found: dict[str, Any]) -> str:
    pid = found.get("pid")
    return f" (process {pid})" if isinstance(pid, int) else ""


def _remove(file: Path) -> None:
    try:
        file.unlink()
    except OSError:
        # Taken away with its folder; or, on Windows, open in another process, which will remove it; or on a disk that
        # has become read-only: a lock file that nobody holds means nothing.
        return


def _is_at(descriptor: int, file: Path) -> bool:
    """Whether the open file is still the one at that path."""
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except OSError:
        return False


if sys.platform == "win32":
    import msvcrt

    _BYTE = 2**30  # the locked byte lies far behind the note, which others must be able to read

    def _lock(descriptor: int, shared: bool = False) -> bool:
        os.lseek(descriptor, _BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        if shared:
            _unlock(descriptor)
        return True

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, _BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    # flock, not lockf: a POSIX record lock is lost as soon as any descriptor of the file is closed in this process.
    def _lock(descriptor: int, shared: bool = False) -> bool:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    def _forget_all() -> None:
        for lock in list(_held):
            lock.forget()

    # A forked child (a data loader's process) shares the lock, and would keep it alive after this process is killed.
    os.register_at_fork(after_in_child=_forget_all)
