"""Where run files live, what they are called, and who may read them."""

from __future__ import annotations

import datetime
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.helpers.synthetic_run import make_config, write_run
from tfx_engine.runfile import store
from tfx_engine.runfile.create import create
from tfx_engine.runfile.edit import rename
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.writer import RunWriter

NOW = datetime.datetime(2026, 11, 23, 4, 5, 1)
posix = pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")


@pytest.mark.parametrize(("name", "slug"), [
    ("Five techniques!", "five-techniques"), ("", "run"), ("///", "run"), ("../../etc", "etc"),
    ("다섯 가지 기법", "다섯-가지-기법"), ("x" * 500, "x" * 48), ("한" * 500, "한" * 32),
])
def test_a_run_is_called_by_its_time_and_its_name(tmp_path, name, slug):
    path = store.new_run_path(tmp_path / "runs", name, NOW)
    assert path.parent == tmp_path / "runs"
    assert path.name.startswith(f"20261123-040501-{slug}-") and path.name.endswith(".tfx")
    path.touch()  # the file system takes that name
    assert store.run_files(path.parent) == [path]


def test_the_library_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("TFX_HOME", str(tmp_path))
    assert store.default_store() == tmp_path / "runs"
    monkeypatch.delenv("TFX_HOME")
    assert store.default_store().parts[-2:] == ("tfx-workbench", "runs")


def test_a_store_that_is_not_there_yet_is_empty(tmp_path):
    assert store.run_files(tmp_path / "nothing") == []


@posix
def test_runs_are_their_owners_alone(tmp_path):
    path = store.new_run_path(tmp_path / "a" / "runs", "mine", NOW)
    create(path, make_config(), "")
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with RunWriter(path) as writer:
        writer.flush()
        sides = [file for file in store.side_files(path) if file.exists()]
        assert len(sides) == 4 and {stat.S_IMODE(file.stat().st_mode) for file in sides} == {0o600}


def test_a_file_that_is_there_is_not_overwritten(tmp_path):
    path = write_run(tmp_path / "run.tfx", steps=3)
    before = path.read_bytes()
    with pytest.raises(RunFileError) as refused:
        create(path, make_config(), "")
    assert refused.value.problem.code == "exists" and path.read_bytes() == before


def test_a_store_that_cannot_be_made_is_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunFileError) as refused:
        store.new_run_path(tmp_path / "file" / "runs", "x", NOW)
    assert refused.value.problem.code in ("no-permission", "write-failed")
    assert str(tmp_path / "file") in refused.value.problem.sentence() and "--store" in refused.value.problem.hint


def test_a_store_that_is_a_file_or_no_name_is_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    for folder, words in ((tmp_path / "file", "it is a file"), ("a\0b", "cannot be the name")):
        with pytest.raises(RunFileError) as refused:
            store.new_run_path(folder, "x", NOW)
        assert words in refused.value.problem.sentence()
    assert store.run_files("a\0b") == []


def test_a_path_below_the_home_of_nobody_is_taken_as_it_is():
    assert store.absolute("~nobody-of-that-name/runs") == Path("~nobody-of-that-name/runs").absolute()
    assert store.absolute("~") == Path.home()


WITHOUT_PERMISSION = """
import os, psutil, sys
from tests.helpers.synthetic_run import make_config
config = make_config()
from tfx_engine.runfile.create import create
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.writer import RunWriter
if os.geteuid() == 0:
    os.setuid(65534)  # root may write everywhere
for act in (lambda: create(sys.argv[1] + "/new.tfx", config, ""), lambda: RunWriter(sys.argv[1] + "/run.tfx")):
    try:
        act()
    except RunFileError as error:
        print(error.problem.code)
"""


@posix
def test_a_store_without_permission_is_a_sentence(repo):
    with tempfile.TemporaryDirectory() as folder:
        write_run(f"{folder}/run.tfx", steps=3).chmod(0o444)
        Path(folder).chmod(0o555)
        command = [sys.executable, "-c", WITHOUT_PERMISSION, folder]
        done = subprocess.run(command, cwd=repo, capture_output=True, text=True, check=False)
        Path(folder).chmod(0o755)
    assert done.stdout.split() == ["no-permission", "no-permission"], done.stderr


def test_a_run_can_be_renamed_but_not_while_it_is_written(tmp_path):
    path = write_run(tmp_path / "run.tfx", steps=3)
    rename(path, "another")
    with RunReader(path) as reader:
        assert reader.info().name == "another"
    with RunWriter(path), pytest.raises(RunFileError):
        rename(path, "a third")
    assert [file.name for file in tmp_path.iterdir()] == ["run.tfx"]


def test_the_file_system_of_a_path_is_that_of_the_longest_mount_point(tmp_path):
    mounts = tmp_path / "mounts"
    lines = ["/dev/sda / ext4 rw 0 0", "server:/x /home nfs4 rw 0 0", "/dev/sdb /home/lo\\040cal xfs rw 0 0", "broken"]
    mounts.write_text("\n".join(lines))
    assert store._file_system(Path("/usr"), mounts) == "ext4"
    assert store._file_system(Path("/home/me"), mounts) == "nfs4"
    assert store._file_system(Path("/home/lo cal/x"), mounts) == "xfs"
    assert store._file_system(Path("/usr"), tmp_path / "nothing") == ""
    assert not store.is_network_filesystem(tmp_path)
