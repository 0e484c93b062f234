"""What a name, a reason or a configuration says stays text, in pages, pictures and tables."""

from __future__ import annotations

import dataclasses

from tests.helpers.hostile import hostile
from tests.helpers.pages import assert_harmless, check_svg
from tests.helpers.synthetic_run import write_run
from tfx_workbench.exhibits.kind import exhibit_type
from tfx_workbench.report.build import Wanted, build
from tfx_workbench.report.page import page
from tfx_workbench.report.single import exhibit_bytes
from tfx_workbench.report.subject import Subject
from tfx_workbench.runs.rundata import RunData


def test_a_name_is_never_anything_but_text(tmp_path):
    """200 of them, as names, reasons and configurations of runs; every one in the page, in pictures and in tables."""
    runs = [RunData(write_run(tmp_path / f"{i}.tfx", steps=4, layers=1, heads=1)).load() for i in range(20)]
    before = [run.info for run in runs]
    wanted = ("loss", "waterfall")
    names = hostile(200)
    for first in range(0, len(names), len(runs)):
        for run, info, name in zip(runs, before, names[first : first + len(runs)], strict=True):
            config = {**info.config, "data": {**info.config["data"], "path": name}}
            toml = f"# {name}\n{info.config_toml}"
            said = {"name": name, "reason": name, "config_toml": toml}
            run.info = dataclasses.replace(info, **said, status="failed", config=config)
        subject = Subject.of(runs)
        text = page(build(subject, Wanted(title=names[first], exhibits=wanted)))
        assert_harmless(text)
        text.encode("utf-8")
        for name in wanted:
            exhibit = exhibit_type(name).make(subject.views, {})
            check_svg(exhibit_bytes(exhibit, ".svg"))
            exhibit_bytes(exhibit, ".csv")
    for run in runs:
        run.close()
