"""The whole window: it comes up, does what keys and buttons say, remembers, and goes without a trace."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from tests.helpers.services import family, gone, info
from tests.helpers.synthetic_run import write_five, write_run
from tests.helpers.windows import all_drawn, seen_views, spend, wait, window
from tfx_workbench.app.dock_area import IN_FRONT
from tfx_workbench.app.window import MainWindow
from tfx_workbench.widgets.run_words import Column

pytestmark = pytest.mark.usefixtures("qapp")


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of the engine are those of the stand-in worker: real files, no torch."""
    monkeypatch.setenv("TFX_WORKER_MODULE", "tests.helpers.standin_worker")


def test_the_window_is_usable_before_panels_and_engine_are_there(tmp_path: Path) -> None:
    with window(tmp_path, begun=False) as made:
        assert made.isVisible()
        assert made.actions_.run.isEnabled()
        assert not made.area.docks
        made.begin()
        assert {"memory", "throughput", "gradients", "attention", "loss", "device"} <= set(made.area.docks)


def test_without_runs_the_panels_say_how_to_start_one_and_with_some_how_to_see_them(tmp_path: Path) -> None:
    def all_say(words: str, but_not: str = "nothing of the kind") -> bool:
        texts = {view.empty_text for view in seen_views(made).values()}
        return bool(texts) and all(words in text and but_not not in text for text in texts)

    with window(tmp_path) as made:
        wait(lambda: all_say("press Run (F5)", "Tick"), "how to start one")
        write_run(tmp_path / "runs" / "one.tfx", steps=5)
        made.session.reading.scan()
        wait(lambda: made.session.runs.rows, "the run")
        made.session.runs.show_only([])
        wait(lambda: all_say("Tick a run"), "how to see it")


def test_every_panel_shows_finished_runs_like_live_ones(tmp_path: Path) -> None:
    keys = [str(p) for p in write_five(tmp_path / "runs", steps=60)]
    with window(tmp_path) as made:
        wait(lambda: len(made.session.runs.rows) == 5)
        made.session.runs.show_only(keys)
        made.session.runs.set_baseline(keys[0])
        wait(lambda: len(made.session.runs.views()) == 5)
        wait(lambda: len(seen_views(made)) == 6 and all_drawn(made), "every panel has what to show")
        wait(lambda: made.table.model.line(1).speed_effect, "the effect")
        assert "−" in str(made.table.model.index(1, Column.SPEED_EFFECT).data())


def test_a_choice_in_the_form_reaches_the_draft_and_ctrl_z_takes_it_back(tmp_path: Path, qtbot: QtBot) -> None:
    with window(tmp_path) as made:
        toggle = made.pane.form.rows["placement"].toggle
        assert toggle is not None
        qtbot.mouseClick(toggle.segment("post_norm"), Qt.MouseButton.LeftButton)
        assert made.session.draft.config.use("placement") == "post_norm"
        assert made.pane.changed_button.text() == "1 changed"
        made.actions_.undo.trigger()
        assert toggle.value == "pre_norm"
        made.actions_.redo.trigger()
        assert toggle.value == "post_norm"


def test_run_says_what_is_wrong_next_to_the_field_and_queues_nothing(tmp_path: Path) -> None:
    with window(tmp_path) as made:
        made.session.draft.set_value("model.heads", 7)
        made.actions_.run.trigger()
        assert "model.heads" in made.messages.text
        field = made.pane.form.forms["heads"].fields["model.heads"]
        assert "does not divide" in field.problem
        assert not (tmp_path / "runs").exists()


def test_a_refusal_is_gone_as_soon_as_the_run_is_accepted(tmp_path: Path, standin: None) -> None:
    with window(tmp_path, engine=True) as made:
        made.session.draft.load([{"name": "quick"}], "One")
        made.session.draft.set_value("model.heads", 7)
        made.actions_.run.trigger()
        assert "Cannot run yet" in made.messages.text
        shown: list[str] = []
        made.session.submitted.connect(lambda _keys: shown.append(made.messages.text))
        made.session.draft.set_value("model.heads", 8)
        made.actions_.run.trigger()
        wait(lambda: made.table.model.rowCount() == 1, "the run")
        assert shown and "Cannot run yet" not in shown[0]


def test_run_queues_every_configuration_of_a_preset_and_shows_the_runs(tmp_path: Path, standin: None) -> None:
    with window(tmp_path, engine=True) as made:
        made.session.draft.load([{"name": "quick"}, {"name": "quick", "seed": 1}], "Two")
        assert [b.isVisible() for b in made.pane.chips.buttons] == [True, True]
        made.actions_.run.trigger()
        wait(lambda: made.table.model.rowCount() == 2, "two rows")
        wait(lambda: all(line.status == "finished" for line in made.session.runs.lines()), "both to finish")
        lines = made.session.runs.lines()
        assert all(line.ticked for line in lines)
        assert [line.is_baseline for line in lines] == [True, False]


