"""The ablation designer: what is ticked becomes a plan, what does not fit says why, start, progress, stop, resume."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QPointF, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel

from tests.helpers.ablation import BASE, plan_of, write_ablation
from tests.helpers.windows import spend, wait, window
from tfx_engine.protocol.interleaving import Interleave
from tfx_engine.protocol.messages import Reply
from tfx_workbench.analysis.ablation import request_from
from tfx_workbench.app.ablation_dialog import AblationDialog
from tfx_workbench.app.window import MainWindow
from tfx_workbench.exhibits.exhibit import Marker
from tfx_workbench.session.ablation import Ablation

pytestmark = pytest.mark.usefixtures("qapp")
OnReply = Callable[[Reply], None]


class Planted:
    """An engine that refuses alibi, knows every memory and time, and queues into a list."""

    def __init__(self, made: MainWindow) -> None:
        self.made, self.asked, self.queued = made, list[str](), list[tuple[str, dict[str, Any], dict[str, Any]]]()
        self.removed: list[str] = []
        engine: Any = made.session.engine
        engine.estimate, engine.step_time, engine.submit = self.estimate, self.step_time, self.submit
        engine.compare, self.asked_turns = self.compare, list[Interleave]()
        engine.remove_from_queue = lambda run, answer: self.removed.append(run)

    def soon(self, answer: OnReply, reply: Reply) -> None:
        QTimer.singleShot(0, self.made, lambda: answer(reply))

    def estimate(self, config: Mapping[str, Any], answer: OnReply, level: str = "instant") -> None:
        self.asked.append(str(config["name"]))
        if "alibi" in json.dumps(config):
            problem = {"code": "x", "path": "model.context", "template": "is too long for ALiBi.", "args": {}}
            self.soon(answer, Reply(id=1, ok=False, problems=[problem]))
            return
        memory = {"peak": 10**6 * len(self.asked)}
        self.soon(answer, Reply(id=1, ok=True, result={
            "memory_bytes": memory, "params": {"total": 1000}, "fits": True, "step_ms": None}))

    def step_time(self, config: Mapping[str, Any], answer: OnReply) -> None:
        self.soon(answer, Reply(id=1, ok=True, result={"step_ms": 100.0}))

    def compare(
        self, configs: Sequence[dict[str, Any]], toml: Sequence[str], comparison: str, asked: Interleave,
        answer: OnReply, facts: Sequence[dict[str, Any]] = (),
    ) -> None:
        self.asked_turns.append(asked)
        self.queued += [(comparison, c, f) for c, f in zip(configs, facts, strict=True)]
        runs = [f"/nowhere/{i}.tfx" for i in range(len(configs))]
        self.soon(answer, Reply(id=1, ok=True, result={"runs": runs, "control": "/nowhere/control.tfx"}))

    def submit(
        self, configs: Sequence[dict[str, Any]], toml: Sequence[str], comparison: str, answer: OnReply,
        facts: Sequence[dict[str, Any]] = (),
    ) -> None:
        self.queued += [(comparison, c, f) for c, f in zip(configs, facts, strict=True)]
        self.soon(answer, Reply(id=1, ok=True, result={"runs": [f"/nowhere/{i}.tfx" for i in range(len(configs))]}))


@pytest.fixture(scope="module")
def opened(qapp: QApplication, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MainWindow]:
    with window(tmp_path_factory.mktemp("home"), size=(1280, 720)) as one:
        yield one


@pytest.fixture
def made(opened: MainWindow) -> MainWindow:
    """One window for all: what the engine said to an earlier test is forgotten."""
    opened.session.ablation = Ablation(opened.session)
    opened.session.runs.show_only([])
    opened.session.draft.load([BASE])
    return opened


@pytest.fixture
def engine(made: MainWindow) -> Planted:
    return Planted(made)


@pytest.fixture
def dialog(made: MainWindow, engine: Planted) -> Iterator[AblationDialog]:
    made.actions_.ablate.trigger()
    found = next(w for w in made.findChildren(AblationDialog) if w.isVisible())
    yield found
    for left in made.findChildren(AblationDialog):
        left.close()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def settle(dialog: AblationDialog) -> None:
    """Until the plan is there and everything that can be known of it is."""
    dialog.ablation.settle()
    wait(lambda: dialog.ablation.plan is None or not dialog.ablation.unanswered)
    wait(lambda: dialog.ablation.plan is None or all(
        "step_ms" in f for c in dialog.ablation.plan.cells if (f := dialog.ablation.figures(c))))


def test_it_opens_with_words_and_nothing_ticked(dialog: AblationDialog) -> None:
    assert "Tick techniques" in dialog.empty.text() and dialog.pages.currentWidget() is dialog.empty
    assert not dialog.start.isEnabled() and not dialog.stop.isEnabled() and not dialog.isModal()
    assert all(label.textFormat() == Qt.TextFormat.PlainText or not label.text() for label in
               dialog.findChildren(QLabel) if label.objectName() in ("muted", "cardTitle"))


def test_what_is_ticked_becomes_runs_minutes_and_memory(dialog: AblationDialog) -> None:
    dialog.tree.tick("norm", ["rms_norm", "dynamic_tanh"])
    settle(dialog)
    assert dialog.summary.text().startswith("3 runs") and "up to" in dialog.summary.text()
    assert "about 15 s" in dialog.summary.text(), "3 runs of 50 steps of 0.1 s"
    assert dialog.start.text() == "Start 3 runs" and dialog.view.table.rowCount() == 3
    dialog.seeds.setCurrentText("2")
    settle(dialog)
    assert dialog.start.text() == "Start 6 runs"


def test_what_the_base_has_cannot_be_ticked_and_what_does_not_fit_says_why(made, dialog: AblationDialog) -> None:
    made.session.draft.choose("softcap", "tanh")
    tree = dialog.tree
    items = {item.text(0): item for i in range(tree.topLevelItemCount()) for slot in [tree.topLevelItem(i)]
             for item in [slot.child(j) for j in range(slot.childCount())]}
    own = next(item for text, item in items.items() if text.startswith("Layer norm"))
    assert "the base" in own.text(0) and not own.flags() & Qt.ItemFlag.ItemIsEnabled
    flash = next(item for text, item in items.items() if "lash" in text)
    assert not flash.flags() & Qt.ItemFlag.ItemIsEnabled and len(flash.toolTip(0)) > 30
    dialog.tree.tick("kernel", ["flash"])
    assert dialog.tree.factors() == (), "a greyed one is not ticked"


def test_what_the_engine_refuses_is_skipped_with_its_reason(dialog: AblationDialog) -> None:
    dialog.tree.tick("position", ["rotary", "alibi"])
    settle(dialog)
    assert "2 runs" in dialog.summary.text() and "1 skipped" in dialog.summary.text()
    last = dialog.view.table.rowCount() - 1
    assert "too long for ALiBi" in dialog.view.table.item(last, 1).text()


def test_starting_queues_what_is_legal_with_what_is_known_of_it(dialog: AblationDialog, engine: Planted) -> None:
    dialog.designs.set_value("factorial")
    dialog._take_base()
    dialog.tree.tick("position", ["rotary", "alibi"])
    dialog.tree.tick("norm", ["rms_norm"])
    settle(dialog)
    QTest.mouseClick(dialog.start, Qt.MouseButton.LeftButton)
    wait(lambda: dialog._window.session.runs.ticked)
    names = [config["name"] for _, config, _ in engine.queued]
    assert names == ["base", "RMS norm", "rotary", "rotary, RMS norm"]
    assert {ident for ident, _, _ in engine.queued} == {dialog.ablation.plan.id}
    facts = [fact["ablation"] for *_, fact in engine.queued]
    assert facts[0]["is_reference"] and not facts[1]["is_reference"] and len(facts[0]["points"]) == 4
    assert facts[3]["levels"] == {"techniques.position": "rotary", "techniques.norm": "rms_norm"}
    assert facts[0]["predicted"]["step_ms"] == 100.0 and request_from(facts[0]["request"]).design == "factorial"


def test_compare_fairly_says_what_turns_take_and_queues_one_comparison(
    made: MainWindow, dialog: AblationDialog, engine: Planted
) -> None:
    """As `ablate --interleave --precision --minutes --no-control`."""
    assert dialog.turns.precision.isHidden() and dialog.seeds.isEnabled()
    dialog.seeds.setCurrentText("3")
    dialog.tree.tick("norm", ["rms_norm", "dynamic_tanh"])
    settle(dialog)
    after_each_other = dialog.summary.text()
    dialog.turns.turns.setChecked(True)
    settle(dialog)
    assert not dialog.turns.precision.isHidden() and not dialog.seeds.isEnabled()
    assert dialog.summary.text().startswith("3 runs"), "rounds are new processes already: no seeds"
    assert "in turns, to ±" in dialog.summary.text() and dialog.summary.text() != after_each_other
    found = dialog.ablation.outlook()
    assert found is not None and found.seconds <= 600
    dialog.turns.precision.set_value(50.0)
    assert (quick := dialog.ablation.outlook()) is not None and quick.seconds < found.seconds
    assert f"±{quick.reached_percent:.1f}" in dialog.summary.text()
    dialog.turns.minutes.set_value(3.0)
    dialog.turns.control.setChecked(False)
    QTest.mouseClick(dialog.start, Qt.MouseButton.LeftButton)
    wait(lambda: made.session.runs.ticked)
    (asked,) = engine.asked_turns
    assert (asked.minutes, asked.control) == (3.0, False)
    assert dialog.ablation.plan is not None
    assert {ident for ident, *_ in engine.queued} == {f"{dialog.ablation.plan.id}-turns-1"}
    assert [fact["ablation"]["is_reference"] for *_, fact in engine.queued] == [True, False, False]
    assert made.session.runs.baseline == "/nowhere/0.tfx"


def test_what_cannot_take_turns_says_why(dialog: AblationDialog) -> None:
    dialog.turns.turns.setChecked(True)
    dialog.tree.tick("norm", ["rms_norm"])
    settle(dialog)
    assert dialog.start.isEnabled()
    dialog.option.setCurrentText("model.width")
    dialog.values.setText("32..512:17")
    QTest.keyClick(dialog.values, Qt.Key.Key_Return)
    settle(dialog)
    assert not dialog.start.isEnabled() and "holds all runs in memory at once" in dialog.detail.text()
    dialog.turns.turns.setChecked(False)
    settle(dialog)
    assert dialog.start.isEnabled() and "memory at once" not in dialog.detail.text()


def test_a_sweep_takes_values_and_says_what_it_cannot_read(dialog: AblationDialog) -> None:
    dialog.designs.set_value("sweep")
    dialog._take_base()
    dialog.option.setCurrentText("model.width")
    dialog.values.setText("64..8:3")
    QTest.keyClick(dialog.values, Qt.Key.Key_Return)
    assert "low..high" in dialog.wrong.text() and not dialog.wrong.isHidden()
    dialog.values.setText("32..128:log:3")
    QTest.keyClick(dialog.values, Qt.Key.Key_Return)
    settle(dialog)
    assert dialog.wrong.isHidden() and dialog.start.text() == "Start 4 runs"
    dialog.tree.tick("norm", ["rms_norm"])
    settle(dialog)
    assert "sweep varies options" in dialog.empty.text() and not dialog.start.isEnabled()
    QTest.mouseClick(dialog.clear, Qt.MouseButton.LeftButton)
    assert dialog.tree.factors() == () and "Tick techniques" in dialog.empty.text()


def test_too_many_runs_are_refused_before_they_are_made(dialog: AblationDialog, engine: Planted) -> None:
    dialog.designs.set_value("factorial")
    dialog._take_base()
    for slot in ("position", "attention", "norm", "feedforward", "placement", "optimizer"):
        dialog.tree.tick(slot, [t.name for t in dialog._window.session.draft.catalogue.in_slot(slot)])
    dialog.ablation.settle()
    assert "1,000" in dialog.empty.text() and "one-at-a-time" in dialog.empty.text()
    assert "runs" in dialog.summary.text() and not dialog.start.isEnabled() and not engine.asked


def test_a_wrong_base_is_said(made: MainWindow, dialog: AblationDialog) -> None:
    made.session.draft.set_value("model.heads", 3)
    dialog.tree.tick("norm", ["rms_norm"])
    dialog.ablation.settle()
    assert "divide" in dialog.empty.text() and not dialog.start.isEnabled()


def test_everything_can_be_done_from_the_keyboard(dialog: AblationDialog) -> None:
    tree = dialog.tree
    slots = [tree.topLevelItem(i) for i in range(tree.topLevelItemCount())]
    tree.setCurrentItem(next(slot for slot in slots if slot.text(0).startswith("Norm  ")).child(1))
    tree.setFocus()
    QTest.keyClick(tree, Qt.Key.Key_Space)
    settle(dialog)
    assert [f.path for f in tree.factors()] == ["techniques.norm"]
    assert dialog.start.isEnabled() and dialog.start.focusPolicy() & Qt.FocusPolicy.TabFocus


def test_what_was_run_before_is_not_run_again_and_the_rest_can_be_stopped(tmp_path: Path) -> None:
    plan = plan_of("norm=rms_norm", "position=rotary", design="factorial")
    write_ablation(tmp_path / "runs", plan, ["finished", "failed", "queued", ""])
    with window(tmp_path, size=(1280, 720)) as made:
        engine = Planted(made)
        made.session.draft.load([BASE])
        wait(lambda: len(made.session.runs.rows) == 3)
        made.actions_.ablate.trigger()
        dialog = next(w for w in made.findChildren(AblationDialog))
        dialog.designs.set_value("factorial")
        dialog._take_base()
        dialog.tree.tick("norm", ["rms_norm"])
        dialog.tree.tick("position", ["rotary"])
        settle(dialog)
        assert dialog.ablation.plan.id == plan.id, "the same design, whoever asked for it"
        progress = dialog.progress.text()
        assert "2 done" in progress and "1 failed" in progress and "1 to come" in progress
        dialog.stop.click()
        assert len(engine.removed) == 1
        dialog.start.click()
        wait(lambda: engine.queued)
        assert [config["name"] for _, config, _ in engine.queued] == ["rotary, RMS norm"]


def test_a_click_on_a_hollow_point_runs_it(tmp_path: Path) -> None:
    plan = plan_of("norm=rms_norm", "position=rotary", design="factorial")
    write_ablation(tmp_path / "runs", plan, ["finished", "finished", "", ""])
    with window(tmp_path, size=(1680, 1010)) as made:
        engine = Planted(made)
        wait(lambda: len(made.session.runs.rows) == 2)
        for key in made.session.runs.rows:
            made.session.runs.tick(key)
        panel: Any = made.area.docks["pareto"].panel
        made.area.docks["pareto"].raise_()

        def hollow_points() -> list[Marker]:
            frames = panel.view.canvas.frames.values() if panel.view.canvas is not None else []
            return [m for frame in frames for m in frame.plot.layers if isinstance(m, Marker) and m.chooses]

        wait(lambda: len(made.session.runs.views()) == 2, "both runs read")
        hollow = wait(lambda: len(found := hollow_points()) == 2 and found, "what was not run")
        (frame,) = panel.view.canvas.frames.values()
        place = panel.view.canvas.mapFromScene(frame.mapToScene(frame.to_pixels(hollow[0].x, hollow[0].y)))
        panel.view.canvas.click_at(QPointF(place))
        wait(lambda: engine.queued)
        ((ident, _config, fact),) = engine.queued
        assert ident == plan.id and fact["ablation"]["levels"] == json.loads(hollow[0].choice)
        panel.limits.memory.setText("1 parsec")
        panel.limits._tell()
        assert panel.limits.memory.property("wrong") and panel.choices().get("memory_limit", "") == ""
        panel.limits.memory.setText("2MB")
        panel.limits._tell()
        assert panel.choices()["memory_limit"] == "2MB" and "fit in" in panel.view.header.sentence()


def test_once_closed_it_hears_nothing_and_opens_anew(made: MainWindow, dialog: AblationDialog) -> None:
    dialog.tree.tick("norm", ["rms_norm"])
    settle(dialog)
    dialog.view.kinds.set_value("pareto")
    dialog.view._choose_page("pareto")
    assert dialog.view.pareto.canvas is not None
    QTest.keyClick(dialog, Qt.Key.Key_Escape)
    assert dialog.view.pareto.canvas is None and not dialog.isVisible()
    made.session.draft.set_value("model.layers", 3)
    spend(0.2)
    made.actions_.ablate.trigger()
    (again,) = [w for w in made.findChildren(AblationDialog) if w.isVisible()]
    assert again is not dialog and "Tick techniques" in again.empty.text()


def test_a_question_about_time_gives_way_to_the_form(dialog: AblationDialog, engine: Planted, monkeypatch) -> None:
    monkeypatch.setattr("tfx_workbench.session.ablation_costs._AGAIN_MS", 1)
    problem = {"code": "superseded", "path": "", "template": "Something else was asked.", "args": {}}
    answers = [Reply(id=1, ok=False, problems=[problem])] * 2
    known = engine.step_time

    def step_time(config: Mapping[str, Any], answer: OnReply) -> None:
        engine.soon(answer, answers.pop()) if answers else known(config, answer)

    engine.made.session.engine.step_time = step_time  # type: ignore[method-assign]
    dialog.tree.tick("norm", ["rms_norm"])
    settle(dialog)
    assert not answers and "about" in dialog.summary.text()
