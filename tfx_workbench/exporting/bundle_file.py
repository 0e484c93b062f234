"""Reading a bundle that anybody may have made: everything is looked at before a byte of it is written anywhere.

Refused are entries that are not named as a bundle's are (so none leads out of a folder), two of one name, links,
encryption, more than there can be, sizes that the archive cannot hold, files that the manifest does not name or that
are not what it says.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, cast

import msgspec

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.private import private_opener
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.runfile.errors import os_failure
from tfx_workbench.exporting.bundle import FORMAT, MANIFEST, MOST_RUNS, SCHEMA

_NAMES = re.compile(r"manifest\.json|README\.txt|runs/[1-9][0-9]{0,2}/(?P<file>run\.tfx|script\.py|config\.toml|"
                    r"config\.resolved\.toml|environment\.json|summary\.json)")
_MOST_ENTRIES = 6 * MOST_RUNS + 2
_MOST_RUN_BYTES = 64 * 2**30
_MOST_TEXT_BYTES = 64 * 2**20
_MOST_MANIFEST_BYTES = 2 * 2**20  # a bundle of 200 runs has a tenth of it
_MOST_BYTES = 64 * 2**30  # of all files together
_MOST_TIMES = 1200  # deflate makes nothing smaller than about a thousandth
_MOST_LARGE_TIMES, _LARGE = 200, 256 * 2**20  # what is larger than that is full of numbers, which hardly shrink
_MOST_AT_ONCE = 3 * 2**20  # bytes that are read: more than a manifest, or the list of so many files, has
# The last: a name that says it is UTF-8, in front of a file, is read only when that file is.
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, UnicodeDecodeError)
_HINT = tr_mark("Ask whoever made it for another copy; nothing was written.")


class _File(msgspec.Struct, frozen=True):
    path: str
    bytes: int
    sha256: str


class BundledRun(msgspec.Struct, frozen=True):
    """What the manifest says of a run."""

    folder: str
    name: str
    run_id: str = ""
    status: str = ""
    no_script: str | None = None


class _Manifest(msgspec.Struct, frozen=True):
    schema: int
    format: str
    runs: list[BundledRun]
    files: list[_File]
    made_with: str = ""


class _TooMuch(Exception):
    """More is to be read at once than there can be."""


class _Sparing(io.BufferedReader):
    """A file that is not read in large pieces: Python reads the list of an archive's files whole before looking at it.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        """At most `size` bytes. Raises _TooMuch."""
        if size is not None and size > _MOST_AT_ONCE:
            raise _TooMuch
        return super().read(size)


