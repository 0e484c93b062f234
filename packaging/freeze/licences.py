"""The texts of the licences of everything that the frozen program carries, in one file beside the executables."""

from __future__ import annotations

import importlib.metadata
import itertools
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from freeze.environment import SITE_PACKAGES
from freeze.slimming import CONTENTS
from metadata.identity import NAME

FILE = "THIRD-PARTY.txt"
TEXTS = Path(__file__).resolve().parent / "texts"
# In the environment, and not in what it makes. (PyInstaller itself is: the executables begin with its bootloader.)
TOOLS = {"altgraph", "iniconfig", "macholib", "packaging", "pefile", "pip", "pluggy", "pygments",
          "pyinstaller-hooks-contrib", "pytest", "pywin32-ctypes", "setuptools", "uv"}  # fmt: skip
_A_LICENCE = re.compile(r"(licen[cs]e|copying|notice|authors)", re.I)
_QT = ("pyside6-essentials", "shiboken6")  # their wheels bring no text
_IN_ITS_SOURCE = {"nvidia-ml-py": "pynvml.py"}  # the text is the comment with which that file begins
_QT_WORDS = """\
Qt and Qt for Python are used under the GNU Lesser General Public License, version 3, the text of which follows, with
that of the GNU General Public License, which it extends. They lie as shared libraries below PySide6/ and shiboken6/ in
the folder of the program, unchanged, and may be exchanged for other builds of the same version. Their sources are
published by the Qt Project under the version that is named above. Qt contains code of others under permissive licences;
Qt's documentation lists it under "Licenses Used in Qt".
"""


class Part(NamedTuple):
    """Something carried: its name and version, what its licence calls itself, the texts."""

    title: str
    licence: str
    texts: list[str]


def write_licences(app: Path) -> None:
    """Write the file. Raises ValueError where something carried has no text: then one must be found."""
    parts = [_python(), *_distributions(), *_system_libraries(app)]
    bare = [part.title for part in parts if not part.texts]
    if bare:
        raise ValueError(f"no text of a licence was found for: {', '.join(bare)}")
    line = "=" * 100
    index = "\n".join(f"  {part.title}: {part.licence}" for part in parts)
    head = f"{NAME} is free software under the Apache License 2.0 (LICENSE). It carries:\n\n{index}\n"
    sections = [f"{line}\n{p.title}\n{p.licence}\n{line}\n\n" + "\n\n".join(p.texts) for p in parts]
    (app / FILE).write_text("\n\n".join([head, *sections]) + "\n", encoding="utf-8")


def _python() -> Part:
    file = Path(sysconfig.get_path("stdlib")) / "LICENSE.txt"
    texts = [_text(file)] if file.exists() else []
    return Part(f"Python {sys.version.split()[0]}", "Python Software Foundation License", texts)


def _distributions() -> Iterator[Part]:
    found = importlib.metadata.distributions(path=[str(SITE_PACKAGES)])
    for distribution in sorted(found, key=lambda d: d.name.lower()):
        if _plain(distribution.name) not in TOOLS:
            title = f"{distribution.name} {distribution.version}"
            yield Part(title, licence_of(distribution), _texts_of(distribution))


def licence_of(distribution: importlib.metadata.Distribution) -> str:
    """What its metadata calls its licence."""
    fields = distribution.metadata
    if "License-Expression" in fields:
        return str(fields["License-Expression"])
    named = [c.rpartition(" :: ")[2] for c in fields.get_all("Classifier") or [] if c.startswith("License")]
    plain = "".join(fields.get_all("License") or []).partition("\n")[0]
    return ", ".join(named) or plain or "see the text"


def _texts_of(distribution: importlib.metadata.Distribution) -> list[str]:
    name = _plain(distribution.name)
    if name in _QT:
        return [_QT_WORDS, _text(TEXTS / "LGPL-3"), _text(TEXTS / "GPL-3")]
    if name in _IN_ITS_SOURCE:
        lines = _text(SITE_PACKAGES / _IN_ITS_SOURCE[name]).splitlines()
        return ["\n".join(itertools.takewhile(lambda line: line.startswith("#"), lines))]
    files = [Path(str(file.locate())) for file in distribution.files or [] if ".dist-info" in file.parts[0]]
    texts = [_text(file) for file in files if _is_licence(file)]
    return list(dict.fromkeys(texts))


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def _is_licence(file: Path) -> bool:
    inside = file.parts[[p.endswith(".dist-info") for p in file.parts].index(True) + 1:]
    return inside[0] == "licenses" or bool(_A_LICENCE.search(inside[-1]))


def _system_libraries(app: Path) -> Iterator[Part]:
    """What was copied from packages of this system; Debian keeps their texts."""
    if not shutil.which("dpkg-query"):
        return
    names = sorted(p.name for p in (app / CONTENTS).glob("*.so*") if not p.is_symlink())
    command = ["dpkg-query", "-S", *(f"*/{name}" for name in names)]
    found = subprocess.run(command, capture_output=True, text=True).stdout
    packages: dict[str, set[str]] = {}
    for package, file in re.findall(r"^([a-z0-9.+-]+)(?::[a-z0-9]+)?: (/.*/lib\S+)$", found, re.M):
        packages.setdefault(package, set()).add(Path(file).name)
    for package, libraries in sorted(packages.items()):
        file = Path("/usr/share/doc") / package / "copyright"
        if file.exists():
            yield Part(f"{package} ({', '.join(sorted(libraries))})", "see the text", [_text(file)])


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace").strip()
