"""The source passes the checkers that pyproject.toml configures."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tfx_engine.protocol.cards import built_in_catalogue


@pytest.mark.parametrize("checker", [["ruff", "check", "."], ["mypy"]], ids=lambda words: words[0])
def test_the_source_passes(repo, checker):
    done = subprocess.run([sys.executable, "-m", *checker], cwd=repo, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_readme_counts_slots_techniques_and_models_as_they_are(repo):
    catalogue, text = built_in_catalogue(), (repo / "README.md").read_text(encoding="utf-8")
    models = len(list((repo / "resources" / "presets" / "models").glob("*.toml"))) - 1  # the index is none
    assert f"{len(catalogue.slots)} slots and {len(catalogue.techniques)} techniques" in text
    assert f"{models} published models are presets" in text


def test_no_error_while_painting_leaves_a_painter_open(repo):
    """Qt crashes when a widget goes away that is being painted: whoever paints lets go, whatever happens."""
    painting = [p for room in ("widgets", "panels", "app") for p in (repo / "tfx_workbench" / room).glob("*.py")]
    assert len(painting) > 100
    assert not [p.name for p in painting if re.search(r"= QPainter\((self|bar|widget)\)", p.read_text("utf-8"))]
