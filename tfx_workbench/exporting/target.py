"""Writing a file whole or not at all, and never over another one unasked."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.runfile.errors import RunFileError, os_failure
from tfx_engine.runfile.store import absolute

STDOUT = "-"
_THERE = tr_mark("is there already, and nothing was written.")
_FORCE = tr_mark("Choose another name, or overwrite it with --force.")
_FOLDER = tr_mark("is a folder, and a file is to be written.")


@contextlib.contextmanager
def written(path: str | os.PathLike[str], force: bool = False) -> Iterator[BinaryIO]:
    """A file to write to, which gets its name when everything is in it. "-" is stdout.

    Raises ConfigError where the file is there already (unless `force`) or cannot be written, as on a full disk.
    """
    if os.fspath(path) == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    target = absolute(path)
    refuse_existing(target, force)
    half: Path | None = None
    try:
        name = f".{target.name[:100]}.{secrets.token_hex(4)}.half"
        with (target.parent / name).open("xb") as file:
            half = target.parent / name
            yield file
        _settle(half, target, force)
    except RunFileError:
        raise
    except OSError as error:
        raise ConfigError([os_failure(error, target).problem]) from None
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


def refuse_existing(path: Path, force: bool) -> None:
    """Raise ConfigError where something is there."""
    try:
        is_folder, is_there = path.is_dir(), os.path.lexists(path)
    except (OSError, ValueError) as error:
        raise ConfigError([not_written(path, str(error))]) from None
    if is_folder:
        raise ConfigError([Problem(code="not-a-file", path=str(path), template=_FOLDER,
                                   hint_template=tr_mark("Name a file in it."))])
    if is_there and not force:
        raise ConfigError([Problem(code="exists", path=str(path), template=_THERE, hint_template=_FORCE)])


def not_written(path: Path, error: str) -> Problem:
    """The problem that a file cannot be written."""
    return Problem(code="not-written", path=str(path), template="cannot be written: {error}.",
                   args={"error": error.rstrip(".")})
