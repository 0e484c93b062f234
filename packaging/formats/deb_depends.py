"""Which packages of the system the frozen program needs, exactly: asked of its libraries and of dpkg."""

from __future__ import annotations

import filecmp
import re
import subprocess
from pathlib import Path

from freeze.slimming import CONTENTS, is_elf
from metadata.identity import PROGRAM
from set_up.progress import Refusal

_OURS = ("libpython",)  # the interpreter that was frozen belongs to the program, wherever it came from


def leave_to_the_system(folder: Path) -> list[str]:
    """Take out what PyInstaller copied, unchanged, from packages of this system; the names of the libraries."""
    known = _libraries_of_the_system()
    copies = [p for p in sorted((folder / CONTENTS).glob("*.so*")) if p.is_file() and not p.is_symlink()]
    gone = []
    for copy in copies:
        original = known.get(copy.name)
        if original is None or copy.name.startswith(_OURS) or not filecmp.cmp(copy, original, shallow=False):
            continue
        if subprocess.run(["dpkg-query", "-S", *_names_of(original)], capture_output=True, check=False).stdout:
            copy.unlink()
            gone.append(copy.name)
    return gone


def _libraries_of_the_system() -> dict[str, Path]:
    listing = subprocess.run(["/sbin/ldconfig", "-p"], check=True, capture_output=True, text=True).stdout
    found: dict[str, Path] = {}
    for name, path in re.findall(r"^\s*(\S+) \(.*\) => (/\S+)$", listing, re.M):
        found.setdefault(name, Path(path).resolve())
    return found


def _names_of(file: Path) -> list[str]:
    """As dpkg may know it: with /usr, or as before that was joined."""
    return [str(file), str(file).removeprefix("/usr")]


def depends(folder: Path, work: Path) -> str:
    """The `Depends` of everything below `folder`, by `dpkg-shlibdeps`. Raises Refusal where it cannot tell."""
    binaries = sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink() and is_elf(p))
    own = sorted({str(p.parent) for p in binaries})
    (work / "debian").mkdir(exist_ok=True)
    stanza = f"Source: {PROGRAM}\n\nPackage: {PROGRAM}\nArchitecture: any\n"
    (work / "debian" / "control").write_text(stanza, encoding="utf-8")
    command = ["dpkg-shlibdeps", "-O", "--ignore-missing-info", "--warnings=0"]
    command += [f"-l{place}" for place in own] + [f"-e{binary}" for binary in binaries]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True)
    found = re.search(r"^shlibs:Depends=(.+)$", done.stdout, re.M)
    if done.returncode or found is None:
        raise Refusal(f"dpkg-shlibdeps does not know what the program depends on.\n{done.stderr}")
    return found[1]
