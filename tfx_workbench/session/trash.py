"""Deleting a run takes it out of the library, not off the disk: it can be put back."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
import uuid
from pathlib import Path

from tfx_engine.protocol.private import make_private_folder
from tfx_engine.runfile.errors import failure, os_failure
from tfx_engine.runfile.lock import is_locked
from tfx_engine.runfile.store import side_files

FOLDER = ".trash"
KEPT_DAYS = 30


@dataclasses.dataclass(frozen=True)
class Removed:
    """A run that was moved away; `restore` brings it back."""

    path: Path  # where it was
    folder: Path  # where it is

    def restore(self) -> Path:
        """Move the run back to where it was. Raises `RunFileError`."""
        try:
            for file in sorted(self.folder.iterdir(), key=lambda f: f.name == self.path.name):  # the run itself last
                os.replace(file, self.path.parent / file.name)  # noqa: PTH105  the same for a file of any kind
            self.folder.rmdir()
        except OSError as error:
            raise os_failure(error, self.path) from None
        return self.path


def remove(path: Path) -> Removed:
    """Move a run and what lies beside it into the store's trash. Raises `RunFileError` while somebody writes it."""
    if is_locked(path):
        raise failure("in-use", path, who="")
    folder = path.parent / FOLDER / f"{int(time.time())}-{uuid.uuid4().hex[:8]}"
    try:
        make_private_folder(folder)
        for file in (path, *side_files(path)):
            if file.exists():
                os.replace(file, folder / file.name)  # noqa: PTH105
    except OSError as error:
        raise os_failure(error, path) from None
    return Removed(path, folder)


def empty_old(store: Path, days: float = KEPT_DAYS) -> int:
    """Throw away for good what has lain in the trash for longer than `days`; how many runs that were."""
    thrown = 0
    for folder in (store / FOLDER).glob("*-*"):
        stamp = folder.name.partition("-")[0]
        if stamp.isdigit() and time.time() - int(stamp) > days * 86400:
            shutil.rmtree(folder, ignore_errors=True)
            thrown += 1
    return thrown
