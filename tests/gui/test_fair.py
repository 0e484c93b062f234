"""Compare fairly, from the window: what it will take, its start, and its end as soon as it is precise enough."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.interleaved import made_up, write_interleaved
from tests.helpers.synthetic_run import write_run
from tests.helpers.windows import wait, window
from tfx_engine.protocol.interleaving import Interleave
from tfx_engine.protocol.messages import Notice, Reply
from tfx_workbench.app.fair_dialog import FairDialog
from tfx_workbench.app.window import MainWindow

SIZES = {"layers": 2, "heads": 2, "context": 16, "width": 16}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TFX_HOME", str(tmp_path / "settings"))
    (tmp_path / "runs").mkdir()
    for name in ("one", "two"):
        write_run(tmp_path / "runs" / f"{name}.tfx", name=name, steps=20, **SIZES)
    return tmp_path


def opened(made: MainWindow, names: tuple[str, ...] = ("one", "two")) -> FairDialog:
    """The dialog about these runs, with an engine that knows a step to take 100 ms."""
    wait(lambda: len(made.session.runs.rows) >= 2)
    keys = [str(row.path) for row in made.session.runs.rows.values() if row.name in names]
    made.commands.show_fair(keys)
    return next(dialog for dialog in made.findChildren(FairDialog))


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Answers what the real one would; what it was asked for is kept."""
    asked: dict[str, Any] = {"step_ms": 100.0, "concluded": []}
    module = "tfx_workbench.session.engine.Engine"

    def estimate(_self: Any, _config: Any, on_reply: Callable[[Reply], None], _level: str = "") -> None:
        on_reply(Reply(id=1, ok=True, result={"step_ms": asked["step_ms"]}))

    def compare(
        _self: Any, configs: Any, _toml: Any, comparison: str, how: Interleave, on_reply: Callable[[Reply], None],
        _facts: Any = (),
    ) -> None:
        asked.update(configs=configs, comparison=comparison, how=how)
        on_reply(Reply(id=2, ok=True, result={"runs": asked["runs"][:1] + asked["runs"][2:],
                                              "control": asked["runs"][1]}))

    monkeypatch.setattr(f"{module}.estimate", estimate)
    monkeypatch.setattr(f"{module}.compare", compare)
    monkeypatch.setattr(f"{module}.conclude", lambda _self, *what: asked["concluded"].append(what))
    return asked


def test_it_says_what_the_precision_takes_and_more_precision_takes_longer(home: Path, engine: dict[str, Any]) -> None:
    with window(home) as made:
        dialog = opened(made)
        assert [dialog.baseline.itemText(i) for i in range(2)] == ["one", "two"]
        dialog.precision.set_value(20.0)
        assert "take about" in dialog.foretold.text() and "guess" in dialog.foretold.text()
        dialog.precision.set_value(0.1)
        assert "more minutes" in dialog.foretold.text()
        assert dialog.precision.width() >= 40 and dialog.precision.displayText() == "0.1"
        for nonsense in ("", "-", "nan", "1e9"):
            dialog.precision.setText(nonsense)
            assert 0.1 <= dialog.precision.value() <= 50.0
        dialog.close()


def test_without_a_step_time_it_says_that_it_is_working_it_out(home: Path, engine: dict[str, Any]) -> None:
    engine["step_ms"] = None
    with window(home) as made:
        dialog = opened(made)
        assert "Working out" in dialog.foretold.text() and dialog.start.isEnabled()
        dialog.close()


def test_one_run_needs_a_second_baseline(home: Path, engine: dict[str, Any]) -> None:
    with window(home) as made:
        dialog = opened(made, ("one",))
        assert dialog.start.isEnabled()
        dialog.control.setChecked(False)
        assert not dialog.start.isEnabled()
        dialog.close()


def test_it_is_started_followed_and_ended_once_it_is_enough(home: Path, engine: dict[str, Any]) -> None:
    fair = home / "fair"
    fair.mkdir()
    engine["runs"] = [
        str(write_interleaved(fair / f"{name}.tfx", made_up(i, rounds=6), role))
        for i, (name, role) in enumerate([("base", "baseline"), ("again", "control"), ("other", "member")])
    ]
    with window(home) as made:
        dialog = opened(made)
        dialog.baseline.setCurrentIndex(1)
        dialog.precision.set_value(40.0)
        dialog.minutes.set_value(3.0)
        dialog.start.click()
        assert [config["name"] for config in engine["configs"]] == ["two", "one"], "the baseline is the first"
        assert (engine["how"].minutes, engine["how"].control) == (3.0, True)
        detail = {"comparison": engine["comparison"], "round": 6, "block": 8}
        made.session.engine.noticed.emit(Notice(kind="turns", detail={**detail, "comparison": "another"}))
        made.session.engine.noticed.emit(Notice(kind="turns", detail=detail))
        wait(lambda: engine["concluded"])
        assert engine["concluded"][0][0] == engine["comparison"]
        assert "Round 6, block 8" in dialog.foretold.text() and "widest interval" in dialog.foretold.text()
        assert made.session.runs.baseline == engine["runs"][0]
        dialog.close()


def test_a_second_baseline_of_an_earlier_comparison_takes_no_part(home: Path, engine: dict[str, Any]) -> None:
    write_interleaved(home / "runs" / "again.tfx", made_up(1), "control", "again")
    with window(home) as made:
        wait(lambda: len(made.session.runs.rows) == 3)
        dialog = opened(made, ("one", "two", "again"))
        assert len(made.session.fair.candidates) == 2
        dialog.close()


def test_the_menu_offers_it(home: Path, engine: dict[str, Any]) -> None:
    with window(home) as made:
        wait(lambda: len(made.session.runs.rows) == 2)
        menu = made.commands.menu_for(list(made.session.runs.rows))
        assert menu is not None
        assert "Compare fairly…" in [action.text() for action in menu.actions()]
        made.actions_.compare.trigger()
        dialog = next(iter(made.findChildren(FairDialog)))
        dialog.close()
