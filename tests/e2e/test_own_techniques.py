"""The ten-minute page, typed: trust a folder, read the technique's page, run it beside a built-in one, compare."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.helpers.commandline import command, write_config

DOCUMENT = Path(__file__).parents[2] / "docs" / "own_technique.md"


def test_the_ten_minute_page_works_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFX_HOME", str(tmp_path / "home"))
    folder, store = tmp_path / "my_techniques", tmp_path / "store"
    folder.mkdir()
    text = DOCUMENT.read_text(encoding="utf-8")
    found = re.search(r"```python\n(\"\"\"Sine.*?)```", text, re.DOTALL)
    assert found is not None
    (folder / "sine.py").write_text(found[1], encoding="utf-8")

    unasked = command("trust", folder)
    assert unasked.code == 2 and "sine.py" in unasked.err and "nobody confirmed it" in unasked.err
    trusted = command("trust", folder, "--yes")
    assert trusted.code == 0 and 'feedforward = "sine"' in trusted.out
    page = command("techniques", "sine")
    assert page.code == 0 and "Sitzmann" in page.out and "frequency" in page.out

    gelu = write_config(tmp_path, "gelu")
    own = {"feedforward": {"use": "sine", "frequency": 2.0}}
    sine = write_config(tmp_path, "sine", techniques=own)
    ran = command("run", gelu, sine, "--store", store, "--json")
    assert ran.code == 0
    first, second = ran.objects
    assert first["params"] == second["params"] and first["loss"] != second["loss"]
    assert second["flops_per_token"] == first["flops_per_token"]
    compared = command("compare", first["run"], second["run"], "--json")
    assert compared.code == 0 and "sine" in compared.out

    (folder / "sine.py").write_text("nothing to see", encoding="utf-8")
    broken = command("techniques", "sine")
    assert broken.code == 2 and "sine.py" in broken.err
    assert command("trust", folder, "--forget", "--json").objects[0]["trusted"] == {"folders": [], "packages": []}
