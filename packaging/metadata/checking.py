"""What each format's own validator says of what `share.py` writes."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from metadata.share import DESKTOP_FILE, METAINFO_FILE, MIME_FILE


class Verdict(NamedTuple):
    """What a validator said; `ok` is None where it is not installed."""

    tool: str
    file: str
    ok: bool | None
    words: str = ""


def verdicts(share: Path) -> Iterator[Verdict]:
    """Every validator over every file of its kind below `share`, which `write_share` has filled.

    Beside its exit code, whatever it says of a fault counts: `man` and `mandoc` end with 0 for a warning.
    """
    yield _ask(["desktop-file-validate", str(share / DESKTOP_FILE)], is_silent=True)
    yield _ask(["appstreamcli", "validate", "--no-net", "--pedantic", str(share / METAINFO_FILE)])
    yield _mime(share)
    for page in sorted((share / "man" / "man1").glob("*.1.gz")):
        plain = page.with_suffix("")
        plain.write_bytes(gzip.decompress(page.read_bytes()))
        yield _ask(["mandoc", "-T", "lint", str(plain)], is_silent=True)
        yield _ask(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(plain)], is_silent=True, pages=True)
        plain.unlink()


def _mime(share: Path) -> Verdict:
    """The whole data base is made, in a place of its own."""
    folder = share / "mime"
    verdict = _ask(["update-mime-database", str(folder)], is_silent=True, named=share / MIME_FILE)
    if verdict.ok is not None:
        for made in folder.iterdir():
            if made.name != "packages":
                shutil.rmtree(made) if made.is_dir() else made.unlink()
    return verdict


def _ask(command: Sequence[str], is_silent: bool = False, pages: bool = False, named: Path | None = None) -> Verdict:
    """Run a validator; with `is_silent`, one that says nothing of what is right. `pages`: its stdout is the page."""
    tool, file = command[0], (named or Path(command[-1])).name
    if not shutil.which(tool):
        return Verdict(tool, file, None)
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "MANROFFSEQ": "", "MANWIDTH": "80"}
    if named is not None:
        environment["XDG_DATA_HOME"] = str(Path(command[-1]).parent)  # a place that it looks into is no remark
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment)
    words = (done.stderr if pages else done.stdout + done.stderr).strip()
    return Verdict(tool, file, done.returncode == 0 and not (is_silent and words), words)
