"""Who may import whom: the contracts of pyproject.toml hold, cover every room, and hold at run time too."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import tfx_engine
import tfx_workbench

QT = ["PySide6", "shiboken6", "pyqtgraph"]
SEEN_BY_THE_WORKBENCH = {"protocol", "runfile", "pretrained", "client"}  # of the engine


def rooms(package) -> set[str]:
    """The subpackages and modules directly in a package, its `__main__` left out."""
    return {module.name for module in pkgutil.iter_modules(package.__path__)} - {"__main__"}


def contract(repo: Path, name: str) -> dict:
    project = tomllib.loads((repo / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    return next(contract for contract in contracts if contract["name"] == name)


def loaded_after(statement: str, wanted: list[str]) -> list[str]:
    """Which of some modules a fresh interpreter has loaded after a statement."""
    report = f"import sys, json; print(json.dumps([name for name in {wanted} if name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", f"{statement}\n{report}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def import_all(package: str) -> str:
    """A statement that imports every module of a package."""
    return (
        f"import importlib, pkgutil, {package}\n"
        f"for module in pkgutil.walk_packages({package}.__path__, '{package}.'):\n"
        f"    if not module.name.endswith('__main__'): importlib.import_module(module.name)"
    )


def test_the_import_contracts_hold(repo):
    run = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", run, "--no-cache"]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("package", [tfx_engine, tfx_workbench], ids=lambda package: package.__name__)
def test_every_room_has_its_layer(repo, package):
    name = "Layers of the engine" if package is tfx_engine else "Layers of the workbench"
    layers = contract(repo, name)["layers"]
    placed = {room.strip(" ()") for layer in layers for room in layer.split("|")}
    assert rooms(package) <= placed, "place the new room in the layers of pyproject.toml"


def test_every_room_of_the_engine_is_hidden_from_the_workbench_or_meant_for_it(repo):
    name = "Of the engine the workbench sees protocol, run file, published models and client"
    hidden = contract(repo, name)["forbidden_modules"]
    hidden_rooms = {name.removeprefix("tfx_engine.") for name in hidden}
    assert rooms(tfx_engine) - SEEN_BY_THE_WORKBENCH <= hidden_rooms, "add the new room to that contract"


@pytest.mark.parametrize("room", sorted({"runs", "analysis", "exhibits", "commands"} & rooms(tfx_workbench)))
def test_what_prints_and_computes_loads_neither_qt_nor_torch(room):
    assert loaded_after(import_all(f"tfx_workbench.{room}"), [*QT, "torch"]) == []


def test_the_command_line_loads_neither_qt_nor_torch():
    assert loaded_after("import tfx_workbench.cli", [*QT, "torch"]) == []


@pytest.mark.parametrize("room", ["protocol", "runfile", "pretrained", "service", "client"])
def test_the_service_side_of_the_engine_loads_no_torch(room):
    whole = import_all(f"tfx_engine.{room}") if room != "client" else "import tfx_engine.client"
    assert loaded_after(whole, ["torch"]) == []


def test_the_whole_workbench_with_its_window_loads_no_torch():
    assert loaded_after(import_all("tfx_workbench"), ["torch"]) == []


def test_the_whole_engine_loads_no_qt_and_no_compiler():
    """torch's compiler takes longer to load than torch: a worker is ready before, and loads it where it trains."""
    assert loaded_after(import_all("tfx_engine"), [*QT, "torch._dynamo"]) == []


def test_the_engine_imports_nothing_at_its_top():
    assert loaded_after("import tfx_engine", ["msgspec", "numpy", "torch"]) == []
