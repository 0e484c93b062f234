"""The source passes the checkers that pyproject.toml configures."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("checker", [["ruff", "check", "."], ["mypy"]], ids=lambda words: words[0])
def test_the_source_passes(repo, checker):
    done = subprocess.run([sys.executable, "-m", *checker], cwd=repo, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