def test_a_run_is_audited_again_from_its_menu_and_the_form_from_the_menu_of_runs(tmp_path: Path, standin: None) -> None:
    with window(tmp_path, engine=True) as made:
        made.session.draft.load([{"name": "quick"}])
        made.actions_.run.trigger()
        wait(lambda: [row.status for row in made.session.runs.rows.values()] == ["finished"], "it to finish")
        menu = made.commands.menu_for([made.session.runs.lines()[0].key])
        assert menu is not None
        next(a for a in menu.actions() if a.text() == "Audit again").trigger()
        wait(lambda: "quick: audited, 1 claim holds." in made.messages.text, "words about it")
        wait(lambda: made.session.runs.lines()[0].claims_held == 1, "the table to say so")
        made.session.draft.load([{"name": "endless"}])
        made.actions_.audit.trigger()
        wait(lambda: "does not do what it claims" in made.messages.text, "words about what is broken")
        assert "3 tokens are hidden." in made.messages.text


def test_stop_ends_the_run_that_is_going_and_keeps_what_was_measured(tmp_path: Path, standin: None) -> None:
    with window(tmp_path, engine=True) as made:
        made.session.draft.load([{"name": "endless"}])
        assert not made.actions_.stop.isEnabled()
        made.actions_.run.trigger()
        wait(lambda: made.actions_.stop.isEnabled(), "a run that is going")
        wait(lambda: (line := made.session.runs.lines()[0]).loss is not None and line, "a step")
        made.actions_.stop.trigger()
        wait(lambda: made.session.runs.lines()[0].status == "stopped", "the run to stop")
        assert made.session.runs.lines()[0].loss is not None


def test_a_waiting_run_can_be_taken_out_of_the_queue(tmp_path: Path, standin: None) -> None:
    with window(tmp_path, engine=True) as made:
        made.session.draft.load([{"name": "endless"}, {"name": "quick"}])
        made.actions_.run.trigger()
        wait(lambda: {r.status for r in made.session.runs.rows.values()} == {"running", "queued"}, "one waiting")
        waiting = [str(r.path) for r in made.session.waiting()]
        menu = made.commands.menu_for(waiting)
        assert menu is not None
        next(a for a in menu.actions() if a.text() == "Remove from queue").trigger()
        wait(lambda: info(Path(waiting[0])).status == "stopped", "it to leave")
        made.actions_.stop.trigger()
        wait(lambda: not made.session.going())


def test_an_engine_that_dies_is_started_again_and_says_so(tmp_path: Path, standin: None) -> None:
    with window(tmp_path, engine=True) as made:
        made.session.draft.load([{"name": "endless"}, {"name": "quick"}])
        made.actions_.run.trigger()
        wait(lambda: made.session.going() and made.session.waiting(), "one going, one waiting")
        first = made.session.engine.pid
        assert first is not None
        old = family(first)
        old[0].kill()
        said = lambda: " ".join(text for _, text in made.messages.history)  # noqa: E731
        wait(lambda: "engine ended unexpectedly" in said(), "words about it")
        wait(lambda: made.session.engine.pid not in (None, first), "another engine")
        by_name = lambda: {r.name: r.status for r in made.session.runs.rows.values()}  # noqa: E731
        wait(lambda: by_name() == {"endless": "interrupted", "quick": "finished"}, "the queue to go on")
        assert gone(old, within_s=20)


def test_a_run_goes_on_when_the_window_is_closed_and_the_next_one_finds_it(tmp_path: Path, standin: None) -> None:
    with window(tmp_path, engine=True) as made:
        made.session.draft.load([{"name": "endless"}])
        made.actions_.run.trigger()
        wait(made.session.going, "a run")
        key = str(made.session.going()[0].path)
        pid = info(Path(key)).pid
    assert pid is not None
    with window(tmp_path, engine=True) as made:
        wait(lambda: "running from before" in made.messages.text, "words about it")
        wait(lambda: made.session.runs.views(), "the live run")
        assert made.session.runs.ticked == [key]
        made.actions_.stop.trigger()
        wait(lambda: made.session.runs.lines()[0].status == "stopped", "the run to stop")


