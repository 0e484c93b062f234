"""From the frozen program's folder to macOS's bundle: code in Frameworks, data in Resources, programs in MacOS.

`codesign` refuses a bundle with data among its code, and takes a folder with a dot in its name for a bundle of its own.
So, as PyInstaller does it, whose programs look below Frameworks when they lie in a bundle: data is in Resources, with a
link to it where the program looks; a folder of code is called `python3__dot__12`, with a link of its right name.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

CONTENTS = "_internal"  # PyInstaller's folder beside the executables
_MACHO = {bytes.fromhex(magic) for magic in ("cffaedfe", "cefaedfe", "feedfacf", "feedface", "cafebabe")}


def lay_out(app: Path, contents: Path) -> None:
    """Copy the frozen program's folder `app` into the bundle's folder `contents`, which must not be there."""
    programs = contents / "MacOS"
    programs.mkdir(parents=True)
    (contents / "Resources").mkdir()
    for file in sorted(app.iterdir()):
        if file.name != CONTENTS:
            shutil.copy2(file, programs / file.name)
    _divide(app / CONTENTS, contents / "Frameworks", contents / "Resources", contents / "Frameworks")


def _divide(source: Path, code: Path, data: Path, shown: Path) -> None:
    """Put a folder that has code in it into `code`, its data into `data`; the program knows the folder as `shown`."""
    code.mkdir(parents=True)
    if shown != code:
        shown.symlink_to(code.name)
    for entry in sorted(source.iterdir()):
        if entry.is_symlink():
            (code / entry.name).symlink_to(entry.readlink())
        elif entry.is_dir() and entry.suffix == ".framework":
            shutil.copytree(entry, code / entry.name, symlinks=True)
        elif entry.is_dir() and _has_code(entry):
            _divide(entry, code / entry.name.replace(".", "__dot__"), data / entry.name, code / entry.name)
        elif entry.is_file() and is_code(entry):
            shutil.copy2(entry, code / entry.name)
        else:
            _put_aside(entry, data / entry.name, code / entry.name)


def _put_aside(entry: Path, place: Path, link: Path) -> None:
    """Data, and where it was a link to it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if entry.is_dir():
        shutil.copytree(entry, place, symlinks=True)
    else:
        shutil.copy2(entry, place)
    link.symlink_to(os.path.relpath(place, link.parent))


def is_code(file: Path) -> bool:
    """Whether a file is a program or library of macOS, by its magic number."""
    with file.open("rb") as stream:
        return stream.read(4) in _MACHO


def _has_code(folder: Path) -> bool:
    return any(file.is_file() and not file.is_symlink() and is_code(file) for file in folder.rglob("*"))


def signing_order(bundle: Path) -> list[Path]:
    """All code of a bundle, what is inside before what holds it, the bundle last."""
    contents = bundle / "Contents"
    files = [file for file in contents.rglob("*") if file.is_file() and not file.is_symlink() and is_code(file)]
    frameworks = [folder for folder in contents.rglob("*.framework") if folder.is_dir() and not folder.is_symlink()]
    inside = [path for path in [*files, *frameworks] if path.parent != contents / "MacOS"]
    programs = [file for file in files if file.parent == contents / "MacOS"]
    return [*sorted(inside, key=lambda path: (-len(path.parts), str(path))), *sorted(programs), bundle]
