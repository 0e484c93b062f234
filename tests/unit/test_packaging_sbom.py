"""The bill of materials names what the lock names; where CycloneDX's library is, its own schema judges the file.

`python packaging/sbom.py linux` fetches that library, and writes nothing that its schema objects to.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import sbom
from freeze.locks import LOCKS, TARGETS
from product import Product

SYSTEMS = [target.name for target in TARGETS]


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_line_of_the_lock_is_a_package(system: str) -> None:
    lock = (LOCKS / f"{system}.txt").read_text(encoding="utf-8")
    found = sbom.pins(lock)
    assert len(found) == lock.count("==") and found["torch"].startswith("2.") and "pyside6-essentials" in found


def test_the_library_for_it_is_fetched_by_its_hashes() -> None:
    lock = (LOCKS / "sbom.txt").read_text(encoding="utf-8")
    assert "cyclonedx-python-lib" in sbom.pins(lock)
    assert all("--hash=sha256:" in entry for entry in lock.split("==")[1:])


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_bill_fits_the_schema_and_is_the_same_every_time(
    system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(sbom.LIBRARY)])
    pytest.importorskip("cyclonedx.validation.json", reason="fetched by `python packaging/sbom.py`")
    pytest.importorskip("jsonschema", reason="fetched by `python packaging/sbom.py`")
    first, second = (sbom.write(sbom.bill(system, Product("1.2.3", 1_700_000_000))) for _ in range(2))
    assert first == second and sbom.invalid(first) == ""
    bill = json.loads(first)
    parts = {part["name"]: part for part in bill["components"]}
    assert parts["torch"]["scope"] == "required" and parts["pytest"]["scope"] == "excluded"
    assert bill["metadata"]["component"]["version"] == "1.2.3" and "python" in parts
    assert ("type2-runtime" in parts) == (system == "linux")  # the AppImage begins with it
    assert sbom.invalid(first.replace('"library"', '"librarian"', 1)) != ""
