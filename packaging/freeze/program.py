"""PyInstaller's part: from the environment and this checkout to a folder with two executables."""

from __future__ import annotations

import shutil
from pathlib import Path

from freeze.environment import PYTHON, make_environment
from freeze.licences import write_licences
from freeze.slimming import slim
from product import BUILD, product
from set_up.progress import Steps

APP = BUILD / "app"
SPEC = Path(__file__).resolve().parent / "tfx-workbench.spec"


def freeze(steps: Steps) -> Path:
    """Freeze this checkout with pinned versions, take out what is never used, add texts of licences; the folder."""
    make_environment(steps)
    steps.begin("freezing the program")
    fresh = BUILD / "frozen"
    command = [str(PYTHON), "-m", "PyInstaller", "--noconfirm", "--log-level", "WARN"]
    steps.run([*command, "--distpath", str(fresh), "--workpath", str(BUILD / "work"), str(SPEC)],
              PYTHONHASHSEED="0", SOURCE_DATE_EPOCH=str(product().seconds))  # the same sources, the same bytes
    steps.end()
    steps.begin("leaving out what is never used")
    slim(fresh / "app")
    write_licences(fresh / "app")
    shutil.rmtree(APP, ignore_errors=True)
    (fresh / "app").rename(APP)
    steps.end()
    return APP
