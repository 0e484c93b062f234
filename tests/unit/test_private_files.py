"""What the program keeps is its owner's alone, however careless the umask."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

import pytest

from tests.helpers.private import assert_private
from tests.helpers.synthetic_run import running, write_run
from tfx_engine.protocol.ledger import PastPeak, add_peak
from tfx_engine.protocol.messages import Control
from tfx_engine.protocol.private import append_privately, make_private_folder
from tfx_engine.protocol.trust import Trusted, save_trusted
from tfx_engine.protocol.whole import write_whole
from tfx_engine.runfile.edit import annotate
from tfx_engine.runfile.mailbox import post
from tfx_engine.runfile.seal import copy_run
from tfx_engine.runfile.unfinished import whole_or_not
from tfx_workbench.runs.library import Library

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_runs_and_all_that_lies_beside_them(umask, tmp_path, monkeypatch):
    home = tmp_path / "not" / "there" / "yet"
    monkeypatch.setenv("TFX_HOME", str(home))
    with running(home / "runs" / "live.tfx", steps=5) as run:
        run.advance(5)
        run.writer.flush()
        post(run.writer.path, Control(id="1", action="pause"))
        with whole_or_not(home / "runs" / "live.tfx.safetensors") as unfinished:
            assert assert_private(unfinished.parent)
            unfinished.write_bytes(b"weights")
        seen = assert_private(home.parent)
    assert {"yet/runs/live.tfx-wal", "yet/runs/live.tfx.lock", "yet/runs/live.tfx.mail"} <= seen
    annotate(write_run(home / "runs" / "done.tfx", steps=5, layers=1), note="mine")
    copy_run(home / "runs" / "done.tfx", home / "runs" / "copy.tfx")
    Library(home / "runs").scan()
    assert_private(home.parent)


def test_settings_and_what_this_machine_has_learned(umask, tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("TFX_HOME", str(home))
    save_trusted(Trusted(("/somewhere",)))
    add_peak(PastPeak(kind="cpu", level="traced", compiled=False, predicted_bytes=1, measured_bytes=2))
    write_whole(home / "a" / "b.json", b"{}")
    write_whole(home / "a" / "b.json", b"[]")
    append_privately(home / "c.jsonl", b"1\n")
    append_privately(home / "c.jsonl", b"2\n")
    assert assert_private(home) >= {"trusted.json", "ledger.jsonl", "a/b.json", "c.jsonl"}
    assert (home / "a" / "b.json").read_bytes() == b"[]" and (home / "c.jsonl").read_bytes() == b"1\n2\n"


def test_a_folder_that_is_there_stays_as_it_is(tmp_path):
    tmp_path.chmod(0o755)
    make_private_folder(tmp_path)
    make_private_folder(tmp_path / "a" / "b")
    assert [stat.S_IMODE(p.stat().st_mode) for p in (tmp_path, tmp_path / "a", tmp_path / "a" / "b")] == [
        0o755, 0o700, 0o700]
    (tmp_path / "file").touch()
    for wrong in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError):
            make_private_folder(wrong)
