"""What PyInstaller collects and nothing here uses: taken out of the frozen program's folder."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

CONTENTS = "_internal"  # PyInstaller's folder beside the executables

# Below the contents, as glob patterns. Qt finds plugins by looking through folders: what is not there is not missed.
UNUSED = (
    "PySide6/Qt/translations/qtwebengine*",
    "PySide6/Qt/qml",
)


def slim(app: Path, strip: bool) -> None:
    """Take out unused files, and, where `strip`, the symbols of libraries that nobody debugs here."""
    for pattern in UNUSED:
        for path in (app / CONTENTS).glob(pattern):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    if strip and shutil.which("strip"):
        for library in (app / CONTENTS / "torch" / "lib").glob("*.so"):
            subprocess.run(["strip", "--strip-unneeded", str(library)], check=True)
