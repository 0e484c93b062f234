"""What is left of a damaged run file is saved into a sound one; what is not is named."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.helpers.synthetic_run import running, write_run
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.header import is_sealed
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.rescue import rescue
from tfx_workbench.cli import main

PAGE = 4096
SIZES = {"layers": 1, "heads": 2, "context": 16, "width": 16}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of 603 steps."""
    return write_run(tmp_path_factory.mktemp("whole") / "run.tfx", steps=600, **SIZES)


def leaves(path: Path, table: str) -> list[int]:
    """The numbers of the pages that hold the rows of a table, in their order, from 0."""
    with closing(sqlite3.connect(path)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    content = path.read_bytes()
    page = content[(root - 1) * PAGE : root * PAGE]
    assert page[0] == 5, "an interior page of a table"
    cells = [int.from_bytes(page[12 + 2 * i : 14 + 2 * i]) for i in range(int.from_bytes(page[3:5]))]
    return [int.from_bytes(page[cell : cell + 4]) - 1 for cell in cells] + [int.from_bytes(page[8:12]) - 1]


def with_pages_wiped(path: Path, target: Path, pages: list[int]) -> Path:
    """A copy in which some pages hold nothing that makes sense."""
    content = bytearray(path.read_bytes())
    for page in pages:
        content[page * PAGE : (page + 1) * PAGE] = b"\xa5" * PAGE
    target.write_bytes(content)
    return target


def test_rows_before_and_after_pages_that_are_lost_are_saved_with_rollups_of_their_own(
    tmp_path: Path, whole: Path
) -> None:
    pages = leaves(whole, "step")
    assert len(pages) > 9
    damaged = with_pages_wiped(whole, tmp_path / "damaged.tfx", pages[3:5])
    with pytest.raises(RunFileError), closing(RunReader(damaged)) as reader:
        reader.steps()
    found = rescue(damaged, tmp_path / "saved.tfx")
    assert found.damaged == ("step",) and 300 < found.rows["step"] < 603
    with closing(RunReader(found.path)) as reader, closing(RunReader(whole)) as before:
        steps, all_steps = reader.steps(), before.steps()
        assert steps["seq"].tolist() == list(range(1, found.rows["step"] + 1))
        numbers = steps["step"].tolist()
        assert numbers[0] == 1 and numbers[-1] == 603 and numbers == sorted(numbers)
        assert steps["loss"].tolist() == [all_steps["loss"][number - 1] for number in numbers]
        assert reader.rollup(1)["last_step"].tolist() == numbers[15::16]
        assert reader.info().status == "finished" and reader.info().run_id == before.info().run_id
        assert len(reader.events()) == len(before.events()) + 1
        assert "Not all could be read of: step." in reader.events()[-1].message
    assert is_sealed(found.path)
    with closing(sqlite3.connect(found.path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("name", ["x" * 300 + ".tfx", "file/x.tfx"])
def test_a_place_where_nothing_can_be_written_is_said(tmp_path: Path, whole: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunFileError, match="cannot be written"):
        rescue(whole, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_whole_file_is_saved_whole_and_left_as_it_is(tmp_path: Path, whole: Path) -> None:
    content = whole.read_bytes()
    found = rescue(whole, tmp_path / "saved.tfx")
    assert found.damaged == () and found.rows["step"] == 603 and whole.read_bytes() == content
    with closing(sqlite3.connect(whole)) as before, closing(sqlite3.connect(found.path)) as after:
        for table in found.rows:
            sql = f"SELECT * FROM {table} ORDER BY 1, 2"
            there = after.execute(sql).fetchall()
            assert [row for row in there if "rescued" not in row] == before.execute(sql).fetchall(), table


def test_a_value_that_cannot_be_costs_its_row_or_where_it_may_be_missing_itself_alone(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run.tfx", steps=20, **SIZES)
    with closing(RunReader(path)) as reader:
        before = reader.facts().keys()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE step SET loss = 'much' WHERE seq = 7")
        connection.execute("UPDATE step SET layer_grad_norm = x'00' WHERE seq = 8")
        connection.execute("UPDATE event SET args = '{' WHERE seq = 1")
        connection.execute("UPDATE fact SET value = '3' WHERE key = 'layer_names'")
    found = rescue(path, tmp_path / "saved.tfx")
    assert set(found.damaged) == {"step", "event", "fact"}
    with closing(RunReader(found.path)) as reader:
        losses = reader.steps()["loss"]
        assert len(losses) == 23 and [i for i, loss in enumerate(losses, start=1) if loss != loss] == [7]
        assert 8 not in reader.layer_steps("layer_grad_norm")[0] and 9 in reader.layer_steps("layer_grad_norm")[0]
        assert reader.facts().keys() == before - {"layer_names"}


def test_what_cannot_be_saved_or_need_not_be_is_refused(tmp_path: Path, whole: Path) -> None:
    content = whole.read_bytes()
    (tmp_path / "stump.tfx").write_bytes(content[: 2 * PAGE])
    (tmp_path / "none.tfx").write_bytes(b"no database")
    for name, code in (("stump", "damaged"), ("none", "not-sqlite")):
        with pytest.raises(RunFileError) as refused:
            rescue(tmp_path / f"{name}.tfx", tmp_path / "saved.tfx")
        assert refused.value.problem.code == code
    with pytest.raises(RunFileError) as refused:
        rescue(whole, tmp_path / "none.tfx")
    assert refused.value.problem.code == "exists"
    with running(tmp_path / "live.tfx"), pytest.raises(RunFileError) as refused:
        rescue(tmp_path / "live.tfx", tmp_path / "saved.tfx")
    assert refused.value.problem.code == "in-use"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["live.tfx", "none.tfx", "stump.tfx"]


def test_the_command_says_what_it_saved_and_show_names_it(
    tmp_path: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = tmp_path / "cut.tfx"
    cut.write_bytes(whole.read_bytes()[: leaves(whole, "step")[-1] * PAGE])
    assert main(["show", str(cut)]) == 2
    assert "is cut off" in (said := capsys.readouterr().err) and "tfx-workbench rescue FILE" in said
    assert main(["rescue", str(cut), "--store", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["run"] == str(tmp_path / "cut-rescued.tfx") and "step" in found["damaged"]
    assert main(["show", found["run"], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == found["rows"]["step"] > 100
    assert main(["rescue", str(cut), "-o", str(tmp_path / "again.tfx")]) == 0
    assert "not all could be read" in capsys.readouterr().out


def test_a_file_whose_schema_could_act_is_not_rescued(tmp_path: Path, whole: Path) -> None:
    path = tmp_path / "foreign.tfx"
    path.write_bytes(whole.read_bytes())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE VIEW v AS SELECT 1")
    with pytest.raises(RunFileError) as refused:
        rescue(path, tmp_path / "saved.tfx")
    assert refused.value.problem.code == "foreign-schema"
