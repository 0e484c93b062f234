"""Techniques of one's own: which folders and packages the user trusts as code, and the catalogue with them in it.

Only a worker ever loads them. It also writes down what it found, so that the window, the command line and the service
know the techniques as data: `own_catalogue.json` beside the list, good for as long as neither the sources nor the
program have changed.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import os
from pathlib import Path

import msgspec

from tfx_engine.protocol.cards import Catalogue, resource
from tfx_engine.protocol.codec import decode
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.whole import write_whole

ENTRY_POINTS = "tfx.techniques"  # the group through which packages add techniques
_NO_TEXT = tr_mark("the name of the folder is no UTF-8; rename it")
_LIST, _CATALOGUE = "trusted.json", "own_catalogue.json"


class Trusted(msgspec.Struct, frozen=True):
    """`folders` of technique files, and `packages` that add techniques through an entry point."""

    folders: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.folders or self.packages)


class OwnCatalogue(msgspec.Struct, frozen=True, kw_only=True):
    """What was found: the whole catalogue, what could not be loaded in words, and of which sources.

    `left_out`: origin -> why no worker is to load it, because it ended or hung the process that did.
    """

    stamp: str
    basis: str
    catalogue: Catalogue
    faults: tuple[str, ...] = ()
    left_out: dict[str, str] = {}


def settings_folder() -> Path:
    """Where settings live: `$TFX_HOME`, else the system's place for settings."""
    home = os.environ.get("TFX_HOME")
    if home:
        return Path(home)
    import platformdirs  # only where it is needed: the window must be up fast

    return Path(platformdirs.user_config_dir("tfx-workbench", appauthor=False))


def load_trusted() -> Trusted:
    """The list; empty where there is none, or none that can be read: then nothing is trusted."""
    try:
        return decode((settings_folder() / _LIST).read_bytes(), Trusted)
    except (OSError, msgspec.DecodeError):
        return Trusted()


def save_trusted(trusted: Trusted) -> None:
    """Keep the list. Raises OSError where it cannot be written, as where the name of a folder is no text."""
    try:
        content = msgspec.json.encode(trusted)
    except UnicodeEncodeError as error:
        raise OSError(errno.EILSEQ, _NO_TEXT) from error
    write_whole(settings_folder() / _LIST, content)


def technique_files(folder: str | Path) -> list[Path]:
    """The Python files of a trusted folder that may be techniques, in the order of their names."""
    return [path for path in _python_files(folder) if not path.name.startswith(("_", "."))]


def _python_files(folder: str | Path) -> list[Path]:
    try:
        return sorted(p for p in Path(folder).glob("*.py") if p.is_file())  # no pipe, no device
    except OSError:  # gone, or not to be read
        return []


def path_in_words(path: Path) -> str:
    """The path as text that can be written anywhere, whatever bytes its name has."""
    return str(path).encode(errors="surrogateescape").decode(errors="replace")


def stamp(trusted: Trusted) -> str:
    """Changes with the program's own catalogue, the list, and the sources in the folders, helpers among them."""
    seen = _basis(trusted)
    for path in (p for folder in trusted.folders for p in _python_files(folder)):
        seen.update(f"{path}\0".encode(errors="surrogateescape"))
        try:
            seen.update(path.read_bytes())
        except OSError as error:
            seen.update(str(error).encode())
    return seen.hexdigest()


def basis(trusted: Trusted) -> str:
    """Changes with the program's own catalogue and the list alone."""
    return _basis(trusted).hexdigest()


def _basis(trusted: Trusted) -> hashlib._Hash:
    path = resource("catalogue.json")
    status = path.stat()
    seen = _of_catalogue(path, status.st_mtime_ns, status.st_size).copy()
    seen.update(msgspec.json.encode(trusted))
    return seen


@functools.lru_cache(maxsize=1)
def _of_catalogue(path: Path, _written_ns: int, _size: int) -> hashlib._Hash:
    """Every toggle asks for it, and it changes with the program alone."""
    return hashlib.sha256(path.read_bytes())


def own_catalogue(trusted: Trusted) -> OwnCatalogue | None:
    """What was written down of just these sources; None where they must be loaded (again)."""
    found = _read_catalogue()
    return found if found is not None and found.stamp == stamp(trusted) else None


def is_written_down() -> bool:
    """Whether the catalogue knows everything that is trusted, as its sources are now."""
    trusted = load_trusted()
    return not trusted or own_catalogue(trusted) is not None


def last_catalogue(trusted: Trusted) -> OwnCatalogue | None:
    """What was written down last of these folders and packages, whatever has changed in them since."""
    found = _read_catalogue()
    return found if found is not None and found.basis == basis(trusted) else None


def _read_catalogue() -> OwnCatalogue | None:
    try:
        return _decoded((settings_folder() / _CATALOGUE).read_bytes())
    except (OSError, msgspec.DecodeError):
        return None


@functools.lru_cache(maxsize=1)
def _decoded(content: bytes) -> OwnCatalogue:
    return decode(content, OwnCatalogue)


def save_own_catalogue(found: OwnCatalogue) -> None:
    """Write it down for those who load no code. Raises OSError where that cannot be done."""
    write_whole(settings_folder() / _CATALOGUE, msgspec.json.encode(found))


def versions() -> tuple[int, int]:
    """When the list and the catalogue were last written, in ns; 0 where there is none. Cheap enough for every look."""
    folder = settings_folder()
    return _written(folder / _LIST), _written(folder / _CATALOGUE)


def _written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
