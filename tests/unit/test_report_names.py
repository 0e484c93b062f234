"""What a name, a reason or a configuration says stays text, in pages, pictures and tables."""

from __future__ import annotations

import dataclasses
import random

from tests.helpers.pages import assert_harmless, check_svg
from tests.helpers.synthetic_run import write_run
from tfx_workbench.exhibits.kind import exhibit_type
from tfx_workbench.report.build import Wanted, build
from tfx_workbench.report.page import page
from tfx_workbench.report.single import exhibit_bytes
from tfx_workbench.report.subject import Subject
from tfx_workbench.runs.rundata import RunData

PIECES = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>", '" onmouseover="alert(1)',
    "' onfocus='alert(1)", "]]>", "<!--", "-->", "</title>", "</style>", "</svg>", "</textarea>", "{{ 7*7 }}",
    "{% raw %}", "${x}", "{0}", "{run}", "javascript:alert(1)", "data:text/html,<b>", "http://evil.example/x.js",
    "//evil.example", "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r\n=1", "&lt;b&gt;", "&#60;", "&amp;", "\x00",
    "\x1b[31m", "\x07", "\u202e", "\u2066", "\ud800", "\ufffe", "\u2028", "\N{GRINNING FACE}", "한국어", "العربية",
    "日本語", "../../etc/passwd", "C:\\Windows", "%00", "%s%n", "a" * 500, "`id`", "$(id)", "; rm -rf /", "\\",
    "<a href=//evil.example>", "url(http://evil.example)", "expression(1)", "<bdo dir=rtl>",
    "<iframe src=//evil.example>", "<form action=//evil.example>", "<base href=//evil.example>",
]


def hostile(count: int) -> list[str]:
    """Names of runs that would do harm wherever they are not taken as text."""
    draw = random.Random(7)
    return [*PIECES, *("".join(draw.choices(PIECES, k=draw.randint(2, 4))) for _ in range(count - len(PIECES)))]


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
