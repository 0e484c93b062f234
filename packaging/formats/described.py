"""What `metadata` writes, by a Python that has what that needs: the environment in which the program was frozen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Literal

from freeze.environment import PYTHON
from product import ROOT
from set_up.progress import CommandFailed


def describe(what: Literal["share", "icons"], folder: Path) -> None:
    """Write everything that lies below /usr/share, or the icons of Windows and macOS, into the folder.

    A bare Python makes installers, and it has neither Qt, which draws, nor what the commands' grammars import. With a
    program that was frozen elsewhere this very Python must do. Raises CommandFailed.
    """
    python = PYTHON if PYTHON.exists() else Path(sys.executable)
    command = [str(python), str(ROOT / "packaging" / "metadata"), what, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise CommandFailed(done.stdout + done.stderr)
