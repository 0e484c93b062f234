"""What runs elsewhere says exactly what it runs on and with: actions by commit, runners by version."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

NAMES = ("audit", "release", "test")


def lines(repo: Path, name: str, key: str) -> list[str]:
    text = (repo / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8")
    return re.findall(rf"^\s+(?:- )?{key}: *(.+)$", text, re.M)


@pytest.mark.parametrize("name", NAMES)
def test_actions_are_pinned_by_commit_with_their_release_beside_it(repo: Path, name: str) -> None:
    used = lines(repo, name, "uses")
    assert used and all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line) for line in used), used


@pytest.mark.parametrize("name", NAMES)
def test_runners_are_named_by_version(repo: Path, name: str) -> None:
    runners = [line.split(" #")[0] for line in lines(repo, name, "runs-on")]
    assert runners and all(re.fullmatch(r"(ubuntu|windows|macos)-[\d.]+", runner) for runner in runners), runners


@pytest.mark.parametrize("name", ["deb", "appimage", "windows", "macos"])
def test_a_release_makes_and_tries_every_format(repo: Path, name: str) -> None:
    commands = [line for line in lines(repo, "release", "run") if f"build.py {name} " in f"{line} "]
    assert len(commands) == 1 and "--check" in commands[0]
    release = (repo / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    assert "sha256sum" in release and release.count("packaging/sbom.py") == 3
