"""200 names that would do harm wherever they are not taken as text, through everything that writes without a window.

Pages, pictures and tables of reports: `test_report_names.py`. The window: `tests/gui/test_hostile_names.py`.
"""

from __future__ import annotations

import csv
import datetime
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.hostile import hostile
from tests.helpers.synthetic_run import make_config, write_run
from tfx_engine.protocol.problems import Problem
from tfx_engine.protocol.toml import dumps, loads
from tfx_engine.runfile.edit import annotate, rename
from tfx_engine.runfile.store import new_run_path
from tfx_engine.runfile.texts import storable
from tfx_workbench.cli import main
from tfx_workbench.commands.terminal import plain
from tfx_workbench.exporting.csv_file import cell, write_csv
from tfx_workbench.report.names import file_name

NAMES = hostile(200)
NOW = datetime.datetime(2026, 1, 2, 3, 4, 5)
RESERVED = {"con", "prn", "aux", "nul", *(f"{kind}{n}" for kind in ("com", "lpt") for n in range(10))}
# Everything but letters that have a shape: controls, and what turns the direction of writing.
ORDERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def a_file_of_a_run(name: str, folder: Path) -> None:
    path = new_run_path(folder, name, NOW)
    assert_file_name(path.name)
    assert path.parent == folder and path.name.startswith("20260102")


def a_file_of_a_report(name: str, folder: Path) -> None:
    for suffix in (".svg", ".safetensors"):
        assert_file_name(file_name(name, suffix))


def assert_file_name(name: str) -> None:
    assert Path(name).name == name and not set(name) & set('/\\:*?"<>|') and name.isprintable()
    assert len(name.encode()) <= 200 and name.partition(".")[0].casefold() not in RESERVED
    assert not name.startswith((".", "-", "~", " ")) and not name.endswith((".", " "))


def a_configuration(name: str, folder: Path) -> None:
    name = storable(name)
    text = dumps({"name": name, "data": {"path": name}})
    assert loads(text) == {"name": name, "data": {"path": name}}
    assert not ORDERS.search(text.replace("\n", "")) and len(text.splitlines()) == 4


def a_table(name: str, folder: Path) -> None:
    file = io.BytesIO()
    write_csv(file, [name], [[name, "7"]])
    head, row = csv.reader(io.StringIO(file.getvalue().decode(), newline=""))
    assert head[0] == row[0] and row[1] == "7"
    assert not row[0].startswith(tuple("=+-@\t\r\n＝＋－＠"))
    assert cell(name) in ((kept := name.replace("\0", "\ufffd").replace("\r\n", "\n").replace("\r", "\n")), f"'{kept}")


def a_sentence(name: str, folder: Path) -> None:
    problem = Problem(code="x", path=name, template="is {name!r}.", hint_template="Not {name}.", args={"name": name})
    said = plain(problem.sentence())
    assert not ORDERS.search(said.replace("\r", "").replace("\n", ""))
    assert "\r" not in said.strip("\r").replace("\r\n", "")


@pytest.mark.parametrize("write", [a_file_of_a_run, a_file_of_a_report, a_configuration, a_table, a_sentence])
def test_a_name_is_only_a_name(write: Callable[[str, Path], None], tmp_path: Path) -> None:
    for name in NAMES:
        write(name, tmp_path)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty runs called by ten names each; notes and tags too."""
    store = tmp_path_factory.mktemp("store") / "runs"
    first = write_run(store / "0.tfx", make_config(steps=5, layers=1, heads=1, context=8, width=8))
    for i in range(1, 20):
        shutil.copy(first, store / f"{i}.tfx")
    for i in range(20):
        name = "".join(name for name in NAMES[i::20] if len(name) < 200)
        rename(store / f"{i}.tfx", name)
        annotate(store / f"{i}.tfx", note=name, tags=[name])
    return store


def test_what_is_printed_is_no_order_to_the_terminal(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [json.loads(line)["name"] for line in output(capsys, "show", store / "3.tfx", "--json").splitlines()]
    assert names == [storable("".join(name for name in NAMES[3::20] if len(name) < 200))], "JSON keeps every letter"
    for command in (["list"], ["list", "tag:zz"], ["show", store / "3.tfx"], ["show", "\x1b[2J no such"],
                    ["compare", store / "1.tfx", store / "2.tfx"], ["check", "\x1b]0;x\x07.toml"],
                    ["export", store / "1.tfx", "--format", "csv", "-o", store / "no\x1b[31m" / "x.csv"]):
        said = output(capsys, *command, "--store", store) if command[0] != "check" else output(capsys, *command)
        assert said and not ORDERS.search(said), command


def output(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return printed.out + printed.err
