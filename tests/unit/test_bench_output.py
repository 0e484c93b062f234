"""A bench shows its table without being asked to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

_BENCH = '''
import pytest

@pytest.fixture(scope="module")
def device():
    print("a device")

def test_speed(device):
    print("a table")
'''


def test_what_a_bench_prints_is_shown(tmp_path: Path, repo: Path) -> None:
    shutil.copy(repo / "tests/bench/conftest.py", tmp_path)
    (tmp_path / "test_bench.py").write_text(_BENCH)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    found = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert "a device" in found.stdout and "a table" in found.stdout
