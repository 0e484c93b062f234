"""Where run files live, what they are called, and what lies beside them."""

from __future__ import annotations

import datetime
import os
import re
import secrets
import unicodedata
from pathlib import Path

import platformdirs

from tfx_engine.protocol.private import make_private_folder
from tfx_engine.runfile.errors import RunFileError, failure, os_failure
from tfx_engine.runfile.tables import SUFFIX

_NETWORK_FILE_SYSTEMS = frozenset({
    "nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afs", "ncpfs", "9p", "ceph", "glusterfs", "lustre", "gpfs",
    "beegfs", "fuse.sshfs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.gcsfuse", "davfs", "fuse.davfs2",
})
_NAME_LENGTH = 48  # characters of a run's name in its file's name
_SIDE_FILES = (".lock", ".mail", ".spool", ".reserve", ".probe", "-wal", "-shm", "-journal", ".safetensors")


def default_store() -> Path:
    """The user's library of runs; `$TFX_HOME/runs` where that variable is set. Not created here."""
    home = os.environ.get("TFX_HOME")
    root = Path(home) if home else Path(platformdirs.user_data_dir("tfx-workbench", appauthor=False))
    return root / "runs"


def absolute(path: str | os.PathLike[str]) -> Path:
    """The path independent of the folder we are in, `~` taken for the home folder where there is such a user."""
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError:  # "~nobody/runs"
        return Path(path).absolute()


def refuse_what_is_no_text(store: Path) -> None:
    """Raise `RunFileError` where the path of a store is no text: messages between processes, and exports, name it."""
    try:
        str(store).encode()
    except UnicodeEncodeError:
        raise failure("not-text", store) from None


def make_store(store: str | os.PathLike[str]) -> Path:
    """The folder, made (for its owner alone) where it is missing. Raises `RunFileError`."""
    folder = Path(store)
    try:
        make_private_folder(folder)
    except FileExistsError:
        raise failure("no-permission", folder, error="it is a file, not a folder") from None
    except OSError as error:
        raise os_failure(error, folder) from None
    except ValueError:  # a NUL
        raise failure("write-failed", folder, error="this cannot be the name of a folder") from None
    return folder


def store_refusal(store: str | os.PathLike[str]) -> str:
    """Why no run can be kept in that folder, in words; empty where one can. Makes the folder."""
    import tempfile  # not by every process that asks where runs are

    try:
        folder = make_store(store)
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except RunFileError as error:
        return str(error)
    except OSError as error:
        return str(os_failure(error, store))


def new_run_path(store: str | os.PathLike[str], name: str, now: datetime.datetime) -> Path:
    """A path that no file has yet, such as `20261123-040501-five-techniques-ab12.tfx`; makes the store.

    Raises `RunFileError` where the store cannot be made.
    """
    folder = make_store(store)
    while True:
        path = folder / f"{now:%Y%m%d-%H%M%S}-{_slug(name)}-{secrets.token_hex(2)}{SUFFIX}"
        if not path.exists():
            return path


def _slug(name: str) -> str:
    words = re.sub(r"[\W_]+", "-", unicodedata.normalize("NFC", name).lower()).strip("-")
    while len(words.encode()) > 2 * _NAME_LENGTH:  # file systems count bytes
        words = words[:-1]
    return words[:_NAME_LENGTH].strip("-") or "run"


def run_files(store: str | os.PathLike[str]) -> list[Path]:
    """The run files of a store by name, which is by time; empty where there is no store yet."""
    try:
        entries = list(os.scandir(store))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise os_failure(error, store) from None
    except ValueError:  # a NUL: no such folder
        return []
    return sorted(Path(e.path) for e in entries if e.name.endswith(SUFFIX) and not e.name.startswith("."))


def side_files(path: str | os.PathLike[str]) -> list[Path]:
    """What may lie beside a run file and belongs to it: lock, mailbox, SQLite's own, weights."""
    return [beside(path, suffix) for suffix in _SIDE_FILES]


def beside(path: str | os.PathLike[str], suffix: str) -> Path:
    """The file of that suffix beside a run file: `run.tfx.lock` for `.lock`."""
    return Path(f"{os.fspath(path)}{suffix}")


def lies_beside(path: str | os.PathLike[str], suffix: str) -> bool:
    """Whether there is such a file; no, unlike Path, where a name as long as that cannot be."""
    return os.path.exists(beside(path, suffix))  # noqa: PTH110


def is_network_filesystem(path: str | os.PathLike[str]) -> bool:
    """Whether a path lies on a network file system, where SQLite's write-ahead log cannot be shared.

    Linux: by the longest mount point in /proc/mounts. Windows: a UNC path. Elsewhere False: it is not known.
    """
    resolved = Path(path).resolve()
    if os.name == "nt":
        return str(resolved).startswith("\\\\")
    return _file_system(resolved, Path("/proc/mounts")) in _NETWORK_FILE_SYSTEMS


def _file_system(path: Path, mounts: Path) -> str:
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""  # not Linux
    best, kind = -1, ""
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(_unescaped(fields[1]))
        # Of two mounts on one point the later covers the earlier.
        if path.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), fields[2]
    return kind


def _unescaped(text: str) -> str:
    """A path of /proc/mounts: blanks and their like are written as octal numbers there."""
    return re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), text)
