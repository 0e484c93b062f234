"""A run that ran out of memory is run again with what would have helped, from the menu and from the message."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.synthetic_run import make_config, write_run
from tests.helpers.windows import wait, window
from tfx_engine.protocol.toml import dumps
from tfx_engine.runfile.create import create
from tfx_engine.runfile.store import make_store
from tfx_engine.runfile.writer import RunWriter
from tfx_workbench.session.retrying import advice_of

pytestmark = pytest.mark.usefixtures("qapp")

ADVICE = [
    {"path": "techniques.recompute", "value": {"use": "every_block"}, "saves_bytes": 2**30, "peak_bytes": 2**31,
     "flops_percent": 25.0, "slower_percent": 31.0, "judged_by": "time", "changes_learning": False,
     "error_95_percent": 15.0},
    {"path": "run.batch", "value": 4, "saves_bytes": 2**29, "peak_bytes": 2**31, "flops_percent": 0.0,
     "slower_percent": 0.2, "judged_by": "time", "changes_learning": True, "error_95_percent": 15.0},
    {"path": "techniques.recompute", "value": {"use": "selective"}, "saves_bytes": 2**28, "peak_bytes": 2**31,
     "flops_percent": 12.0},  # of a run that an older version wrote
]


def failed(path: Path, advice: object) -> Path:
    config = make_config("too large")
    create(path, config, dumps(config.as_dict()), "")
    with RunWriter(path) as writer:
        writer.state("running")
        writer.event("problem", "out-of-memory", "Out of memory.", advice=advice)
        writer.state("failed", "Out of memory.")
    return path


def test_what_would_help_is_offered_and_applied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFX_WORKER_MODULE", "tests.helpers.standin_worker")
    key = str(failed(make_store(tmp_path / "runs") / "failed.tfx", ADVICE))
    with window(tmp_path, engine=True) as made:
        wait(lambda: key in made.session.runs.rows, "the failed run")
        menu = made.commands.menu_for([key])
        assert menu is not None
        inner = next(a.menu() for a in menu.actions() if a.text() == "Apply and retry")
        assert [a.text() for a in inner.actions()] == [
            "recompute = every_block: saves about 1.00 GiB, 31 % slower",
            "batch = 4: saves about 512 MiB, changes what is learnt",
            "recompute = selective: saves about 256 MiB, 12 % slower by its FLOPs",
            "95 of 100 such predictions of the peak are within 15 %"]
        inner.actions()[1].trigger()
        assert made.session.draft.config.run.batch == 4 and made.session.draft.config.name == "too large"
        wait(lambda: len(made.session.runs.rows) == 2, "the retry")
        made.commands._on_ended(key, "failed", "Out of memory.")
        assert made.messages._action.text() == "Apply recompute = every_block and retry"


@pytest.mark.parametrize("advice", [None, [], "nonsense", [{"path": 3}]])
def test_a_file_without_advice_or_with_nonsense_offers_none(advice: object, tmp_path: Path) -> None:
    assert advice_of(str(failed(tmp_path / "a.tfx", advice))) == []
    assert advice_of(str(write_run(tmp_path / "b.tfx", steps=2))) == advice_of(str(tmp_path / "none.tfx")) == []
