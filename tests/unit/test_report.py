"""Reports: everything is in them, with the numbers of `show`, and what a name says stays text."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from contextlib import closing

import pytest

from tests.helpers.interleaved import made_up, write_interleaved
from tests.helpers.pages import Page, assert_harmless, check_svg
from tests.helpers.synthetic_run import make_config, write_five, write_run
from tfx_engine.protocol.config import parse_config
from tfx_workbench.exhibits.kind import all_exhibits, exhibit_type
from tfx_workbench.exhibits.palette import DARK, LIGHT
from tfx_workbench.report.build import Wanted, build
from tfx_workbench.report.page import page
from tfx_workbench.report.single import exhibit_bytes
from tfx_workbench.report.subject import Subject
from tfx_workbench.report.summary import what_was_run
from tfx_workbench.runs.noise import Noise, device_of, save_noise
from tfx_workbench.runs.rundata import RunData


def opened(*paths):
    return [RunData(path).load() for path in paths]


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    runs = opened(*write_five(tmp_path_factory.mktemp("five"), steps=60))
    yield runs
    for run in runs:
        run.close()


@pytest.fixture(scope="module")
def five_page(five):
    return page(build(Subject.of(five), Wanted()))


def test_the_page_asks_for_nothing_and_runs_nothing(five_page):
    found = assert_harmless(five_page)
    policies = [a["content"] for tag, a in found.tags if tag == "meta" and a.get("http-equiv")]
    assert len(policies) == 1 and policies[0].startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
    assert "<script" not in five_page


def test_every_exhibit_is_there_or_says_why_not(five, five_page):
    report = build(Subject.of(five), Wanted())
    sections = {section.key: section for section in report.sections}
    for kind in (kind for kind in all_exhibits() if kind.needs):
        assert f"exhibit-{kind.name}" in sections, kind.name
    drawn = {figure.exhibit.name for figure in report.figures()}
    ids = [a.get("id") for _, a in Page(five_page).tags if a.get("id")]
    assert len(ids) == len(set(ids))
    assert {f"figure-{figure.number}" for figure in report.figures()} <= set(ids)
    for section in report.sections:
        assert section.blocks, section.key
    assert {"memory", "throughput", "loss", "gradients", "attention", "audit", "time"} <= drawn


def test_the_numbers_are_those_of_show(five, five_page):
    values = Page(five_page).values
    for run in five:
        figures = json.loads(json.dumps(run.complete_summary()))
        for number in (
            figures["tokens_per_s"]["median"], figures["step_ms"]["median"], figures["memory_bytes"]["peak"],
            figures["memory_bytes"]["activations"], figures["params"]["total"], figures["params"]["trainable"],
            figures["loss"]["first"], figures["loss"]["final"], figures["loss"]["held_out"],
            figures["flops_per_token"]["model"],
        ):
            assert str(number) in values


def test_what_has_nothing_to_show_is_named_with_its_reason(tmp_path):
    with closing(RunData(write_run(tmp_path / "run.tfx", make_config("queued"), status="queued"))) as run:
        report = build(Subject.of([run.load()]), Wanted())
    (section,) = [section for section in report.sections if section.key == "left-out"]
    reasons = {str(point.heading): str(point.words) for point in section.blocks[0].items}
    assert reasons["Throughput"] == "Waiting for the first step."
    assert all(reasons.values()) and not list(report.figures())


def test_only_what_was_asked_for_is_shown(five):
    report = build(Subject.of(five), Wanted(title="A title", exhibits=("loss",)))
    assert [figure.exhibit.name for figure in report.figures()] == ["differences", "loss"]
    assert str(report.title) == "A title"


def test_what_is_about_one_run_is_shown_for_every_run_where_that_is_asked_for(five):
    one, each = (build(Subject.of(five), Wanted(exhibits=("attention",), each=each)) for each in (False, True))
    assert (len(list(one.figures())), len(list(each.figures()))) == (1 + 1, 1 + 5)
    assert len({str(figure.exhibit.sentence) for figure in each.figures()}) == 1 + 5


# ---------------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize("name", [k.name for k in all_exhibits()])
def test_an_exhibit_is_a_well_formed_picture_with_its_words(five, name):
    kind = exhibit_type(name)
    exhibit = kind.make(Subject.of(five).views, {})
    root = check_svg(exhibit_bytes(exhibit, ".svg"))
    words = "".join(root.itertext())
    assert str(exhibit.title) in words
    if exhibit.plots:
        hovered = root.find(".//{*}g[@class='r']/{*}g[@display='none']/{*}text")
        assert hovered is not None or root.find(".//{*}rect/{*}title") is not None, "values to read off"


def test_a_picture_knows_its_colours_on_light_and_dark(five):
    kind = exhibit_type("loss")
    text = exhibit_bytes(kind.make(Subject.of(five).views, {}), ".svg").decode()
    assert LIGHT.colour("run:0") in text and DARK.colour("run:0") in text and "prefers-color-scheme:dark" in text


# ---------------------------------------------------------------------------------------- tables for spreadsheets


@pytest.mark.parametrize("name", [k.name for k in all_exhibits()])
def test_an_exhibit_is_a_table_that_no_spreadsheet_runs(five, name):
    kind = exhibit_type(name)
    text = exhibit_bytes(kind.make(Subject.of(five).views, {}), ".csv").decode("utf-8-sig")
    rows = list(csv.reader(text.splitlines()))
    assert len(rows) >= 2
    for entry in (entry for row in rows for entry in row):
        assert not entry.startswith(("=", "+", "@", "\t")) or is_number(entry), entry
        assert not entry.startswith("-") or is_number(entry), entry


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(("entry", "cell"), [
    ("=1+1", "'=1+1"), ("+1", "'+1"), ("-x", "'-x"), ("@SUM(A1)", "'@SUM(A1)"), ("\t=1", "' =1"), ("\r=1", "' =1"),
    ("\0=1", "�=1"), (-1.5, -1.5), ("plain", "plain"), (float("nan"), None),
])
def test_a_text_that_looks_like_a_formula_is_marked_as_text(entry, cell):
    from tfx_workbench.report.spreadsheet import safe

    assert safe(entry) == cell


def test_a_report_knows_the_noise_of_the_machine_as_compare_does(tmp_path, monkeypatch):
    monkeypatch.setenv("TFX_HOME", str(tmp_path / "home"))
    runs = opened(*(write_run(tmp_path / f"{name}.tfx", make_config(name, steps=steps))
                    for name, steps in (("one", 20), ("two", 24))))
    save_noise(Noise(device=device_of(runs[0].facts), at="2026-11-26T06:00:00+00:00", percent=1.0, low=-10.0,
                     high=77.7, rounds=3, between_blocks=0.1, between_processes=0.1))
    subject = Subject.of(runs)
    assert subject.others[0].effects["tokens_per_s"].noise_band == 77.7
    text = " ".join("".join(Page(page(build(subject, Wanted(exhibits=("loss",))))).text).split())
    assert "Two copies of one configuration differed by up to 78 % here" in text
    for run in runs:
        run.close()


def test_only_runs_that_differ_in_techniques_alone_are_said_to_be_of_one_model(five, tmp_path):
    said = "Switching one technique leaves the other weights"
    assert said in str(what_was_run(Subject.of(five)))
    other = opened(write_run(tmp_path / "seed.tfx", make_config("seed", steps=60, seed=7)))
    assert said not in str(what_was_run(Subject.of([*five, *other])))
    other[0].close()


# ---------------------------------------------------------------------------------------- bad input


def test_of_a_baseline_that_measured_nothing_no_figure_is_promised_and_a_reason_is_said_once(tmp_path):
    reason = "Out of memory on the device. Predicted to help: a smaller batch."
    runs = opened(write_run(tmp_path / "queued.tfx", make_config("queued", steps=20), status="queued"),
                  write_run(tmp_path / "failed.tfx", make_config("failed", steps=20), status="failed", reason=reason))
    assert str(what_was_run(Subject.of(runs))).endswith("is queued, and nothing of it was measured.")
    assert str(what_was_run(Subject.of(runs[:1]))).startswith("One run on the task ")
    made = build(Subject.of(runs), Wanted(exhibits=("loss",)))
    text = page(made)
    assert text.partition("To be kept in mind")[2].partition("</section>")[0].count("Out of memory on the device") == 1
    assert "Differences to queued" not in text, "no table without a row"
    for run in runs:
        run.close()


def test_runs_that_cannot_be_compared_say_so_and_are_shown_all_the_same(tmp_path):
    base = write_run(tmp_path / "base.tfx", make_config("base", steps=20))
    config = {**make_config("another task", steps=20).as_dict(), "data": {"task": "copy"}}
    other = write_run(tmp_path / "other.tfx", parse_config(config)[0])
    failed = write_run(tmp_path / "failed.tfx", make_config("failed", steps=20), status="failed", steps=1)
    none = write_run(tmp_path / "none.tfx", make_config("none", steps=20), status="failed", steps=0)
    queued = write_run(tmp_path / "queued.tfx", make_config("queued"), status="queued")
    runs = opened(base, other, failed, none, queued)
    text = "".join(Page(page(build(Subject.of(runs), Wanted()))).text)
    assert "was trained on another task or other data (copy): losses and times are not compared" in text
    assert "no interval can be given" in text and "Out of memory on the device" in text
    assert "It is queued: it has no figures yet" in text
    assert "runs of one model" not in text and "differ in more than techniques" in text
    for run in runs:
        run.close()


@pytest.mark.parametrize("status", ["queued", "failed", "stopped", "interrupted", "finished"])
def test_a_single_run_in_any_state_has_a_report(tmp_path, status):
    path = write_run(tmp_path / "run.tfx", make_config("one", steps=12), status=status)
    with closing(RunData(path)) as run:
        text = page(build(Subject.of([run.load()]), Wanted()))
    assert_harmless(text)
    assert status in "".join(Page(text).text)


def test_two_runs_of_one_name_can_be_told_apart(tmp_path):
    runs = opened(*(write_run(tmp_path / f"x-{i}{i}{i}{i}.tfx", make_config("same", steps=4)) for i in (1, 2)))
    labels = [view.label for view in Subject.of(runs).views]
    assert labels == ["same (1111)", "same (2222)"]
    for run in runs:
        run.close()


def test_a_report_as_html_needs_neither_qt_nor_torch(five, tmp_path):
    target = tmp_path / "report.html"
    code = (
        "import sys; from tfx_workbench.cli import main; code = main(sys.argv[1:]); "
        "assert not {'PySide6', 'torch', 'pyqtgraph'} & set(sys.modules), 'loaded'; sys.exit(code)"
    )
    paths = [str(run.path) for run in five[:2]]
    done = subprocess.run([sys.executable, "-c", code, "report", *paths, "-o", str(target), "--json"],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["schema"] == 1 and answer["format"] == "html" and "loss" in answer["exhibits"]
    assert answer["bytes"] == len(target.read_bytes())
    assert "recompute" in target.read_text(encoding="utf-8")


def test_runs_that_took_turns_say_how_they_were_compared_and_which_is_the_control(tmp_path):
    roles = {"base": ("baseline", 1.0), "again": ("control", 1.03), "slower": ("member", 1.2)}
    runs = opened(*(write_interleaved(tmp_path / f"{name}.tfx", made_up(i, factor=factor), role)
                    for i, (name, (role, factor)) in enumerate(roles.items())))
    text = " ".join("".join(Page(page(build(Subject.of(runs), Wanted(exhibits=("loss",))))).text).split())
    assert "interleaved: mean of 5 processes" in text
    assert "It is the control" in text and "Two copies of one configuration differed by up to" in text
    for run in runs:
        run.close()
