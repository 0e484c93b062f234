"""The window exports runs from their context menu, and shows and repeats somebody else's claim."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.synthetic_run import write_run
from tests.helpers.windows import wait, window
from tfx_engine.protocol.messages import Reply
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_workbench.app.exporting import file_name
from tfx_workbench.exporting import bundle as writing
from tfx_workbench.exporting.bundle import write_bundle
from tfx_workbench.exporting.formats import FORMATS

pytestmark = pytest.mark.usefixtures("qapp")
SMALL = {"layers": 2, "heads": 2, "context": 16, "width": 16, "steps": 20}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def no_script(run: Path) -> str:
        raise ConfigError([Problem(code="no-script", path=str(run), template="is only made up.")])

    monkeypatch.setattr(writing, "script_of", no_script)
    for seed, name in enumerate(("one", "two")):
        write_run(tmp_path / "runs" / f"{name}.tfx", name=name, seed=seed, **SMALL)
    return tmp_path


def texts(made, keys):
    menu = made.commands.menu_for(keys)
    export = next(action.menu() for action in menu.actions() if action.menu() and action.text() == "Export")
    return [action.text() for action in export.actions()]


def test_one_run_has_every_format_and_several_have_the_bundle(home: Path) -> None:
    with window(home) as made:
        keys = list(wait(lambda: len(made.session.runs.rows) == 2 and made.session.runs.rows, "the library"))
        assert len(texts(made, keys[:1])) == len(FORMATS)
        assert texts(made, keys) == ["Claim bundle…"]


def test_an_export_is_written_on_a_thread_and_said(home: Path) -> None:
    with window(home) as made:
        key = str(home / "runs" / "one.tfx")
        done: list[str] = []
        made.commands.export.done.connect(done.append)
        made.commands.export.start("json", [key], str(home / "one.json"))
        wait(lambda: done, "the export")
        assert json.loads((home / "one.json").read_text())["name"] == "one"
        assert "one.json" in made.messages.text
        made.commands.export.start("parquet" if no_pyarrow() else "trace", [key], str(home / "x"))
        wait(lambda: "pyarrow" in made.messages.text or "no trace" in made.messages.text, "the refusal")
        assert not (home / "x").exists()


def no_pyarrow() -> bool:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        return True
    return False


@pytest.mark.parametrize("name", ["../../x", "a/b", "=1+1", "", "..", "x" * 500])
def test_the_suggested_file_has_a_name_that_is_one(name: str) -> None:
    found = file_name(name)
    assert found and "/" not in found and found not in (".", "..") and len(found) <= 80


def test_a_bundle_shows_the_authors_figures_and_after_a_run_here_how_far_ours_are_from_them(home: Path) -> None:
    bundle = home / "claim.tfxbundle"
    with bundle.open("wb") as file:
        write_bundle(file, [home / "runs" / "one.tfx"])
    ours = str(home / "runs" / "two.tfx")
    with window(home) as made:
        asked: list[dict] = []

        def submit(configs, tomls, comparison, answer):
            asked.extend(configs)
            answer(Reply(id=1, ok=True, result={"runs": [ours]}))

        made.session.engine.submit = submit
        dialogs: list = []
        made.claims.opened.connect(dialogs.append)
        made.session.open([str(bundle)])
        dialog = wait(lambda: dialogs and dialogs[0], "the dialog")
        words = shown(dialog)
        assert "one" in words and "throughput" in words and "equal" not in words
        dialog.button.click()
        wait(lambda: asked, "the configuration")
        assert asked[0]["model"]["layers"] == 2 and asked[0]["run"]["store"] is None
        made.session.ended.emit(ours, "finished", "")
        wait(lambda: dialog.button.isEnabled(), "the comparison")
        assert "equal" in shown(dialog) and "of the author's" in shown(dialog)
        assert "Throughput" in made.messages.text


def shown(dialog) -> str:
    from PySide6.QtWidgets import QLabel

    return " ".join(label.text() for label in dialog.findChildren(QLabel))


def test_a_file_that_is_no_bundle_is_said(home: Path) -> None:
    (home / "x.tfxbundle").write_bytes(b"PK nothing")
    with window(home) as made:
        made.session.open([str(home / "x.tfxbundle")])
        wait(lambda: "no bundle" in made.messages.text, "the refusal")