class Bundle:
    """An open bundle whose every byte is what its manifest says. Raises ConfigError where it is none, or is not."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._file, self._archive = self._opened()
        try:
            self._look_at_entries()
            manifest = self._manifest()
            self.runs, self.made_with = manifest.runs, manifest.made_with
            self._verify(manifest)
        except _TooMuch:
            self.close()
            self._refuse("hostile", tr_mark("holds {name!r}, which is larger than a bundle's."), name=MANIFEST)
        except (*_BROKEN, NotImplementedError, RuntimeError, OSError) as error:
            self.close()
            self._refuse("damaged", tr_mark("is damaged: {error}."), error=str(error).rstrip("."))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._archive.close()
        self._file.close()

    def __enter__(self) -> Bundle:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @contextlib.contextmanager
    def run_file(self, run: BundledRun) -> Iterator[Path]:
        """The author's run file, in a folder of its own for as long as it is looked at."""
        with tempfile.TemporaryDirectory(prefix="tfx-bundle-") as folder:
            target = Path(folder, "run.tfx")
            self.copy_run(run, target)
            yield target

    def copy_run(self, run: BundledRun, target: Path) -> None:
        """Write the author's run file somewhere. Raises ConfigError where it cannot be, as on a full disk."""
        try:
            with self._archive.open(f"{run.folder}/run.tfx") as source, \
                    open(target, "xb", opener=private_opener) as file:
                while piece := source.read(1 << 20):
                    file.write(piece)
        except OSError as error:
            target.unlink(missing_ok=True)
            raise ConfigError([os_failure(error, target).problem]) from None
        except _BROKEN as error:  # it was changed since it was looked at
            target.unlink(missing_ok=True)
            self._refuse("damaged", tr_mark("is damaged: {error}."), error=str(error).rstrip("."))

    # ------------------------------------------------------------------------------------ suspicion

    def _opened(self) -> tuple[BinaryIO, zipfile.ZipFile]:
        with contextlib.ExitStack() as undo:
            try:
                mode = self.path.stat().st_mode
                # To open a pipe is to wait for somebody who writes; whoever looks for a device's end fills the memory.
                if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                    self._refuse("not-a-file", tr_mark("is a pipe or a device, not a bundle."))
                file = undo.enter_context(_Sparing(self.path.open("rb", buffering=0)))
                archive = zipfile.ZipFile(file)
                undo.pop_all()
                return cast(BinaryIO, file), archive
            except FileNotFoundError:
                self._refuse("no-such-file", tr_mark("there is no such file."), tr_mark("Check the path."))
            except IsADirectoryError:
                self._refuse("not-a-file", tr_mark("is a folder, not a bundle."), tr_mark("Name a bundle in it."))
            except _TooMuch:
                self._refuse("hostile", tr_mark("holds more files than a bundle can."))
            except OSError as error:
                self._refuse("unreadable", tr_mark("cannot be read: {error}."), error=error.strerror or str(error))
            except ConfigError:
                raise
            except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error):
                self._refuse("not-a-bundle", tr_mark("is no bundle, or was cut off: it is not a whole zip archive."))

    def _look_at_entries(self) -> None:
        entries = self._archive.infolist()
        if len(entries) > _MOST_ENTRIES:
            self._refuse("hostile", tr_mark("holds {count} files, more than a bundle can."), count=len(entries))
        seen: set[str] = set()
        for entry in entries:
            found = _NAMES.fullmatch(entry.orig_filename)
            shown = "".join(c if c.isprintable() else "?" for c in entry.orig_filename[:80])
            if found is None:
                self._refuse("hostile", tr_mark("holds {name!r}, which no bundle does."), name=shown)
            if entry.filename in seen:
                self._refuse("hostile", tr_mark("holds {name!r} twice."), name=shown)
            seen.add(entry.filename)
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind not in (0, stat.S_IFREG) or entry.flag_bits & 1:
                self._refuse("hostile", tr_mark("holds {name!r}, which is no plain file."), name=shown)
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                self._refuse("hostile", tr_mark("holds {name!r}, which is not compressed as a bundle's."), name=shown)
            times = _MOST_TIMES if entry.file_size <= _LARGE else _MOST_LARGE_TIMES
            if entry.file_size > _most_bytes(found) or entry.file_size > times * max(entry.compress_size, 64):
                self._refuse("hostile", tr_mark("holds {name!r}, which says that it is {size} bytes large."),
                             name=shown, size=entry.file_size)
        if (size := sum(entry.file_size for entry in entries)) > _MOST_BYTES:
            self._refuse("hostile", tr_mark("holds {size} bytes, more than a bundle can."), size=size)
        self._refuse_overlaps(entries)

    def _refuse_overlaps(self, entries: list[zipfile.ZipInfo]) -> None:
        """The same bytes must not be several files: that is how a small archive becomes endless."""
        end = 0
        for entry in sorted(entries, key=lambda e: e.header_offset):
            if entry.header_offset < end:
                self._refuse("hostile", tr_mark("holds files that lie in one another."))
            end = entry.header_offset + entry.compress_size

    def _manifest(self) -> _Manifest:
        if MANIFEST not in self._archive.namelist():
            self._refuse("not-a-bundle", tr_mark("is a zip archive, but no bundle: it has no {name}."), name=MANIFEST)
        data = self._archive.read(MANIFEST)
        try:
            about = json.loads(data)
            if not isinstance(about, dict) or about.get("format") != FORMAT:
                self._refuse("not-a-bundle", tr_mark("is a zip archive, but no bundle of TFX Workbench."))
            if isinstance(about.get("schema"), int) and about["schema"] > SCHEMA:
                self._refuse("newer-version", tr_mark("was made by a newer program: its format is {found}, this "
                             "program knows formats up to {known}."), tr_mark("Install a newer TFX Workbench."),
                             found=about["schema"], known=SCHEMA)
            manifest = msgspec.convert(about, _Manifest)
        except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors too
            if isinstance(error, ConfigError):
                raise
            self._refuse("damaged", tr_mark("is damaged: its {name} cannot be read."), name=MANIFEST)
        named = {f.path for f in manifest.files}
        there = set(self._archive.namelist()) - {MANIFEST}
        wanted = {f"{run.folder}/run.tfx" for run in manifest.runs}
        if named != there or len(named) != len(manifest.files) or not wanted <= there or not manifest.runs:
            self._refuse("damaged", tr_mark("is damaged: its {name} names other files than it holds."), name=MANIFEST)
        return manifest

    def _verify(self, manifest: _Manifest) -> None:
        for about in manifest.files:
            digest, size = hashlib.sha256(), 0
            with self._archive.open(about.path) as file:
                while piece := file.read(1 << 20):
                    digest.update(piece)
                    size += len(piece)
            if digest.hexdigest() != about.sha256 or size != about.bytes:
                self._refuse("changed", tr_mark("was changed: {name} is not what the manifest says."), name=about.path)

    def _refuse(self, code: str, template: str, hint: str = _HINT, **args: Any) -> NoReturn:
        raise ConfigError([Problem(code=code, path=str(self.path), template=template, hint_template=hint, args=args)])


def _most_bytes(found: re.Match[str]) -> int:
    """How large a file of that name may be."""
    if found["file"] is None:
        return _MOST_MANIFEST_BYTES
    return _MOST_RUN_BYTES if found["file"] == "run.tfx" else _MOST_TEXT_BYTES
