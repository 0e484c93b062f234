"""The smoke test of an installer: puts it on this machine, uses what it brought, takes it away again.

    python packaging/smoke.py FORMAT INSTALLER

The commands are started as a person's desktop starts them, in an environment that names no Python. The tests run in the
order in which they stand: installed, used, removed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

FORMAT, INSTALLER = "TFX_SMOKE_FORMAT", "TFX_SMOKE_INSTALLER"


def check_installer(name: str, installer: Path, python: Path) -> int:
    """Run the tests below with that Python, which has pytest; its exit code."""
    environment = {**os.environ, FORMAT: name, INSTALLER: str(installer.resolve())}
    options = ["-c", os.devnull, "--rootdir", str(Path(__file__).parent), "-p", "no:cacheprovider", "-v", "-x"]
    return subprocess.call([str(python), "-m", "pytest", *options, __file__], env=environment)


if __name__ == "__main__":
    sys.exit(check_installer(sys.argv[1], Path(sys.argv[2]), Path(sys.executable)))
