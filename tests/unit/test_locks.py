"""What installers are made of is fixed to the byte, and is what the project says that it needs."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import audit
from freeze import environment, locks
from set_up.progress import CommandFailed, Refusal

PINNED = re.compile(r"([a-z0-9][a-z0-9.-]*)==(\S+)(?: ; [^\\]+)? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?")
SYSTEMS = ("linux", "windows", "macos")
FETCHED = ("audit", "fetching", "sbom")  # what is fetched on the way, by locks of its own


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


@pytest.mark.parametrize("name", FETCHED)
def test_what_is_fetched_on_the_way_is_locked_as_it_was_asked_for(repo: Path, name: str) -> None:
    folder = repo / "packaging" / "locks"
    wanted = [line for line in (folder / f"{name}.in").read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    found = pins((folder / f"{name}.txt").read_text(encoding="utf-8"))
    assert wanted
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(found[requirement.name.lower()]), requirement
    assert f"uv pip compile {name}.in" in (folder / f"{name}.txt").read_text(encoding="utf-8")


class Recorder:
    """Steps that note what they are to run; what plain pip is to fill an environment with, it does not find."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []

    def run(self, command: list[str], **_: str) -> None:
        self.commands.append(command)
        if "pip" in command and "uv" not in command and "--no-deps" in command:
            raise CommandFailed("no such version")


def test_nothing_is_fetched_but_by_its_hashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def run(command: list[str], **_: object) -> None:
        asked.append(command)
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr("subprocess.run", run)
    monkeypatch.setattr(audit, "BUILD", tmp_path)
    monkeypatch.setattr(locks, "BUILD", tmp_path)
    assert audit.main([]) == audit.NOT_REACHED
    with pytest.raises(subprocess.CalledProcessError):
        locks.write_locks([])
    with pytest.raises(subprocess.CalledProcessError):
        environment.fetch(tmp_path / "some.txt", tmp_path)  # of the bill of materials too
    steps = Recorder()
    monkeypatch.setattr(environment, "ENVIRONMENT", tmp_path / "environment")
    monkeypatch.setattr(environment, "SITE_PACKAGES", tmp_path)
    monkeypatch.setattr(environment, "_has_shared_library", lambda: True)
    monkeypatch.setattr(environment.system_libraries, "get_venv_module", lambda _steps: None)
    environment._make_anew(steps)  # type: ignore[arg-type]
    with pytest.raises(Refusal):  # as nothing was installed
        environment._fill(steps, tmp_path / "linux.txt")  # type: ignore[arg-type]
    fetches = [*asked, *(command for command in steps.commands if "install" in command)]
    assert len(fetches) == 6 and any("uv" in command for command in fetches)
    for command in fetches:
        assert "--require-hashes" in command and command[command.index("-r") + 1].endswith(".txt"), command
