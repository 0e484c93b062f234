"""Techniques of the user's own: loaded only where they are trusted, known to all as data, in nobody's way."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from tests.contract.harness import HARNESS
from tests.helpers.own import settings_of_its_own, trust
from tests.helpers.tiny import tiny_config
from tfx_engine.client import own as loading
from tfx_engine.estimate import count_parameters
from tfx_engine.model.assemble import assemble
from tfx_engine.model.validate import validate
from tfx_engine.protocol.cards import built_in_catalogue, load_catalogue
from tfx_engine.protocol.codec import problem_from_data
from tfx_engine.protocol.trust import Trusted, load_trusted, own_catalogue, save_trusted, technique_files
from tfx_engine.protocol.worker_messages import Check
from tfx_engine.techniques.catalogue import discover, in_use
from tfx_engine.techniques.own import load_own, look_again, write_own_catalogue
from tfx_engine.worker.conversation import _checked

DOCUMENT = Path(__file__).parents[2] / "docs" / "own_technique.md"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with settings_of_its_own(tmp_path, monkeypatch) as place:
        yield place


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
        (example().replace("TECHNIQUE =", "TECHNIC ="), "its technique is called TECHNIC; call it TECHNIQUE"),
        ("TECHNIQUE = 1", "no TECHNIQUE = Technique(...) in it, but another thing of that name (int)"),
        ("raise RuntimeError('no luck')", "RuntimeError: no luck (line 1)"),
        ("import sys\nsys.exit(3)", "SystemExit: 3 (line 2)"),
        (example().replace('slot="feedforward"', 'slot="colour"'), "no slot 'colour'"),
        (example().replace("module=__name__", 'module="mine"'), "write module=__name__"),
        (example().replace("order=100", 'order="last"'), "order must be a whole number"),
        (example().replace("build=build", "build=3"), "build must be a function"),
        (example().replace("effects=(", "effects=('+',"), "'+', which is no Effect(...)"),
        (example().replace("work=work,", "work=work, requires=('norm',),"), "Expected `object`, got `str`"),
        (example().replace("class Options:", "class Options:\n    other: int = 3"), "of Options is not made by"),
        (example().replace('kind="float"', 'kind="colour"'), "no kind of option 'colour'"),
        (example().replace("        1.0,", "        'one',"), "default of option 'frequency' is not a legal value"),
    ],
    ids=["syntax", "misnamed", "nothing", "raises", "leaves", "slot", "name", "order", "build", "effects", "requires",
         "field", "kind", "default"],
)
def test_a_file_that_cannot_be_loaded_is_said_and_the_others_are_there(folder: Path, text: str, words: str) -> None:
    (folder / "bad.py").write_text(text, encoding="utf-8")
    trust(folder)
    found = write_own_catalogue()
    (fault,) = found.faults
    assert "bad.py" in fault and words in fault
    assert found.catalogue.find("feedforward", "sine") is not None


def test_what_ends_or_hangs_its_process_is_left_out_and_the_others_are_loaded(folder: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(loading, "LOADING_S", 3)
    (folder / "hangs.py").write_text("import time\ntime.sleep(1000)", encoding="utf-8")
    (folder / "leaves.py").write_text("import os\nos._exit(3)", encoding="utf-8")
    talks = "\nimport os, sys, threading, time\nprint('{}', flush=True)\nos.write(1, b'x')\n"
    talks += "if 'pytest' not in sys.modules: threading.Thread(target=time.sleep, args=(1000,)).start()"
    (folder / "sine.py").write_text(example() + talks, encoding="utf-8")
    save_trusted(Trusted((str(folder),)))
    found = loading.write_down()
    assert [t.name for t in found.techniques] == ["sine"]
    hangs, leaves = found.faults
    assert "hangs.py: was not loaded within 3 s" in hangs
    assert "leaves.py: ended the process" in leaves and "exit code 3" in leaves
    look_again()  # here, now that it is known, neither is loaded
    assert load_own().faults == found.faults


def test_two_folders_may_have_files_of_one_name(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    text = example().replace('slot="feedforward"', 'slot="norm"').replace('"""Sine', '"""Other sine')
    (other / "sine.py").write_text(text, encoding="utf-8")
    save_trusted(Trusted((str(folder), str(other))))
    look_again()
    docs = [own.technique.doc for own in load_own().techniques]
    assert docs[0].startswith("Sine") and docs[1].startswith("Other sine")


@pytest.mark.parametrize(("function", "text", "words"), [
    ("check", "lambda options, config: 1 / 0", "check() fails: ZeroDivisionError: division by zero (line "),
    ("check", "lambda options, config: (1 / 0 for _ in [1])", "check() fails: ZeroDivisionError"),
    ("check", "lambda options, config: ['no']", "check() fails: it gives ['no']"),
    ("check", "lambda options, config: None", "check() fails: TypeError"),
    ("check", "lambda options, config: exit(1)", "check() fails: SystemExit"),
    ("params", "lambda options, config: 'many'", "params() fails: it gives 'many'"),
    ("build", "lambda options, config: 1 / 0", "build() fails: ZeroDivisionError"),
    ("build", "lambda options, config: None", "build() fails: it gives None"),
])  # fmt: skip
def test_a_technique_that_fails_is_named_with_its_line(folder: Path, function: str, text: str, words: str) -> None:
    changed = f"\nimport dataclasses\nTECHNIQUE = dataclasses.replace(TECHNIQUE, {function}={text})\n"
    (folder / "sine.py").write_text(example() + changed, encoding="utf-8")
    trust(folder)
    write_own_catalogue()
    reply = _checked(Check(id=1, config={"techniques": {"feedforward": {"use": "sine"}}}))
    assert not reply.ok and reply.problems[0]["path"] == "techniques.feedforward.use"
    assert words in problem_from_data(reply.problems[0]).sentence()
    assert _checked(Check(id=2, config={})).ok


def test_what_was_built_once_is_built_again_only_when_its_file_has_changed(folder: Path, monkeypatch: Any) -> None:
    trust(folder)
    write_own_catalogue()
    built: list[str] = []
    real = assemble
    monkeypatch.setattr("tfx_engine.model.validate.assemble", lambda *given: built.append("") or real(*given))

    def check(**more: Any) -> bool:
        return _checked(Check(id=1, config={"techniques": {"feedforward": {"use": "sine"}}, **more})).ok

    assert check() and check(name="another") and len(built) == 1
    assert check(model={"width": 128}) and len(built) == 2
    broken = "\nimport dataclasses\nTECHNIQUE = dataclasses.replace(TECHNIQUE, build=lambda options, config: 1 / 0)\n"
    (folder / "sine.py").write_text(example() + broken, encoding="utf-8")
    assert not check() and not check(), "what is wrong is said every time"
    (folder / "sine.py").write_text(example(), encoding="utf-8")
    assert check()


def test_what_loads_once_and_then_no_more_is_said_where_it_is_used(folder: Path) -> None:
    (folder / "sine.py").write_text(example() + "\nimport my_mood\nif my_mood.BAD: raise ValueError('no more')")
    (folder / "my_mood.py").write_text("import os\nBAD = 'TFX_BAD_MOOD' in os.environ")
    trust(folder)
    write_own_catalogue()
    config = tiny_config({"feedforward": "sine"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFX_BAD_MOOD", "1")
        del sys.modules["my_mood"]
        load_own.cache_clear()
        in_use.cache_clear()
        (problem,) = validate(config)
    assert "'sine', a technique of your own that could not be loaded here" in problem.message
    assert "ValueError: no more (line " in problem.message


def test_what_was_known_last_is_the_catalogue_until_the_changed_file_is_loaded(folder: Path) -> None:
    trust(folder)
    write_own_catalogue()
    (folder / "sine.py").write_text("x = 1", encoding="utf-8")
    save_trusted(load_trusted())  # whoever reads now reads anew
    assert load_catalogue().find("feedforward", "sine") is not None
    save_trusted(Trusted((str(folder.parent),)))
    assert load_catalogue().find("feedforward", "sine") is None, "that folder is trusted no more"
    save_trusted(Trusted((str(folder),)))
    write_own_catalogue()
    assert load_catalogue().find("feedforward", "sine") is None


def test_options_may_refuse_what_they_are_given(folder: Path) -> None:
    refuses = "class Options:\n    def __post_init__(self):\n        if self.frequency > 2: 1 / 0\n"
    (folder / "sine.py").write_text(example().replace("class Options:", refuses), encoding="utf-8")
    trust(folder)
    write_own_catalogue()
    (problem,) = validate(tiny_config({"feedforward": {"use": "sine", "frequency": 3.0}}))
    assert problem.path == "techniques.feedforward" and "refuses: ZeroDivisionError: division" in problem.message


def test_a_name_that_is_no_text_is_said(folder: Path) -> None:
    for name in ("caf\udce9.py", "two\nlines.py", "sine.old.py", ".hidden.py"):
        (folder / name).write_text(example(), encoding="utf-8")
    trust(folder)
    found = write_own_catalogue()
    assert [card.name for card in found.catalogue.techniques if card.origin] == ["sine"]
    assert len(found.faults) == 3 and all("rename the file" in fault for fault in found.faults)
    with pytest.raises(OSError, match="rename it"):
        save_trusted(Trusted(("caf\udce9",)))


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


def test_what_a_file_prints_is_no_part_of_the_answer(folder: Path) -> None:
    (folder / "sine.py").write_text(example() + "print('hello', end='')\n", encoding="utf-8")
    save_trusted(Trusted((str(folder),)))
    found = loading.write_down()
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


def test_a_module_may_lie_beside_and_a_change_of_it_is_noticed(folder: Path) -> None:
    for name in ("sizes_of", "_hidden_of"):
        (folder / f"{name}.py").write_text("FACTOR = 4", encoding="utf-8")
    text = example().replace("import dataclasses\n", "import dataclasses\n\nimport _hidden_of\nimport sizes_of\n", 1)
    (folder / "sine.py").write_text(text.replace("4 * width", "sizes_of.FACTOR * width"), encoding="utf-8")
    trust(folder)
    found = write_own_catalogue()
    assert found.faults == () and [card.name for card in found.catalogue.techniques if card.origin] == ["sine"]
    before = assemble(tiny_config({"feedforward": "sine"}), "meta").blocks[0].feedforward.up.out_features
    for name in ("_hidden_of", "sizes_of"):
        (folder / f"{name}.py").write_text("FACTOR = 16", encoding="utf-8")
        assert own_catalogue(load_trusted()) is None
        write_own_catalogue()
        look_again()
    after = assemble(tiny_config({"feedforward": "sine"}), "meta").blocks[0].feedforward.up.out_features
    assert after == 4 * before


def test_buffers_of_a_technique_have_the_numbers_that_it_gave_them(folder: Path) -> None:
    trust(folder)
    found = []
    for more in ("", "        self.register_buffer('shift', torch.tensor(0.5))\n"):
        (folder / "sine.py").write_text(example().replace("        self.up =", more + "        self.up ="))
        write_own_catalogue()
        look_again()
        found.append(assemble(tiny_config({"feedforward": "sine"}), "cpu"))
    without, model = found
    assert [float(block.feedforward.shift) for block in model.blocks] == [0.5] * len(model.blocks)
    weights = dict(without.named_parameters())
    assert all(torch.equal(parameter, weights[name]) for name, parameter in model.named_parameters())