def test_form_layout_theme_and_ticks_are_remembered(tmp_path: Path) -> None:
    keys = [str(p) for p in write_five(tmp_path / "runs", steps=20)]
    with window(tmp_path, size=(1400, 900)) as made:
        made.session.draft.set_value("model.width", 96)
        made.area.docks["device"].close()
        made.view_menu.choose_theme("dark")
        wait(lambda: len(made.session.runs.rows) == 5)
        made.session.runs.show_only(keys[1:3])
        made.session.runs.set_baseline(keys[1])
    with window(tmp_path) as made:
        assert made.session.draft.config.model.width == 96
        assert not made.area.docks["device"].isVisible()
        assert made.area.docks["memory"].isVisible()
        assert made.theme.name == "dark"
        assert made.session.runs.ticked == keys[1:3]
        assert made.session.runs.baseline == keys[1]
        made.actions_.arrange.trigger()
        assert made.area.docks["device"].isVisible()


def test_the_form_is_on_disk_a_moment_after_the_last_key(tmp_path: Path) -> None:
    with window(tmp_path) as made:
        made.session.draft.set_value("model.width", 96)
        kept = tmp_path / "draft.json"
        wait(lambda: kept.is_file() and json.loads(kept.read_text())["configs"][0].get("model") == {"width": 96})


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", '{"configs": 5}', "\0\0"])
def test_a_window_comes_up_whatever_the_settings_say(tmp_path: Path, content: str) -> None:
    (tmp_path / "draft.json").write_text(content)
    (tmp_path / "window.ini").write_text(
        "[layout]\nversion=1\ndocks=@ByteArray(nonsense)\ngeometry=5\n[runs]\nticked=}{\n")
    with window(tmp_path) as made:
        assert made.isVisible()
        assert all(dock.isVisible() for dock in made.area.docks.values())


def test_files_are_opened_by_dropping_them(tmp_path: Path) -> None:
    run = write_run(tmp_path / "elsewhere.tfx", steps=20)
    config = tmp_path / "mine.toml"
    config.write_text("[model]\nwidth = 96\n")
    with window(tmp_path) as made:
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(run)), QUrl.fromLocalFile(str(config)), QUrl("https://example.org/x.tfx")])
        made.dropEvent(QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton,
                                  Qt.KeyboardModifier.NoModifier))
        assert made.session.draft.config.model.width == 96
        wait(lambda: made.session.runs.views(), "the run")


def test_deleting_offers_undo(tmp_path: Path) -> None:
    path = write_run(tmp_path / "runs" / "a.tfx", steps=10) if (tmp_path / "runs").mkdir() is None else None
    assert path is not None
    with window(tmp_path) as made:
        wait(lambda: made.session.runs.rows)
        made.table.select([str(path)])
        made.table.view.delete_asked.emit()
        assert not path.exists()
        made.messages._action.click()
        assert path.exists()


