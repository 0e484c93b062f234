"""The question "What fits?" in the window: predicted at once, confirmed by runs, cancelled, refused, and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QTimer

from tests.helpers.synthetic_run import write_run
from tests.helpers.windows import wait, window
from tfx_engine.protocol.messages import Reply
from tfx_workbench.analysis.frontier import Frontier, Row
from tfx_workbench.analysis.frontier_file import NAME, read_frontiers
from tfx_workbench.app.window import MainWindow
from tfx_workbench.exhibits.palette import DARK, LIGHT
from tfx_workbench.panels import all_panels
from tfx_workbench.panels.frontier import FrontierPanel
from tfx_workbench.runs.rundata import RunData

pytestmark = pytest.mark.usefixtures("qapp")
OnReply = Callable[[Reply], None]
SMALL = {"layers": 2, "heads": 2, "context": 16, "width": 16}


class Planted:
    """An engine that knows all: a sample takes 100 bytes, with `every_block` 40. A run's peak is what the file says."""

    def __init__(self, made: MainWindow, is_slow: bool = False) -> None:
        self.made, self.submitted, self.is_slow = made, list[dict[str, Any]](), is_slow
        self.owed = 0  # answers that are on their way
        self.run = write_run(made.session.store / "probing.tfx", steps=3, **SMALL)
        self.peak = RunData(self.run).load().summary()["memory_bytes"]["peak"]
        engine: Any = made.session.engine
        engine.doctor = lambda answer: self.soon(answer, {"automatic_device": "cpu", "ram_free_bytes": 2**40})
        engine.validate = lambda config, answer: self.soon(answer, {})
        engine.estimate = self.estimate
        engine.submit = self.submit

    def soon(self, answer: OnReply, result: dict[str, Any]) -> None:
        def reply() -> None:
            self.owed -= 1
            answer(Reply(id=1, ok=True, result=result))

        self.owed += 1
        QTimer.singleShot(20 if self.is_slow else 0, self.made, reply)

    def estimate(self, config: Mapping[str, Any], answer: OnReply, level: str = "instant") -> None:
        recompute = config.get("techniques", {}).get("recompute", {}).get("use")
        peak = self.peak * config["run"]["batch"] * (0.4 if recompute == "every_block" else 1) if "run" in config else 1
        self.soon(answer, {"memory_bytes": {"peak": round(peak)}, "device_bytes": 2**40, "step_ms": 1.0, "level": level,
                           "missing": {}})

    def submit(self, configs: list[dict[str, Any]], toml: list[str], comparison: str, answer: OnReply) -> None:
        self.submitted += configs
        self.soon(answer, {"runs": [str(self.run)]})

    def end_run(self) -> None:
        self.made.session.ended.emit(str(self.run), "finished", "")


@pytest.fixture
def made(tmp_path: Path) -> Iterator[MainWindow]:
    with window(tmp_path, size=(1680, 1010)) as opened:
        yield opened


def panel_of(made: MainWindow) -> FrontierPanel:
    panel = made.area.docks["frontier"].panel
    assert isinstance(panel, FrontierPanel)
    return panel


def ask(made: MainWindow, limit: int) -> FrontierPanel:
    panel = panel_of(made)
    panel.strip.limit.setCurrentText(str(limit))
    panel.strip.choose_techniques(["recompute=every_block"])
    made.actions_.fits.trigger()
    return panel


def test_it_is_predicted_confirmed_and_there_again(made: MainWindow, tmp_path: Path) -> None:
    planted, search = Planted(made), made.session.frontier
    panel = ask(made, 10 * planted.peak)
    assert panel.isVisible() and search.is_busy and not panel.strip.confirm.isEnabled()
    wait(lambda: not search.is_busy, "the prediction")
    assert [row.value for row in search.found["batch"].rows] == [10, 25]
    assert "10 within" in panel.view.header.sentence() and panel.strip.confirm.isEnabled()
    panel.strip.confirm.click()
    for number in (1, 2):
        wait(lambda n=number: len(planted.submitted) == n and search._run, "a probing run")
        planted.end_run()
    wait(lambda: not search.is_busy, "the end")
    assert [row.measured_bytes for row in search.found["batch"].rows] == [planted.peak] * 2
    assert [c["run"]["batch"] for c in planted.submitted] == [10, 25]
    made.close()
    with window(tmp_path) as later:
        panel = panel_of(later)
        wait(lambda: panel.choices().get("found"), "what was found")
        panel.show()
        wait(lambda: "25 with recompute" in panel.view.header.sentence(), "the panel says it")
        assert later.session.frontier.found == search.found


def test_the_strip_before_a_run_asks_it_too(made: MainWindow) -> None:
    planted = Planted(made)
    panel_of(made).strip.limit.setCurrentText(str(10 * planted.peak))
    made.pane.before_run.fits_asked.emit()
    assert made.session.frontier.is_busy and panel_of(made).isVisible()


