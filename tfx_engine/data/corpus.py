"""Text as bytes: one of the corpora that are always there, a file, or the text files of a folder."""

from __future__ import annotations

import codecs
import dataclasses
import functools
import hashlib
import os
import stat
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from tfx_engine.data import grammar
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem

_SCANNED = 16 * 2**20  # bytes at the beginning of a file that are checked to be text
_MAPPED_FROM = 64 * 2**20  # bytes; a larger file is mapped instead of read
_FOLDER_LIMIT = 2 * 2**30  # bytes; a folder is always read into memory
_SEPARATOR = b"\n\n"


@dataclasses.dataclass(frozen=True, eq=False)
class Corpus:
    """Bytes and where they come from."""

    source: str
    data: npt.NDArray[np.uint8]

    @functools.cached_property
    def sha256(self) -> str:
        """Hash of all bytes, in hexadecimal."""
        return hashlib.sha256(self.data.data).hexdigest()


def open_corpus(path: str | None, name: str = "python") -> Corpus:
    """The corpus at a path, or without one that of a name. Raises ConfigError where it is missing or not text."""
    if path is None:
        return {"grammar": _grammar, "python_swapped": _python_swapped}.get(name, _python_reference)()
    if not path:  # which would mean the folder that we happen to be in
        text = tr_mark("There is no file without a name.")
        hint = tr_mark("Leave the key out for the corpus that data.corpus names.")
        raise _refused("no-such-file", Path(path), text, hint)
    place = _locate(path)
    try:
        status = place.stat()
        if stat.S_ISDIR(status.st_mode):
            return _open_folder(place, _list_folder(place))
        if not stat.S_ISREG(status.st_mode):
            text = tr_mark("{path} is neither a file nor a folder.")
            raise _refused("not-a-file", place, text, tr_mark("Name a text file."))
        return _open_file(place, status.st_size, status.st_mtime_ns)
    except FileNotFoundError:
        raise _refused("no-such-file", place, tr_mark("There is no file {path}."), tr_mark("Check the path.")) from None
    except PermissionError as error:  # of a folder, the one file in it that is closed to us
        text = tr_mark("There is no permission to read {path}.")
        hint = tr_mark("Allow reading it, or copy it.")
        raise _refused("no-permission", Path(error.filename or place), text, hint) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise _refused("unreadable", place, tr_mark("{path} cannot be read: {reason}."), "", reason=reason) from None


def _locate(path: str) -> Path:
    try:
        return Path(path.replace("\0", "\N{REPLACEMENT CHARACTER}")).expanduser()  # no file has a NUL in its name
    except RuntimeError:  # "~nobody/text": there is no such user
        return Path(path)


def _refused(code: str, path: Path, template: str, hint: str, **args: Any) -> ConfigError:
    return ConfigError([Problem(code=code, path="data.path", template=template, hint_template=hint,
                                args={"path": str(path), **args})])


@functools.cache
def _python_reference() -> Corpus:
    from pydoc_data.topics import topics

    text = _SEPARATOR.join(topics[name].encode() for name in sorted(topics))
    return Corpus("Python language reference (pydoc_data.topics)", np.frombuffer(bytearray(text), np.uint8))


@functools.cache
def _python_swapped() -> Corpus:
    """Another text of the same kind: what was learned of grammar still helps, what was learned of letters does not."""
    swapped = bytearray(_python_reference().data.tobytes().swapcase())
    return Corpus("Python language reference, small and capital letters exchanged", np.frombuffer(swapped, np.uint8))


@functools.cache
def _grammar() -> Corpus:
    return Corpus("sentences made by rules (grammar)", np.frombuffer(bytearray(grammar.write()), np.uint8))


@functools.lru_cache(maxsize=4)
def _open_file(path: Path, size: int, changed_ns: int) -> Corpus:
    """Read, or mapped where it is large. Size and time of change are arguments: a changed file is opened anew."""
    if size == 0:
        raise _refused("empty-file", path, tr_mark("{path} is empty."), tr_mark("Name a file with text in it."))
    data: npt.NDArray[np.uint8]
    if size < _MAPPED_FROM:  # a mapped file that somebody cuts short while we train would end the process
        data = np.frombuffer(bytearray(path.read_bytes()), np.uint8)
    else:
        data = np.memmap(path, np.uint8, mode="c")  # copy on write: torch wants memory that it could write to
    fault = _not_text(bytes(data[:_SCANNED]), whole=size <= _SCANNED)
    if fault:
        text = tr_mark("{path} is not text: {fault}")
        raise _refused("not-text", path, text, tr_mark("Save it as UTF-8 text."), fault=fault)
    return Corpus(str(path), data)


def _not_text(head: bytes, whole: bool) -> str | None:
    """Why these bytes are no text; None where they are. `whole`: nothing follows them."""
    if (position := head.find(b"\0")) >= 0:
        return f"there is a NUL byte at offset {position}."
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=whole)
    except UnicodeDecodeError as error:
        return f"the byte at offset {error.start} is not UTF-8."
    return None


def _raise(error: OSError) -> NoReturn:
    raise error  # a folder that cannot be listed must not look like an empty one


_Listing = tuple[tuple[str, int, int], ...]  # (path, size, time of change) of each file


def _list_folder(folder: Path) -> _Listing:
    """The files below a folder in the order of their names; hidden ones are left out."""
    files: list[tuple[str, int, int]] = []
    for parent, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            path = Path(parent, name)
            status = path.stat() if path.exists() else None  # a link may lead nowhere
            if status is not None and stat.S_ISREG(status.st_mode):
                files.append((str(path), status.st_size, status.st_mtime_ns))
        if sum(size for _, size, _ in files) > _FOLDER_LIMIT:
            text = tr_mark("The files in {path} are larger than {limit} GiB together.")
            hint = tr_mark("Name a smaller folder, or join the texts into one file.")
            raise _refused("folder-too-large", folder, text, hint, limit=_FOLDER_LIMIT // 2**30)
    return tuple(files)


@functools.lru_cache(maxsize=2)
def _open_folder(folder: Path, files: _Listing) -> Corpus:
    """The text files, joined by empty lines. What is not text is passed over."""
    texts = []
    for path, _, _ in files:
        text = Path(path).read_bytes()
        if text and _not_text(text, whole=True) is None:
            texts.append(text)
    if not texts:
        template = tr_mark("There is no text file in {path}.")
        raise _refused("no-text", folder, template, tr_mark("Name a folder that holds UTF-8 text."))
    joined = np.frombuffer(bytearray(_SEPARATOR.join(texts)), np.uint8)
    return Corpus(f"{folder} ({len(texts)} of {len(files)} files)", joined)
