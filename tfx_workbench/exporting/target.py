"""Writing a file whole or not at all, never over another one unasked, and never over a run."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.runfile.errors import RunFileError, os_failure, words
from tfx_engine.runfile.header import is_of_a_run
from tfx_engine.runfile.store import absolute

STDOUT = "-"
_THERE = tr_mark("is there already, and nothing was written.")
_FORCE = tr_mark("Choose another name, or overwrite it with --force.")
_FOLDER = tr_mark("is a folder, and a file is to be written.")
_NO_FOLDER = tr_mark("cannot be written: there is no folder {folder}.")
_MAKE_IT = tr_mark("Make that folder, or name a file elsewhere with -o.")
_ELSEWHERE = tr_mark("Name a file in a folder that you may write to, with -o.")
_A_RUN = tr_mark("is a run, and nothing is written over a run.")
_NO_FILE = tr_mark("is neither a file nor a pipe, and nothing is written to it.")
_OTHER_NAME = tr_mark("Choose another name.")


@contextlib.contextmanager
def written(path: str | os.PathLike[str], force: bool = False) -> Iterator[BinaryIO]:
    """A file to write to, which gets its name when everything is in it. "-" is stdout; a pipe is written into.

    Raises ConfigError where the file is there already (unless `force`), is a run, or cannot be written, as on a full
    disk. What is raised of something else meanwhile, a run that cannot be read, goes through as it is.
    """
    if os.fspath(path) == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    target = absolute(path)
    refuse_existing(target, force)
    half: Path | None = None
    try:
        if _is_stream(target):
            with target.open("wb") as file:
                yield file
            return
        target = _meant(target)
        name = f".{target.name[:100]}.{secrets.token_hex(4)}.half"
        with (target.parent / name).open("xb") as file:
            half = target.parent / name
            yield file
        _settle(half, target, force)
    except (RunFileError, ConfigError):
        raise
    except OSError as error:
        raise ConfigError([_refusal(error, target)]) from None
    except ValueError as error:  # a NUL in the name
        raise ConfigError([not_written(target, str(error))]) from None
    finally:
        if half is not None:
            half.unlink(missing_ok=True)


def _settle(half: Path, target: Path, force: bool) -> None:
    """Give the file its name; not over one that came meanwhile."""
    if force:
        half.replace(target)
        return
    try:
        os.link(half, target)
    except FileExistsError:
        refuse_existing(target, force)
    except OSError:  # a file system without links
        refuse_existing(target, force)
        half.replace(target)


def _meant(target: Path) -> Path:
    """What a link leads to: that is replaced, and the link stays."""
    return target.resolve() if target.is_symlink() else target


def _mode(path: Path) -> int | None:
    """What kind of thing is there, as `stat` says it, behind links; None: nothing is."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return None


def _is_stream(path: Path) -> bool:
    """A pipe, a terminal, /dev/null: what takes bytes and keeps no file, so that nothing of it can be lost."""
    mode = _mode(path)
    return mode is not None and (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode))


def _refusal(error: OSError, target: Path) -> Problem:
    """The operating system's refusal; where a folder is to blame, that one."""
    if not target.parent.is_dir():
        return Problem(code="no-such-folder", path=str(target), template=_NO_FOLDER, hint_template=_MAKE_IT,
                       args={"folder": str(target.parent)})
    problem = os_failure(error, target).problem
    if problem.code == "no-permission":
        return Problem(code=problem.code, path=problem.path, template=problem.template, hint_template=_ELSEWHERE,
                       args={"error": words(error)})
    return problem


def refuse_existing(path: Path, force: bool) -> None:
    """Raise ConfigError where something is there that is not to be replaced: with `force`, what is no plain file."""
    try:
        is_folder, is_there = path.is_dir(), os.path.lexists(path)
    except (OSError, ValueError) as error:
        raise ConfigError([not_written(path, words(error))]) from None
    if is_folder:
        raise ConfigError([Problem(code="not-a-file", path=str(path), template=_FOLDER,
                                   hint_template=tr_mark("Name a file in it."))])
    if _is_stream(path):
        return
    if is_there and is_of_a_run(path):
        raise ConfigError([Problem(code="is-a-run", path=str(path), template=_A_RUN, hint_template=_OTHER_NAME)])
    mode = _mode(path)
    if mode is not None and not stat.S_ISREG(mode):  # a disk, a socket
        raise ConfigError([Problem(code="not-a-file", path=str(path), template=_NO_FILE, hint_template=_OTHER_NAME)])
    if is_there and not force:
        raise ConfigError([Problem(code="exists", path=str(path), template=_THERE, hint_template=_FORCE)])


def not_written(path: Path, error: str) -> Problem:
    """The problem that a file cannot be written."""
    return Problem(code="not-written", path=str(path), template="cannot be written: {error}.",
                   args={"error": error.rstrip(".")})