def test_a_saved_configuration_can_be_opened_again(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    with window(tmp_path) as made:
        made.session.draft.choose("adapter", "lora")
        made.session.draft.set_value("techniques.adapter.rank", 4)
        before = made.session.draft.config
        made.commands._dialogs.save(str(file))
        made.session.draft.reset()
        made.session.open([file])
        assert made.session.draft.config == before
        made.commands._dialogs.save(str(tmp_path / "no" / "such" / "folder.toml"))
        assert "cannot be written" in made.messages.text
        run = write_run(tmp_path / "run.tfx", steps=2)
        before_it = run.read_bytes()
        made.commands._dialogs.save(str(run))
        assert "nothing is written over a run" in made.messages.text and run.read_bytes() == before_it


def test_help_settings_and_messages_open_and_nothing_is_modal(tmp_path: Path) -> None:
    with window(tmp_path) as made:
        do = made.actions_
        for action in (do.help, do.settings, do.log, do.open, do.save):
            action.trigger()
        wanted = {"Keyboard and help", "Settings", "Messages"}
        wait(lambda: {dialog.windowTitle() for dialog in _dialogs(made)} >= wanted, "all of them")
        assert QApplication.activeModalWidget() is None
        for dialog in _dialogs(made):
            dialog.close()


def _dialogs(made: MainWindow) -> list[QWidget]:
    return [w for w in QApplication.topLevelWidgets() if w.isVisible() and w is not made and w.windowTitle()]


def test_every_shortcut_is_listed_in_the_help_and_none_is_given_twice(tmp_path: Path) -> None:
    with window(tmp_path) as made:
        keys = [k for k, _ in made.actions_.shortcuts()]
        assert {"F5", "Shift+F5", "Ctrl+K", "Ctrl+O", "Ctrl+S", "F1", "Ctrl+,", "Ctrl+Z", "Ctrl+Shift+Z"} <= set(keys)
        assert len(keys) == len(set(keys))


@pytest.mark.parametrize("size", [(1280, 720), (1680, 1010), (3840, 2160)])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_is_clipped(tmp_path: Path, size: tuple[int, int], theme: str) -> None:
    write_five(tmp_path / "runs", steps=20)
    with window(tmp_path, size=size) as made:
        made.view_menu.choose_theme(theme)
        wait(lambda: len(made.session.runs.rows) == 5)
        made.session.runs.show_only(list(made.session.runs.rows))
        wait(lambda: len(made.session.runs.views()) == 5 and all_drawn(made), "everything drawn")
        wait(lambda: not _clipped(made), "a place for everything")
        assert (made.width(), made.height()) == size


def _clipped(made: MainWindow) -> list[QWidget]:
    """What has less room than it needs."""
    bars = _visible(made.top) + _visible(made.pane.before_run)
    found = [widget for widget in bars if widget.width() < widget.minimumSizeHint().width()]
    found += [made.table] if made.table.view.horizontalScrollBar().maximum() else []
    return [*found, *(dock for dock in made.area.docks.values()
                      if dock.width() < dock.minimumSizeHint().width() or dock.height() < 140)]


def _visible(parent: QWidget) -> list[QWidget]:
    return [w for w in parent.findChildren(QWidget) if w.isVisible() and w.parentWidget() is parent]


def test_everything_that_takes_the_keyboard_has_a_name(tmp_path: Path) -> None:
    with window(tmp_path) as made:
        assert [w for w in _keyboard_stops(made) if not _name(w)] == []


def _keyboard_stops(made: MainWindow) -> list[QWidget]:
    return [w for w in made.findChildren(QWidget) if w.isVisible() and w.focusPolicy() & Qt.FocusPolicy.TabFocus
            and w.isEnabled()]


def _name(widget: QWidget) -> str:
    text = getattr(widget, "text", None)
    return widget.accessibleName() or (text() if callable(text) else "")


def test_f6_goes_round_all_panes(tmp_path: Path) -> None:
    write_five(tmp_path / "runs", steps=20)
    with window(tmp_path) as made:
        wait(lambda: made.session.runs.views())
        made.activateWindow()
        wait(made.isActiveWindow, "the window in front")
        panes = {"top": made.top, "form": made.pane, "panels": made.area, "runs": made.table}
        visited: list[str] = []
        for _ in range(12):
            made.actions_.next_pane.trigger()
            focus = QApplication.focusWidget()
            assert focus is not None
            visited.append(next(name for name, pane in panes.items() if pane.isAncestorOf(focus)))
        assert set(visited) == set(panes)
        assert visited[0] == "top"


def test_what_is_shown_is_remembered_at_once_so_that_a_killed_window_loses_nothing(tmp_path: Path) -> None:
    keys = [str(p) for p in write_five(tmp_path / "runs", steps=20)]
    with window(tmp_path) as made:
        wait(lambda: made.session.runs.ticked == keys, "the newest comparison is shown without being asked")
        made.session.runs.show_only(keys[:2])
        wait(lambda: made.settings.ticked == keys[:2])


def test_tab_goes_through_the_top_bar_then_the_form_then_the_table(tmp_path: Path) -> None:
    with window(tmp_path) as made:
        order: list[QWidget] = []
        widget = made.top.preset
        for _ in range(400):
            if widget.isVisible() and widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
                order.append(widget)
            widget = widget.nextInFocusChain()  # type: ignore[assignment]
            if widget is made.top.preset:
                break
        places = [order.index(w) for w in (made.top.preset, made.top.name, made.pane.search)]
        assert places == sorted(places)


def test_windows_leave_nothing_behind(tmp_path: Path) -> None:
    write_five(tmp_path / "runs", steps=20)
    for _ in range(3):
        with window(tmp_path) as made:
            spend(0.05)
            del made
    gc.collect()
    assert not [w for w in QApplication.topLevelWidgets() if isinstance(w, MainWindow)]


def test_panels_behind_others_come_when_the_window_is_usable_and_find_their_places(tmp_path: Path) -> None:
    with window(tmp_path, begun=False) as made:
        made.begin()
        front = set(made.area.docks)
        assert len(front) == IN_FRONT and not made.is_whole
        wait(lambda: made.is_whole, "the panels behind")
        name = next(name for name in made.area.docks if name not in front)
        assert all(made.area.docks[other].isVisible() for other in front)
        made.area.docks[name].setFloating(True)
        made.area.docks[name].hide()
    with window(tmp_path, begun=False) as made:
        made.begin()
        wait(lambda: made.is_whole, "the panels behind")
        assert made.area.docks[name].isHidden() and made.area.docks[name].isFloating()
    with window(tmp_path, begun=False) as made:
        made.begin()  # and closed before they came: nothing is forgotten
    with window(tmp_path) as made:
        assert made.area.docks[name].isHidden()
