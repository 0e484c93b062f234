"""What can go wrong with a run file, as sentences."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Any

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import Problem

_SENTENCES: dict[str, tuple[str, str]] = {
    "no-such-file": (tr_mark("there is no such file."), tr_mark("Check the path.")),
    "not-a-file": (tr_mark("is not a file."), tr_mark("Name a run file (*.tfx).")),
    "beside-not-a-file": (
        tr_mark("cannot be opened: {name} lies beside it and is not a file."),
        tr_mark("It belongs to no run. Take it away, or copy the run file elsewhere."),
    ),
    "not-text": (
        tr_mark("cannot hold runs: its name is no text in UTF-8."),
        tr_mark("Rename that folder, or choose another with --store."),
    ),
    "exists": (tr_mark("exists already."), tr_mark("Choose another name.")),
    "unreadable": (tr_mark("cannot be read: {error}."), tr_mark("Check the permissions of the file and its folder.")),
    "not-sqlite": (
        tr_mark("is not a run file: it is not an SQLite database."),
        tr_mark("Run files are written by TFX Workbench and end in .tfx."),
    ),
    "not-a-run-file": (
        tr_mark("is an SQLite database, but not a run file of TFX Workbench."),
        tr_mark("Run files are written by TFX Workbench and end in .tfx."),
    ),
    "newer-version": (
        tr_mark("was written by a newer program: its version is {found}, this program knows versions up to {known}."),
        tr_mark("Install a newer TFX Workbench."),
    ),
    "foreign-schema": (
        tr_mark("holds the {kind} {name!r}, which no run file has; it is not opened."),
        tr_mark("Somebody changed this file. Use a copy from where it was made."),
    ),
    "truncated": (
        tr_mark("is cut off: {found} bytes of {expected} are there."),
        tr_mark("It was probably copied while incomplete, or the disk was full. Copy it again; "
                "`tfx-workbench rescue FILE` saves what is left."),
    ),
    "damaged": (
        tr_mark("is damaged: {error}."),
        tr_mark("Copy it again from where it was made; `tfx-workbench rescue FILE` saves what is left."),
    ),
    "no-permission": (
        tr_mark("cannot be written: {error}."),
        tr_mark("Choose a folder that you may write to with --store, or set TFX_HOME to one."),
    ),
    "no-space": (
        tr_mark("cannot be written: there is no space left on the disk."),
        tr_mark("Make room on that disk, or choose another folder."),
    ),
    "no-quota": (
        tr_mark("cannot be written: your quota of that disk is used up."),
        tr_mark("Make room among your files on that disk, or choose another folder."),
    ),
    "write-failed": (
        tr_mark("cannot be written: {error}."),
        tr_mark("Check that disk, or choose another folder."),
    ),
    "put-back": (
        tr_mark("was taken away while it was written, and was put back with everything in it."),
        tr_mark("Leave the files of a run alone until it has ended."),
    ),
    "put-back-for": (
        tr_mark("was replaced by another file while it was written, and was put back with everything in it."),
        tr_mark("The other file is now called {name}. Delete it if you do not need it."),
    ),
    "pushed-out": (
        tr_mark("is taken away or replaced again and again; what is measured now cannot be written."),
        tr_mark("Stop the program that does so, perhaps one that keeps folders in step."),
    ),
    "in-use": (
        tr_mark("is being written by another process{who}."),
        tr_mark("Wait until that run has ended, or stop it."),
    ),
    "no-such-capture": (tr_mark("holds no attention map {capture} of layer {layer}."), ""),
}


class RunFileError(Exception):
    """A run file cannot be read or written; `problem` says why and what to do."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.sentence())


def failure(code: str, path: str | os.PathLike[str], **args: Any) -> RunFileError:
    """The error of that code about a file."""
    template, hint = _SENTENCES[code]
    return RunFileError(Problem(code=code, path=str(Path(path)), template=template, hint_template=hint, args=args))


def words(error: BaseException) -> str:
    """What an exception says, without errno and path."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.rstrip(".") or type(error).__name__


def os_failure(error: OSError, path: str | os.PathLike[str]) -> RunFileError:
    """An operating system's refusal to make or write a file, as a `RunFileError`."""
    import errno

    if error.errno == errno.ENOSPC:
        return failure("no-space", path)
    if error.errno == getattr(errno, "EDQUOT", -1):  # Windows has none
        return failure("no-quota", path)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOENT):
        return failure("no-permission", path, error=words(error))
    return failure("write-failed", path, error=words(error))


_PROBE_BYTES = 8192
_WRITING = {
    sqlite3.SQLITE_FULL: "no-space",
    sqlite3.SQLITE_READONLY: "no-permission",
    sqlite3.SQLITE_PERM: "no-permission",
    sqlite3.SQLITE_AUTH: "no-permission",
    sqlite3.SQLITE_CANTOPEN: "no-permission",
    sqlite3.SQLITE_CORRUPT: "damaged",
    sqlite3.SQLITE_NOTADB: "damaged",
}


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code of an error; 0 where Python raised it itself."""
    return (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def write_failure(error: sqlite3.Error, path: str | os.PathLike[str]) -> RunFileError:
    """SQLite's refusal to write, as a `RunFileError`. May ask the disk itself, by a small file beside."""
    if primary_code(error) == sqlite3.SQLITE_IOERR and (refusal := _refusal_of_disk(path)) is not None:
        return os_failure(refusal, path)
    return failure(_WRITING.get(primary_code(error), "write-failed"), path, error=words(error))


def _refusal_of_disk(path: str | os.PathLike[str]) -> OSError | None:
    """Why nothing can be written beside a file. SQLite says "disk I/O error" of a quota and of a read-only disk too."""
    probe = f"{os.fspath(path)}.probe"
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(probe)  # noqa: PTH108  what a kill left; or a link, through which nothing is written
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    except OSError as error:
        return error
    try:
        os.write(descriptor, os.urandom(_PROBE_BYTES))
        os.fsync(descriptor)
    except OSError as error:
        return error
    finally:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            os.unlink(probe)  # noqa: PTH108
    return None
