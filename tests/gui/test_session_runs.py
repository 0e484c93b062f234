"""The runs of a session, read beside the window: listed, ticked, compared, deleted, opened from elsewhere."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication

from tests.helpers.synthetic_run import make_config, running, write_five, write_run
from tests.helpers.windows import PATIENCE_S, spend, wait
from tfx_engine.protocol.problems import Problem
from tfx_workbench.analysis.comparable import OTHER_TASK
from tfx_workbench.analysis.compare import compare_runs
from tfx_workbench.analysis.statistics import Effect
from tfx_workbench.exhibits.format import interval, signed_percent
from tfx_workbench.exhibits.kind import exhibit_type
from tfx_workbench.exhibits.runview import RunView
from tfx_workbench.runs.rundata import RunData
from tfx_workbench.session.draft import Draft
from tfx_workbench.session.run_list import COLOURS
from tfx_workbench.session.session import Session
from tfx_workbench.session.shared_run import SharedRun, try_hold
from tfx_workbench.session.trash import FOLDER, empty_old, remove
from tfx_workbench.session.unread import Unread
from tfx_workbench.widgets.run_words import Column, RunWords


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


@pytest.fixture
def session(qapp: QApplication, store: Path) -> Iterator[Session]:
    made = Session(store, Draft())
    made.engine.start = lambda: None  # type: ignore[method-assign]
    made.start()
    yield made
    made.close()


def test_runs_are_listed_and_ticked_ones_get_figures_and_colours_of_their_own(session: Session, store: Path) -> None:
    keys = [str(p) for p in write_five(store, steps=40)]
    session.reading.scan()
    runs = session.runs
    wait(lambda: len(runs.rows) == 5, "five rows")
    runs.show_only(keys)
    wait(lambda: len(runs.views()) == 5, "five views")
    assert [v.label for v in runs.views()] == ["baseline", "recompute", "LoRA", "post-norm", "bfloat16"]
    assert sorted(v.colour for v in runs.views()) == [0, 1, 2, 3, 4]
    lines = {line.name: line for line in runs.lines()}
    assert lines["baseline"].tokens_per_s is not None
    assert lines["LoRA"].trainable is not None and lines["LoRA"].trainable < (lines["baseline"].trainable or 0)


def test_differences_to_the_baseline_come_and_go_with_it(session: Session, store: Path) -> None:
    keys = [str(p) for p in write_five(store, steps=60)]
    runs = session.runs
    session.reading.scan()
    wait(lambda: len(runs.rows) == 5)
    runs.show_only(keys)
    runs.set_baseline(keys[0])

    def effect(key: str):  # type: ignore[no-untyped-def]
        return next(line.speed_effect for line in runs.lines() if line.key == key)

    wait(lambda: effect(keys[1]), "an effect")
    assert effect(keys[0]) is None
    assert effect(keys[1]).percent < 0 and effect(keys[1]).distinguishable
    runs.set_baseline(keys[0])
    spend(0.3)
    assert effect(keys[1]), "choosing the same baseline again loses nothing"
    runs.set_baseline("")
    assert effect(keys[1]) is None


def test_the_table_says_what_compare_and_the_panels_say_of_the_same_runs(session: Session, store: Path) -> None:
    keys = [str(p) for p in write_five(store, steps=60)]
    runs = session.runs
    session.reading.scan()
    wait(lambda: len(runs.rows) == 5)
    runs.show_only(keys)
    runs.set_baseline(keys[0])

    def effects() -> dict[str, Effect | None]:
        return {line.key: line.speed_effect for line in runs.lines() if line.key != keys[0]}

    wait(lambda: all(effects().values()), "four effects")
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(contextlib.closing(RunData(key))).load() for key in keys]
        compared = {str(one.run.path): one.effects["tokens_per_s"] for one in compare_runs(opened[0], opened[1:])}
        views = [RunView(run, run.info.name, i, baseline=not i) for i, run in enumerate(opened)]
        (panel,) = exhibit_type("effects").make(views, {}).tables
    assert effects() == compared and {effect.family for effect in compared.values()} == {4}
    for row, effect in zip(panel.rows, (compared[key] for key in keys[1:]), strict=True):
        assert str(row[1]) == signed_percent(effect.percent) and str(row[2]) == interval(effect.low, effect.high)
    runs.tick(keys[4], on=False)
    wait(lambda: (found := effects()[keys[1]]) is not None and found.family == 3, "a smaller family")


def test_what_is_not_comparable_says_so_in_the_table(session: Session, store: Path) -> None:
    keys = [str(write_run(store / f"{task}.tfx", make_config(task, steps=20, data={"task": task})))
            for task in ("text", "copy")]
    runs = session.runs
    session.reading.scan()
    wait(lambda: len(runs.rows) == 2)
    runs.show_only(keys)
    runs.set_baseline(keys[0])
    wait(lambda: next(line.unlike for line in runs.lines() if line.key == keys[1]), "the reason")
    (line,) = [line for line in runs.lines() if line.key == keys[1]]
    assert line.speed_effect is None and line.unlike == OTHER_TASK and line.memory_effect is not None
    words = RunWords()
    assert words.text(line, Column.SPEED_EFFECT) == "not comparable"
    assert OTHER_TASK in words.tip(line, Column.SPEED_EFFECT) and words.text(line, Column.MEMORY_EFFECT)


def test_a_live_run_is_followed(session: Session, store: Path) -> None:
    path = store / "live.tfx"
    changes: set[str] = set()
    session.runs.data_changed.connect(lambda what: changes.update(what))
    with running(path, steps=1000) as run:
        session.reading.scan()
        session.runs.tick(str(path))
        wait(lambda: session.runs.views(), "the view")
        run.advance(40)
        run.writer.flush()
        wait(lambda: (line := session.runs.lines()[0]).progress and line.loss and "steps" in changes, "progress")
        assert session.runs.lines()[0].status == "running"
        run.end("finished")
    wait(lambda: session.runs.lines()[0].status == "finished", "the end")


def test_a_live_run_of_an_earlier_window_is_found_ticked_and_announced(qapp: QApplication, store: Path) -> None:
    path = store / "live.tfx"
    with running(path, steps=1000):
        session = Session(store, Draft())
        session.engine.start = lambda: None  # type: ignore[method-assign]
        heard: list[str] = []
        session.said.connect(lambda text, _level: heard.append(text))
        session.start()
        try:
            wait(lambda: session.runs.views(), "the live run")
            assert session.runs.ticked == [str(path)]
            wait(lambda: any("synthetic" in text for text in heard), "words about it")
        finally:
            session.close()


def test_colours_are_given_back_and_no_more_are_ticked_than_there_are(session: Session) -> None:
    runs = session.runs
    keys = [f"/nowhere/{i}.tfx" for i in range(12)]
    for key in keys[:3]:
        runs.tick(key)
    runs.tick(keys[1], False)
    runs.tick(keys[3])
    assert [runs._colours[k] for k in (keys[0], keys[3], keys[2])] == [0, 1, 2]
    runs.add_submitted(keys[4:])
    assert len(runs.ticked) <= COLOURS
    assert len({runs._colours[k] for k in runs.ticked}) == len(runs.ticked)
    assert set(keys[4:]) <= set(runs.ticked)


def test_a_deleted_run_can_be_put_back_with_everything(session: Session, store: Path) -> None:
    path = write_run(store / "a.tfx", steps=20)
    before = path.read_bytes()
    session.reading.scan()
    wait(lambda: session.runs.rows)
    session.runs.tick(str(path))
    wait(lambda: session.runs.views())
    removed: list = []  # type: ignore[type-arg]
    session.removed.connect(removed.extend)
    session.delete([str(path)])
    assert not path.exists()
    wait(lambda: not session.runs.rows, "the row to go")
    session.restore(removed)
    wait(lambda: session.runs.rows, "the row to come back")
    assert path.read_bytes() == before
    assert not list((store / FOLDER).iterdir())


def test_a_run_that_is_being_written_is_not_deleted_and_says_so(session: Session, store: Path) -> None:
    path = store / "live.tfx"
    problems: list[object] = []
    session.problem_found.connect(lambda problem, _level: problems.append(problem))
    with running(path, steps=1000):
        session.delete([str(path)])
        assert path.exists()
    assert [p.code for p in problems] == ["in-use"]  # type: ignore[attr-defined]


def test_old_trash_is_thrown_away_and_young_trash_is_kept(store: Path) -> None:
    remove(write_run(store / "a.tfx", steps=5))
    assert empty_old(store) == 0
    assert empty_old(store, days=-1) == 1
    assert not list((store / FOLDER).iterdir())


def test_a_run_from_elsewhere_is_opened_like_one_of_the_library(session: Session, store: Path, tmp_path: Path) -> None:
    path = write_run(tmp_path / "elsewhere.tfx", steps=20)
    session.open([path])
    wait(lambda: session.runs.views(), "the run")
    assert session.runs.lines()[0].tokens_per_s is not None


def test_several_runs_opened_together_are_compared_with_the_first(session: Session, tmp_path: Path) -> None:
    paths = [write_run(tmp_path / f"{name}.tfx", steps=20) for name in ("first", "second")]
    session.open(paths)
    wait(lambda: any(line.speed_effect is not None for line in session.runs.lines()), "the difference")
    assert session.runs.baseline == str(paths[0])


@pytest.mark.parametrize(("name", "content", "words"), [
    ("broken.tfx", b"this is not a database, whatever its name says" * 20, "run file"),
    ("broken.toml", b"model = [", "TOML"),
    ("binary.toml", b"\xff\xfe\x00", "UTF-8"),
    ("notes.txt", b"hello", "is no configuration"),
    ("gone.tfx", None, "no such file"),
])
def test_a_bad_file_gets_a_sentence_and_changes_nothing(
    session: Session, tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    before = session.draft.state()
    problems: list = []  # type: ignore[type-arg]
    session.problem_found.connect(lambda problem, _level: problems.append(problem))
    session.open([path])
    wait(lambda: problems, "a problem")
    assert words in problems[0].sentence()
    spend(0.3)
    assert session.runs.ticked == []
    assert session.draft.state() == before


def test_a_damaged_file_in_the_library_does_not_keep_the_others_from_it(session: Session, store: Path) -> None:
    write_run(store / "good.tfx", steps=10)
    (store / "bad.tfx").write_bytes(b"x" * 5000)
    session.reading.scan()
    wait(lambda: [r.path.name for r in session.runs.rows.values()] == ["good.tfx"])


def test_configurations_are_opened_into_the_form_and_know_where_their_data_is(session: Session, tmp_path: Path) -> None:
    (tmp_path / "my.txt").write_text("hello " * 500)
    (tmp_path / "one.toml").write_text('[data]\npath = "my.txt"\n')
    (tmp_path / "two.toml").write_text('name = "second"\n[techniques]\nadapter = "lora"\n')
    session.open([tmp_path / "one.toml", tmp_path / "two.toml"])
    assert [c["name"] for c in session.draft.configs] == ["one", "second"]
    assert session.draft.configs[0]["data"]["path"] == str(tmp_path / "my.txt")


def test_a_run_is_renamed_and_its_configuration_goes_back_into_the_form(session: Session, store: Path) -> None:
    path = write_run(store / "a.tfx", name="old", width=64, steps=20)
    session.reading.scan()
    wait(lambda: session.runs.rows)
    session.rename(str(path), "new")
    wait(lambda: [r.name for r in session.runs.rows.values()] == ["new"], "the new name")
    session.load_from_run(str(path))
    assert session.draft.config.model.width == 64


def test_whoever_paints_never_waits_for_a_run_that_is_being_read(tmp_path: Path) -> None:
    import threading

    runs = [SharedRun(write_run(tmp_path / f"{name}.tfx", steps=5)) for name in ("a", "b")]
    held, let_go = threading.Event(), threading.Event()

    def read() -> None:
        with runs[1].lock:
            held.set()
            let_go.wait(PATIENCE_S)

    reader = threading.Thread(target=read)
    reader.start()
    assert held.wait(PATIENCE_S)
    with try_hold(runs) as ok:
        assert not ok
    let_go.set()
    reader.join()
    with try_hold(runs) as ok:
        assert ok
    for run in runs:
        run.close()


def test_a_store_that_is_moved_away_leaves_an_empty_list(session: Session, store: Path) -> None:
    write_run(store / "a.tfx", steps=5)
    session.reading.scan()
    wait(lambda: session.runs.rows)
    shutil.rmtree(store)
    session.reading.scan()
    wait(lambda: not session.runs.rows)


def test_files_of_the_library_that_cannot_be_read_are_said_once_each(session: Session, store: Path) -> None:
    said: list[str] = []
    session.problem_found.connect(lambda problem, _level: said.append(Path(problem.path).name))
    (store / "text.tfx").write_text("hello")
    (store / "cut.tfx").write_bytes(write_run(store / "good.tfx", steps=3).read_bytes()[:5000])
    for _ in range(4):
        session.reading.scan()
        spend(0.05)
    wait(lambda: len(session.runs.rows) == 1 and len(said) == 2)
    assert sorted(said) == ["cut.tfx", "text.tfx"]


def test_a_file_that_is_unreadable_for_a_moment_is_not_worth_a_word() -> None:
    unread, trouble = Unread(), Problem(code="c", path="a.tfx", template="is cut off.")
    assert [unread.news(found) for found in ([trouble], [], [trouble])] == [[], [], []]
    assert [unread.news([trouble]) for _ in range(2)] == [[trouble], []]
    assert [unread.news(found) for found in ([], [trouble], [trouble])] == [[], [], [trouble]]
