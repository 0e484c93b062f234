"""What runs elsewhere says exactly what it runs on and with: actions by commit, runners by version."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

NAMES = ("audit", "release", "test")
HERE = "./.github/workflows/test.yml"  # the one workflow that another calls


def jobs(repo: Path, name: str) -> dict[str, Any]:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    text = (repo / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)["jobs"]
    return found


def lines(repo: Path, name: str, key: str) -> list[str]:
    text = (repo / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8")
    return re.findall(rf"^\s+(?:- )?{key}: *(.+)$", text, re.M)


@pytest.mark.parametrize("name", NAMES)
def test_actions_are_pinned_by_commit_with_their_release_beside_it(repo: Path, name: str) -> None:
    used = [line for line in lines(repo, name, "uses") if line != HERE]
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


def test_a_release_is_drafted_when_the_suite_and_every_other_job_has_passed(repo: Path) -> None:
    found = jobs(repo, "release")
    assert set(found["draft"]["needs"]) == found.keys() - {"draft"}
    assert [name for name, job in found.items() if job.get("uses") == HERE] == ["suite"]
    assert "workflow_call:" in (repo / HERE).read_text(encoding="utf-8")


def test_the_package_is_installed_where_it_was_not_made(repo: Path) -> None:
    found = jobs(repo, "release")
    images = found["elsewhere"]["strategy"]["matrix"]["image"]
    assert found["linux"]["container"] not in images and {"ubuntu:24.04", "debian:13"} <= {*images}
    said = found["elsewhere"]["steps"][-1]["run"]
    assert "*.deb" in said and "--version" in said and "doctor --json" in said


@pytest.mark.parametrize("name", NAMES)
def test_a_pipe_fails_where_any_part_of_it_does(repo: Path, name: str) -> None:
    pipes = 0
    for job in jobs(repo, name).values():
        if "windows" in str(job.get("runs-on")):
            continue  # its shell is another
        for step in job.get("steps", ()):
            if re.search(r"(?<!\|)\|(?!\|)", step.get("run", "")):
                assert step.get("shell") == "bash", step  # with pipefail, which the usual one has not
                pipes += 1
    assert pipes or name == "audit"
