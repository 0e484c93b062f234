"""What installers are made of is fixed to the byte, and is what the project says that it needs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

PINNED = re.compile(r"([a-z0-9][a-z0-9.-]*)==(\S+)(?: ; [^\\]+)? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?")
SYSTEMS = ("linux", "windows", "macos")


def pins(text: str) -> dict[str, str]:
    """Name -> version. Fails at a line that is neither a version with hashes nor one of its hashes."""
    found: dict[str, str] = {}
    hashes = 1
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        if HASH.fullmatch(line):
            hashes += 1
            continue
        assert hashes, f"no hash before: {line}"
        pinned = PINNED.fullmatch(line)
        assert pinned, f"not a version with hashes: {line}"
        assert pinned[1] not in found, f"twice: {line}"
        found[pinned[1]], hashes = pinned[2], 0
    assert hashes
    return found


@pytest.fixture(scope="module")
def needed(repo: Path) -> list[Requirement]:
    project = tomllib.loads((repo / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = (*project["dependencies"], *project["optional-dependencies"]["app"])
    return [Requirement(text) for text in texts]


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_package_has_one_version_and_its_hashes_and_is_one_that_is_allowed(
    repo: Path, system: str, needed: list[Requirement]
) -> None:
    found = pins((repo / "packaging" / "locks" / f"{system}.txt").read_text(encoding="utf-8"))
    for requirement in needed:
        version = found[requirement.name.lower().replace("_", "-")]
        assert requirement.specifier.contains(version), f"{requirement} is locked to {version}"


def test_tools_are_locked_too_and_no_lock_says_where_to_load_from(repo: Path) -> None:
    for path in sorted((repo / "packaging" / "locks").glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        assert pins(text) and "://" not in text and "--index" not in text, path


@pytest.mark.parametrize("line", [
    "torch==2.13.0", "torch>=2 \\", "torch @ file:///x \\", "-e . \\", "a==1 \\\nb==2 \\",
])
def test_a_line_without_a_hash_is_seen(line: str) -> None:
    with pytest.raises(AssertionError):
        pins(line + "\n")
