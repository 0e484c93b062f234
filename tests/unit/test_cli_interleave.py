"""`run A B --interleave`, with stand-in workers: what is said before, meanwhile and at the end."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.commandline import start, write_config
from tests.helpers.services import family, gone, info, until
from tests.helpers.synthetic_run import make_config, running
from tfx_engine.client import Client
from tfx_engine.protocol.interleaving import Interleave
from tfx_engine.runfile import pulse
from tfx_engine.runfile.errors import RunFileError
from tfx_workbench.cli import main
from tfx_workbench.commands import interleave


@pytest.fixture
def fair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run the command on configurations of these names; exit code, stdout, stderr."""
    monkeypatch.setenv("TFX_WORKER_MODULE", "tests.helpers.standin_worker")
    monkeypatch.setenv("TFX_HOME", str(tmp_path / "home"))

    def call(*names: str, more: tuple[str, ...] = ()) -> tuple[int, str, str]:
        files = [str(write_config(tmp_path, name)) for name in names]
        code = main(["run", *files, "--interleave", "--store", str(tmp_path / "store"), *more])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def objects(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_it_says_what_it_will_take_ends_when_it_is_enough_and_remembers_the_noise(fair, tmp_path: Path) -> None:
    code, out, err = fair("base", "slow", more=("--json", "--precision", "50%", "--rounds", "8"))
    assert code == 0
    assert "take turns" in err and "At most 8 rounds" in err
    base, control, slow = objects(out)
    assert [one["interleaved"]["role"] for one in (base, control, slow)] == ["baseline", "control", "member"]
    assert base["interleaved"]["effects"] == {}
    found = slow["interleaved"]["effects"]["step_ms"]
    assert found["percent"] == pytest.approx(100, abs=1) and found["distinguishable"]
    assert "interleaved" in found["method"] and found["noise_band"] is not None
    assert control["interleaved"]["effects"]["step_ms"]["distinguishable"] is False
    assert "narrow enough" in slow["reason"]
    rounds = int(slow["reason"].split("round")[0].split()[-1])
    assert 5 <= rounds < 8


def test_at_the_end_stand_the_runs_and_how_they_differ(fair) -> None:
    code, out, _ = fair("base", "slow", more=("--rounds", "2"))
    assert code == 0
    assert "slow against base" in out and "this is the baseline a second time" in out.lower()
    assert "interleaved: mean of 2 processes" in out


def test_one_that_fails_in_a_round_is_said_and_the_others_are_compared(fair) -> None:
    code, out, _ = fair("base", "fails in 2", "slow", more=("--rounds", "3", "--no-control"))
    assert code == 1
    assert "failed" in out and "no memory left" in out
    assert "mean of 3 processes" in out and "in one process each" in out
    assert "What it has is compared." in out


@pytest.mark.parametrize(("more", "path"), [
    (("--precision", "narrow"), "--precision"), (("--precision", "0"), "--precision"), (("--rounds", "0"), "--rounds"),
    (("--minutes", "-1"), "--minutes"), (("--minutes", "nan"), "--minutes"),
])
def test_what_makes_no_sense_is_refused(fair, more: tuple[str, ...], path: str) -> None:
    code, _, err = fair("base", "slow", more=more)
    assert code == 2
    assert path in err


def test_rounds_mean_nothing_without_turns(fair, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(write_config(tmp_path, "quick"))
    assert main(["run", config, "--rounds", "3"]) == 2
    assert "--interleave" in capsys.readouterr().err
    assert fair("base", more=("--no-control",))[0] == 2, "alone there is nothing to compare with"


def test_who_does_not_respond_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "SILENT_S", 0.0)
    monkeypatch.setattr(interleave, "_SETTLE_S", 0.0)
    course = interleave._Course([], Interleave(), 2.0, "", ())
    said: list[str] = []

    def draw(text: Callable[[], str]) -> None:
        said.append(text())
        course._gone.set()  # enough

    monkeypatch.setattr(course.line, "draw", draw)
    with running(tmp_path / "a.tfx", make_config("well")), running(tmp_path / "b.tfx", make_config("stopped")) as live:
        live.writer.note(**{pulse.PROMISE: pulse.BEAT_S})
        course._paths = [tmp_path / "a.tfx", tmp_path / "b.tfx"]
        course.follow(Client(tmp_path))  # which nobody asks
    assert said[0] == "starting 2 processes  stopped: not responding"


def test_ctrl_c_keeps_what_was_measured_and_compares_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFX_WORKER_MODULE", "tests.helpers.standin_worker")
    monkeypatch.setenv("TFX_HOME", str(tmp_path / "home"))
    store = tmp_path / "store"
    process = start("run", write_config(tmp_path, "base"), write_config(tmp_path, "slow"), "--interleave", "--store",
                    store, "--precision", "0.000001")
    until(lambda: _rounds(store) >= 3)
    everyone = family(process.pid)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "slow against base" in out and "stopped in round" in out
    assert gone(everyone)
    assert {info(run).status for run in store.glob("*.tfx")} == {"finished"}


def _rounds(store: Path) -> int:
    from contextlib import closing

    from tfx_engine.runfile.reader import RunReader

    found = [0]
    for run in store.glob("*.tfx"):
        try:
            with closing(RunReader(run)) as reader:
                found.append(int(reader.turns()["round"].max(initial=0)))
        except RunFileError:
            continue  # being made
    return max(found)
