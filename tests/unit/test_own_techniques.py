"""Techniques of the user's own: loaded only where they are trusted, known to all as data, in nobody's way."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import torch

from tests.contract.harness import HARNESS
from tests.helpers.tiny import tiny_config
from tfx_engine.client.own import write_down
from tfx_engine.estimate import count_parameters
from tfx_engine.model.assemble import assemble
from tfx_engine.model.validate import validate
from tfx_engine.protocol.cards import built_in_catalogue, load_catalogue
from tfx_engine.protocol.config import parse_config
from tfx_engine.protocol.trust import Trusted, load_trusted, own_catalogue, save_trusted, technique_files
from tfx_engine.techniques.catalogue import discover, in_use
from tfx_engine.techniques.own import load_own, look_again, write_own_catalogue

DOCUMENT = Path(__file__).parents[2] / "docs" / "own_technique.md"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A settings folder of its own, and nothing loaded before or after."""
    monkeypatch.setenv("TFX_HOME", str(tmp_path / "home"))
    for _ in range(2):
        load_own.cache_clear()
        in_use.cache_clear()
        if _ == 0:
            yield tmp_path / "home"
    sys.path[:] = [place for place in sys.path if not place.startswith(str(tmp_path))]
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def example() -> str:
    """The file that the ten-minute page makes."""
    found = re.search(r"```python\n(\"\"\"Sine.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "my_techniques"
    place.mkdir()
    (place / "sine.py").write_text(example(), encoding="utf-8")
    return place


def trust(folder: Path) -> None:
    save_trusted(Trusted((str(folder),)))
    look_again()


def test_nothing_is_loaded_that_is_not_trusted(folder: Path) -> None:
    (folder / "sine.py").write_text("raise SystemExit('this code has run')", encoding="utf-8")
    assert not load_trusted() and load_own().techniques == ()
    assert in_use().keys() == discover().keys()


def test_the_page_s_example_becomes_a_technique_like_any_other(folder: Path) -> None:
    trust(folder)
    found = write_own_catalogue()
    assert found.faults == ()
    card = load_catalogue().find("feedforward", "sine")
    assert card is not None and card.origin == str(folder / "sine.py") and card.options[0].name == "frequency"
    assert built_in_catalogue().find("feedforward", "sine") is None
    config = tiny_config({"feedforward": {"use": "sine", "frequency": 2.0}})
    assert validate(config) == []
    model = assemble(config, "cpu")
    assert model.blocks[0].feedforward.frequency == 2.0
    assert count_parameters(config).total == sum(p.numel() for p in model.parameters())
    technique = in_use()["feedforward", "sine"]
    HARNESS["feedforward"](technique, technique.options(frequency=2.0), tiny_config())


def test_a_changed_file_is_loaded_anew_and_the_catalogue_is_known_to_be_old(folder: Path) -> None:
    trust(folder)
    write_own_catalogue()
    text = example().replace('title="Sine feed-forward"', 'title="Another sine"')
    (folder / "sine.py").write_text(text, encoding="utf-8")
    assert own_catalogue(load_trusted()) is None
    look_again()
    assert in_use()["feedforward", "sine"].title == "Another sine"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def broken(:", "SyntaxError"),
        ("x = 1", "no TECHNIQUE"),
        ("raise RuntimeError('no luck')", "no luck"),
        ("import sys\nsys.exit(3)", "SystemExit: 3"),
        (example().replace('slot="feedforward"', 'slot="colour"'), "no slot 'colour'"),
    ],
    ids=["syntax", "nothing", "raises", "leaves", "slot"],
)
def test_a_file_that_cannot_be_loaded_is_said_and_the_others_are_there(folder: Path, text: str, words: str) -> None:
    (folder / "bad.py").write_text(text, encoding="utf-8")
    trust(folder)
    found = write_own_catalogue()
    (fault,) = found.faults
    assert "bad.py" in fault and words in fault
    assert found.catalogue.find("feedforward", "sine") is not None


def test_only_files_are_looked_at(folder: Path) -> None:
    os.mkfifo(folder / "pipe.py")
    (folder / "folder.py").mkdir()
    (folder / "zero.py").symlink_to("/dev/zero")
    assert [path.name for path in technique_files(folder)] == ["sine.py"]


def test_a_name_that_is_taken_is_refused(folder: Path) -> None:
    (folder / "gelu.py").write_text(example(), encoding="utf-8")
    trust(folder)
    (fault,) = load_own().faults
    assert "'gelu' already" in fault


def test_a_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    trust(tmp_path / "gone")
    assert load_own().faults == (f"{tmp_path / 'gone'}: there is no such folder.",)


