"""Every exhibit can be made of nothing, of a run that has not begun, of a live one, of many, and of broken ones."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.helpers.exhibits import all_choices, check_exhibit, views
from tests.helpers.synthetic_run import make_config, running, write_five, write_run
from tfx_engine.protocol.toml import dumps
from tfx_engine.runfile.create import create
from tfx_engine.runfile.writer import RunWriter
from tfx_workbench.exhibits import kind as kinds
from tfx_workbench.exhibits.kind import Choice, ExhibitType, all_exhibits, exhibit_type

KINDS = tuple(kind for kind in all_exhibits() if kind.needs)  # that show runs
SIZES = {"layers": 2, "heads": 2, "context": 16, "width": 16}


@pytest.fixture(params=KINDS, ids=lambda k: k.name)
def kind(request) -> ExhibitType:
    return request.param


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    return write_five(tmp_path_factory.mktemp("five"), steps=30, **SIZES)


def make_all(kind, runs):
    made = [kind.make(runs, choices) for choices in all_choices(kind)]
    for exhibit in made:
        assert exhibit.name == kind.name
        check_exhibit(exhibit)
    return made


def test_the_six_exhibits_are_there_in_the_order_of_the_window():
    six = ["memory", "throughput", "loss", "gradients", "attention", "device"]
    assert [k.name for k in KINDS if k.name in six] == six
    shortcuts = [k.shortcut for k in KINDS if k.shortcut]
    assert len(set(shortcuts)) == len(shortcuts) >= len(six)
    assert [k.name for k in all_exhibits() if not k.needs] == ["frontier"]


def test_without_a_run_it_says_what_to_do(kind):
    for exhibit in make_all(kind, []):
        assert "Run" in str(exhibit.empty)


def test_a_queued_run_has_nothing_to_show_yet(kind, tmp_path):
    path = write_run(tmp_path / "queued.tfx", status="queued", **SIZES)
    for exhibit in make_all(kind, views([path])):
        assert str(exhibit.empty)


def test_a_live_run_is_shown_as_far_as_it_is(kind, tmp_path):
    with running(tmp_path / "live.tfx", steps=200, **SIZES) as run:
        run.advance(40)
        run.writer.flush()
        made = make_all(kind, views([run.writer.path]))
    assert kind.at_end or not any(str(e.empty) for e in made)


def test_a_run_of_a_single_step_is_shown(kind, tmp_path):
    path = write_run(tmp_path / "one.tfx", steps=1, warmup_steps=0, **SIZES)
    make_all(kind, views([path]))


def test_many_finished_runs_are_shown_together(kind, five):
    for exhibit in make_all(kind, views(five)):
        assert str(exhibit.empty) == ""
        assert exhibit.sentence and views(five)[-1].label in str(exhibit.sentence)


@pytest.mark.parametrize("status", ["failed", "stopped", "interrupted"])
def test_a_run_that_did_not_finish_keeps_what_it_measured(kind, status, tmp_path):
    path = write_run(tmp_path / "run.tfx", make_config(steps=100, **SIZES), status=status, steps=30)
    assert kind.at_end or not any(str(e.empty) for e in make_all(kind, views([path])))


def test_a_run_that_measured_nothing_but_the_clock_is_shown_with_the_reason(kind, tmp_path):
    path = tmp_path / "bare.tfx"
    config = make_config(steps=10, run={"probes": False}, **SIZES)
    create(path, config, dumps(config.as_dict()))
    with RunWriter(path) as writer:
        writer.state("running")
        writer.missing("grad_norm", "probes are off {really}")
        for step in range(1, 11):
            writer.step(step=step, phase="measure", step_ms=5.0, tokens=100, t_ms=step * 5.0, loss=2.0)
        writer.state("finished")
    made = make_all(kind, views([path])) if kind.name != "gradients" else [kind.make(views([path]), {"view": "global"})]
    if kind.name == "gradients":
        assert str(made[0].empty) == "probes are off {really}"
    elif kind.name in ("memory", "attention"):
        assert "clock" in str(made[0].empty)


def test_a_loss_that_is_not_a_number_breaks_nothing(kind, tmp_path):
    path = tmp_path / "nan.tfx"
    config = make_config(steps=10, warmup_steps=0, **SIZES)
    create(path, config, dumps(config.as_dict()))
    with RunWriter(path) as writer:
        writer.state("running")
        for step in range(1, 11):
            bad = float("nan") if step > 4 else 1.0
            writer.step(step=step, phase="measure", step_ms=5.0, tokens=100, t_ms=step * 5.0, loss=bad, grad_norm=bad)
        writer.state("finished")
    made = make_all(kind, views([path]))
    if kind.name == "loss":
        assert "not a number at step 5" in str(made[0].notes[0])


def test_two_runs_with_one_name_are_two_curves(tmp_path):
    paths = [write_run(tmp_path / f"{i}.tfx", make_config("same", steps=5, **SIZES)) for i in range(2)]
    exhibit = exhibit_type("throughput").make(views(paths), {})
    check_exhibit(exhibit)
    assert len([e for e in exhibit.legend if str(e.label) == "same"]) == 2


def test_what_a_user_typed_is_never_a_template(kind, tmp_path):
    path = write_run(tmp_path / "run.tfx", make_config("{x} <b>%s", steps=12, **SIZES))
    other = write_run(tmp_path / "other.tfx", make_config("{}", steps=12, **SIZES))
    for choices in all_choices(kind):
        exhibit = kind.make(views([path, other], focus=0), choices)
        assert "{x} <b>%s" in str(exhibit.sentence)


def test_thirty_runs_at_once_are_no_problem(kind, five):
    with ExitStack() as stack:
        runs = views(five * 6)
        for view in runs:
            stack.callback(view.data.close)
        # One file six times has one key six times: what is shown of it is shown once.
        kind.make(runs, {})


def test_a_choice_that_does_not_exist_is_the_default():
    kind = exhibit_type("memory")
    assert kind.choose({"view": "nonsense", "other": "kept"}) == {"view": "within", "other": "kept"}


def test_an_exhibit_file_that_is_added_is_found(tmp_path, monkeypatch):
    package = tmp_path / "extra_exhibits"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "kind.py").write_text("")
    (package / "mine.py").write_text(
        "from tfx_workbench.exhibits.exhibit import Exhibit\n"
        "from tfx_workbench.exhibits.kind import ExhibitType\n"
        "def mine(runs, choices): return Exhibit('mine', 'Mine')\n"
        "EXHIBIT = ExhibitType(name='mine', title='Mine', order=1, function=mine)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert [e.name for e in kinds.exhibits_in("extra_exhibits", package)] == ["mine"]


def test_two_exhibits_with_one_name_are_refused(tmp_path, monkeypatch):
    package = tmp_path / "twice_exhibits"
    package.mkdir()
    (package / "__init__.py").write_text("")
    for name in ("a", "b"):
        (package / f"{name}.py").write_text(
            "from tfx_workbench.exhibits.kind import ExhibitType\n"
            "EXHIBIT = ExhibitType(name='same', title='S', order=1, function=None)\n"
        )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ValueError, match="same name"):
        kinds.exhibits_in("twice_exhibits", package)


def test_the_first_option_of_a_choice_is_its_default():
    assert Choice("c", "C", (("a", "A"), ("b", "B"))).default == "a"