def test_it_can_be_cancelled_and_asked_again(made: MainWindow) -> None:
    planted = Planted(made, is_slow=True)
    panel = ask(made, 10 * planted.peak)
    wait(lambda: made.session.frontier.asked, "a question")
    panel.strip.predict.click()
    assert not made.session.frontier.is_busy and panel.strip.predict.text() == "Predict"
    wait(lambda: not planted.owed, "the answer to what is no longer asked")
    assert made.session.frontier.asked is None
    planted.is_slow = False
    panel.strip.predict.click()
    wait(lambda: not made.session.frontier.is_busy, "the second one")
    assert made.session.frontier.found["batch"].rows[0].value == 10


def test_a_run_that_is_cancelled_is_stopped(made: MainWindow, monkeypatch: pytest.MonkeyPatch) -> None:
    planted, search, stopped = Planted(made), made.session.frontier, list[Any]()
    monkeypatch.setattr(made.session, "control", lambda keys, action: stopped.append((list(keys), action)))
    panel = ask(made, 10 * planted.peak)
    wait(lambda: not search.is_busy, "the prediction")
    panel.strip.confirm.click()
    wait(lambda: search._run, "a probing run")
    panel.strip.predict.click()
    assert stopped == [([str(planted.run)], "stop")]
    planted.end_run()
    assert not search.is_busy and search.found["batch"].rows[0].measured_bytes is None


def test_a_window_that_was_killed_finds_what_its_run_measured(made: MainWindow) -> None:
    planted, search = Planted(made), made.session.frontier
    panel = ask(made, 10 * planted.peak)
    wait(lambda: not search.is_busy, "the prediction")
    panel.strip.confirm.click()
    wait(lambda: search._run, "a probing run")
    assert read_frontiers(made.session.store)["batch"].rows[0].runs == [str(planted.run)]
    search.load()
    row = search.found["batch"].rows[0]
    assert row.measured_bytes == planted.peak and row.headroom_bytes == 9 * planted.peak


def test_an_engine_that_dies_ends_the_search_with_a_sentence(made: MainWindow) -> None:
    planted = Planted(made)
    gone = {"code": "engine-gone", "path": "", "template": "The engine ended."}
    made.session.engine.estimate = (  # type: ignore[method-assign]
        lambda config, answer, level="instant": answer(Reply(id=1, ok=False, problems=[gone])))
    ask(made, 10 * planted.peak)
    wait(lambda: not made.session.frontier.is_busy, "the end")
    assert "The engine ended." in made.messages.text


@pytest.mark.parametrize("limit", ["-1", "0", "many", "9e99GiB"])
def test_a_limit_that_is_none_is_marked_and_nothing_is_asked(limit: str, made: MainWindow) -> None:
    panel = panel_of(made)
    panel.strip.limit.setCurrentText(limit)
    made.actions_.fits.trigger()
    assert panel.strip.limit.property("wrong") and not made.session.frontier.is_busy
    panel.strip.limit.setCurrentText("24GiB")
    assert not panel.strip.limit.property("wrong")


def test_a_draft_that_cannot_run_is_not_looked_at(made: MainWindow) -> None:
    made.session.draft.set_value("run.batch", 0)
    made.actions_.fits.trigger()
    assert not made.session.frontier.is_busy and "run.batch" in made.messages.text


def test_a_store_that_cannot_be_written_hinders_nothing(made: MainWindow) -> None:
    planted = Planted(made)
    (made.session.store / NAME).mkdir()
    ask(made, 10 * planted.peak)
    wait(lambda: not made.session.frontier.is_busy, "the prediction")
    assert made.session.frontier.found["batch"].rows[0].value == 10


@pytest.mark.parametrize("palette", [DARK, LIGHT], ids=lambda p: p.name)
def test_the_panel_paints_at_every_size(palette: Any, qtbot: Any) -> None:
    panel = next(factory for factory in all_panels() if factory.name == "frontier")()
    qtbot.addWidget(panel, before_close_func=lambda p: p.close_panel())
    panel.apply_theme(palette)
    panel.resize(420, 320)
    panel.show()
    panel.update_runs([])
    assert "Press Predict" in panel.view.empty_text
    rows = [Row("", 8, 8, 100, 90, 10), Row("recompute=every_block", 20, 20, 100, None, 0)]
    panel.show_found({"batch": Frontier("batch", "mine", {}, rows, "c", 100)}, False, "")
    for view in ("bars", "figures"):
        panel.choose("view", view)
        image = panel.grab().toImage()
        assert panel.view.empty_text == ""
        assert len({image.pixel(x, y) for x in range(0, 420, 7) for y in range(60, 300, 7)}) > 4
    assert panel.minimumSizeHint().width() <= 240
    for size in ((240, 200), (1600, 1100), (240, 900)):
        panel.resize(*size)
        panel.grab()
