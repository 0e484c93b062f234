"""A report in a real browser: nothing is asked of a network, and nothing is complained of."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.helpers.hostile import PIECES
from tests.helpers.pages import assert_harmless
from tests.helpers.synthetic_run import make_config, write_run
from tfx_engine.runfile.edit import rename
from tfx_workbench.report.build import Wanted, build
from tfx_workbench.report.page import page
from tfx_workbench.report.subject import Subject
from tfx_workbench.runs.rundata import RunData

SCRIPT = "<script>document.title='run'</script><img src=x onerror=\"document.title='run'\">"
NAMES = ("baseline", SCRIPT, *("".join(PIECES[i::3]) for i in range(3)))  # every piece, in three names
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
TIMEOUT_S = 120.0
OWN = re.compile(r"https?://[\w.-]*\b(google|googleapis|gvt1)\.com/")  # what the browser asks for by itself


@pytest.fixture(scope="module")
def browser() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"none of these browsers is here: {', '.join(BROWSERS)}")
    return found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    files = [write_run(folder / f"{i}.tfx", make_config(steps=20)) for i in range(len(NAMES))]
    for file, name in zip(files, NAMES, strict=True):
        rename(file, name)
    runs = [RunData(file).load() for file in files]
    target = folder / "report.html"
    target.write_text(page(build(Subject.of(runs), Wanted())), encoding="utf-8")
    for run in runs:
        run.close()
    return target


def run_browser(browser: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}", *arguments],
        capture_output=True, text=True, timeout=TIMEOUT_S,
    )


def test_the_page_is_shown_without_a_complaint_and_without_a_request(browser, report, tmp_path):
    log = tmp_path / "net.json"
    done = run_browser(browser, tmp_path / "profile", "--enable-logging=stderr", "--v=0", f"--log-net-log={log}",
                       "--net-log-capture-mode=Everything", "--dump-dom", report.as_uri())
    assert done.returncode == 0, done.stderr
    assert "</html>" in done.stdout and "<title>baseline and 4 others</title>" in done.stdout
    assert_harmless(done.stdout)  # as the browser understood it, not as it was written
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert complaints == []
    said = log.read_text(encoding="utf-8", errors="replace")
    asked = {url for url in re.findall(r'"url":"((?:https?|wss?)://[^"]*)"', said) if not OWN.match(url)}
    assert asked == set()
    assert set(re.findall(r'"url":"(file://[^"]*)"', said)) <= {report.as_uri()}


def test_the_page_prints(browser, report, tmp_path):
    target = tmp_path / "printed.pdf"
    done = run_browser(browser, tmp_path / "profile", "--no-pdf-header-footer", f"--print-to-pdf={target}",
                       report.as_uri())
    assert done.returncode == 0, done.stderr
    data = target.read_bytes()
    assert data.startswith(b"%PDF-") and len(re.findall(rb"/Type\s*/Page\b", data)) >= 5