def test_packages_add_techniques_through_their_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "outer_sine.py").write_text(example(), encoding="utf-8")
    information = tmp_path / "outer_sine-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: outer-sine\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[tfx.techniques]\nouter = outer_sine:TECHNIQUE\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert load_own().techniques == () and "outer_sine" not in sys.modules
    save_trusted(Trusted(packages=("outer-sine",)))
    look_again()
    (own,) = load_own().techniques
    assert (own.technique.slot, own.technique.name) == ("feedforward", "outer_sine")


def test_a_catalogue_with_own_techniques_is_read_without_torch(folder: Path) -> None:
    trust(folder)
    write_own_catalogue()
    code = (
        "import sys; from tfx_engine.protocol.config import parse_config\n"
        "config, problems = parse_config({'techniques': {'feedforward': 'sine'}})\n"
        "sys.exit(bool(problems) or config.use('feedforward') != 'sine' or 'torch' in sys.modules"
        " or any(name.startswith('tfx_own') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


MODULE = '''
from torch import nn

class Halves(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.heads = heads

    def forward(self, x):
        return self.linear(x) / 2

class Ahead(nn.Module):
    def __init__(self):
        super().__init__()

    def forward(self, x):
        return x.flip(1)

class Narrow(nn.Module):
    def forward(self, x):
        return x[..., :1]

def function(x):
    return x
'''


def problem_of(slot: str, module: str) -> str:
    config, problems = parse_config({"techniques": {slot: {"use": "own_module", "module": module}}})
    assert not problems
    return " ".join(p.message for p in validate(config))


@pytest.mark.parametrize("slot", ["attention", "feedforward"])
def test_an_own_module_stands_in_place_of_a_technique(folder: Path, slot: str) -> None:
    (folder / "halves_of.py").write_text(MODULE, encoding="utf-8")
    assert "not trusted" in problem_of(slot, "halves_of:Halves")
    trust(folder)
    assert problem_of(slot, "halves_of:Halves") == ""
    config = tiny_config({slot: {"use": "own_module", "module": "halves_of:Halves"}})
    model = assemble(config, "cpu")
    assert count_parameters(config).total == sum(p.numel() for p in model.parameters())
    assert model(torch.zeros(1, 9, dtype=torch.int64)).shape == (1, 9, 11)


@pytest.mark.parametrize(
    ("slot", "module", "words"),
    [
        ("feedforward", "no name", "package.module:Class"),
        ("feedforward", "os:system", "not trusted"),
        ("feedforward", "faulty_of:function", "no class of torch modules"),
        ("feedforward", "faulty_of:Narrow", "both must be [batch, tokens, width]"),
        ("feedforward", "faulty_of:Nothing", "has no attribute 'Nothing'"),
        ("attention", "faulty_of:Ahead", "depends on the tokens after it"),
    ],
)
def test_an_own_module_that_does_not_fit_is_refused_in_words(folder: Path, slot: str, module: str, words: str) -> None:
    (folder / "faulty_of.py").write_text(MODULE, encoding="utf-8")
    trust(folder)
    assert words in problem_of(slot, module)


def test_an_own_module_too_large_for_any_memory_is_judged_by_its_shapes() -> None:
    wanted = {"model": {"width": 1_000_000}, "techniques": {"feedforward": "own_module"}}
    config, problems = parse_config(wanted)
    assert not problems and validate(config) == []
    assert count_parameters(config).total > 6 * 2 * 4 * 10**12


def test_what_a_file_prints_is_no_part_of_the_answer(folder: Path) -> None:
    (folder / "sine.py").write_text(example() + "print('hello', end='')\n", encoding="utf-8")
    save_trusted(Trusted((str(folder),)))
    found = write_down()
    assert [own.name for own in found.techniques] == ["sine"] and found.faults == ()


def test_a_file_that_never_ends_ends_with_whoever_waits_for_it(folder: Path) -> None:
    pid = folder / "pid"
    (folder / "sine.py").write_text(
        "import os, pathlib, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"pathlib.Path({str(pid)!r}).write_text(str(os.getpid()))\ntime.sleep(600)\n", encoding="utf-8")
    save_trusted(Trusted((str(folder),)))
    code = "from tfx_engine.client.own import write_down; write_down()"
    waiting = subprocess.Popen([sys.executable, "-c", code])
    try:
        until(lambda: pid.exists() and pid.read_text(), "the file runs")
    finally:
        waiting.kill()
        waiting.wait()
    until(lambda: not psutil.pid_exists(int(pid.read_text())), "it is gone")


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"not within a minute: {what}"
        time.sleep(0.05)
