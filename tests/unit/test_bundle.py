"""A claim bundle: what is in it, and that of one which somebody prepared not a byte is written."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import sqlite3
import stat
import struct
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.helpers.synthetic_run import write_run
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.runfile.reader import RunReader
from tfx_workbench.cli import main
from tfx_workbench.exporting import bundle as writing
from tfx_workbench.exporting.bundle_file import Bundle

SMALL = {"layers": 2, "heads": 2, "context": 16, "width": 16, "steps": 20}


def no_script(run: Path) -> str:
    raise ConfigError([Problem(code="no-script", path=str(run), template="is only made up.")])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    names = ("one", "../2")
    return [write_run(folder / f"{seed}.tfx", name=name, seed=seed, **SMALL) for seed, name in enumerate(names)]


@pytest.fixture
def bundle(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "script_of", no_script)
    target = tmp_path / "claim.tfxbundle"
    assert main(["export", *map(str, runs), "--format", "bundle", "-o", str(target)]) == 0
    return target


def test_it_holds_the_runs_whole_with_configuration_environment_and_figures(bundle, runs):
    with Bundle(bundle) as found:
        assert [run.name for run in found.runs] == ["one", "../2"]
        assert found.runs[0].no_script == "is only made up."
        with found.run_file(found.runs[1]) as path, closing(RunReader(path)) as theirs, \
                closing(RunReader(runs[1])) as ours:
            assert theirs.steps()["loss"].tolist() == ours.steps()["loss"].tolist()
            assert theirs.info().config_toml == ours.info().config_toml
    with zipfile.ZipFile(bundle) as archive:
        summary = json.loads(archive.read("runs/1/summary.json"))
        assert summary["name"] == "one" and summary["steps"] == 23 and str(runs[0].parent) not in str(summary)
        assert json.loads(archive.read("runs/1/environment.json"))["device"]
        assert archive.read("runs/1/config.resolved.toml").startswith(b"format = 1")


def test_the_same_runs_give_the_same_bytes(bundle, runs, tmp_path):
    again = tmp_path / "again.tfxbundle"
    assert main(["export", *map(str, runs), "--format", "bundle", "-o", str(again)]) == 0
    assert again.read_bytes() == bundle.read_bytes()


def test_a_run_that_goes_on_is_not_bundled(tmp_path, capsys):
    queued = write_run(tmp_path / "queued.tfx", status="queued", **SMALL)
    target = tmp_path / "a.tfxbundle"
    assert main(["export", str(queued), "--format", "bundle", "-o", str(target)]) == 2
    assert "queued" in capsys.readouterr().err and not target.exists()
    assert main(["export", str(queued), "--format", "bundle", "-o", str(target), "--json"]) == 2
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert (problem["code"], problem["path"]) == ("not-ended", str(queued))


def test_of_a_damaged_run_that_run_is_named(tmp_path, capsys):
    run = write_run(tmp_path / "damaged.tfx", **SMALL)
    with run.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)  # copying it works, reading the copy does not
    assert main(["export", str(run), "--format", "bundle", "-o", str(tmp_path / "b"), "--json"]) == 2
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert (problem["code"], problem["path"]) == ("damaged", str(run))
    assert [path.name for path in tmp_path.iterdir()] == ["damaged.tfx"]


def test_a_run_is_in_a_bundle_once(runs, tmp_path, capsys):
    assert main(["export", str(runs[0]), str(runs[0]), "--format", "bundle", "-o", str(tmp_path / "b")]) == 2
    assert "is named twice" in capsys.readouterr().err and not any(tmp_path.iterdir())


def test_a_whole_bundle_is_said_to_be_whole(bundle, capsys):
    assert main(["reproduce", str(bundle), "--check"]) == 0
    assert "one" in capsys.readouterr().out


# ---------------------------------------------------------------------------------------- prepared ones

def rewritten(bundle: Path, change: Callable[[zipfile.ZipFile, dict[str, bytes]], None]) -> None:
    """The bundle again, its files changed by `change`, which may write to the archive too; the manifest fits them."""
    with zipfile.ZipFile(bundle) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED) as archive:
        change(archive, files)
        about = json.loads(files.pop("manifest.json"))
        about["files"] = [{"path": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
                          for name, data in files.items()]  # fmt: skip
        for name, data in {**files, "manifest.json": json.dumps(about).encode()}.items():
            archive.writestr(name, data)


def test_rewriting_alone_is_no_fault(bundle):
    rewritten(bundle, lambda archive, files: None)
    Bundle(bundle).close()


def add(name: str, data: bytes = b"x") -> Callable[[zipfile.ZipFile, dict[str, bytes]], None]:
    return lambda archive, files: files.__setitem__(name, data)


def link(archive: zipfile.ZipFile, files: dict[str, bytes]) -> None:
    about = zipfile.ZipInfo("README.txt")
    about.external_attr = 0o120777 << 16
    del files["README.txt"]
    archive.writestr(about, "/etc/passwd")


def newer(archive: zipfile.ZipFile, files: dict[str, bytes]) -> None:
    files["manifest.json"] = json.dumps({**json.loads(files["manifest.json"]), "schema": 99}).encode()


def many(archive: zipfile.ZipFile, files: dict[str, bytes]) -> None:
    files |= {f"runs/{number}/script.py": b"" for number in range(1, 999)}
    files |= {f"runs/{number}/config.toml": b"" for number in range(1, 999)}


def no_runs(archive: zipfile.ZipFile, files: dict[str, bytes]) -> None:
    files["manifest.json"] = json.dumps({**json.loads(files["manifest.json"]), "runs": []}).encode()


def outside(archive: zipfile.ZipFile, files: dict[str, bytes]) -> None:
    about = json.loads(files["manifest.json"])
    about["runs"][0]["folder"] = "../../runs/1"
    files["manifest.json"] = json.dumps(about).encode()


def no_sense(archive: zipfile.ZipFile, files: dict[str, bytes]) -> None:
    files["manifest.json"] = json.dumps({"schema": "1", "format": "tfx-bundle", "files": 3, "runs": 4}).encode()


@pytest.mark.parametrize(("change", "word"), [
    (add("../../evil.txt"), "which no bundle does"), (add("/etc/evil"), "which no bundle does"),
    (add("runs\\1\\evil.py"), "which no bundle does"), (add("runs/1/../../evil"), "which no bundle does"),
    (add("C:evil.txt"), "which no bundle does"), (add("runs/1/script.py\0.exe"), "names other files"),
    (add("runs/1/script.py", bytes(65 * 2**20)), "bytes large"),
    (link, "no plain file"), (newer, "newer program"), (many, "more than a bundle can"),
    (no_runs, "names other files"), (outside, "names other files"), (no_sense, "cannot be read"),
])
def test_a_prepared_archive_is_refused_and_nothing_is_written(bundle, change, word, capsys, monkeypatch):
    rewritten(bundle, change)
    refused(bundle, word, capsys, monkeypatch)


def refused(bundle: Path, word: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def written(*args: object, **kwargs: object) -> None:
        pytest.fail("something was written")

    monkeypatch.setattr("tempfile.mkdtemp", written)
    before = sorted(bundle.parent.iterdir())
    assert main(["reproduce", str(bundle), "--json"]) == 2
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert word in problem["message"], problem
    assert sorted(bundle.parent.iterdir()) == before


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_are_refused(bundle, capsys, monkeypatch):
    with zipfile.ZipFile(bundle, "a") as archive:
        archive.writestr("README.txt", "another")
    refused(bundle, "twice", capsys, monkeypatch)


def test_a_file_that_is_not_what_the_manifest_says_is_named(bundle, capsys, monkeypatch):
    with zipfile.ZipFile(bundle) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(bundle, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data.replace(b"one", b"two") if name.endswith("1/summary.json") else data)
    refused(bundle, "runs/1/summary.json is not what", capsys, monkeypatch)


@pytest.mark.parametrize("keep", [0, 30, 0.5, 0.999])
def test_what_was_cut_off_is_refused(bundle, keep, capsys, monkeypatch):
    data = bundle.read_bytes()
    bundle.write_bytes(data[: int(len(data) * keep) if isinstance(keep, float) else keep])
    refused(bundle, "cut off", capsys, monkeypatch)


def test_a_byte_that_turned_over_is_noticed(bundle, capsys, monkeypatch):
    data = bytearray(bundle.read_bytes())
    data[len(data) // 3] ^= 0xFF
    bundle.write_bytes(data)
    refused(bundle, "is damaged", capsys, monkeypatch)


def test_files_that_lie_in_one_another_are_refused(bundle, capsys, monkeypatch):
    data = bytearray(bundle.read_bytes())
    with zipfile.ZipFile(bundle) as archive:
        second = archive.infolist()[1]
    place = data.rfind(b"PK\x01\x02", 0, data.rfind(second.filename.encode()))
    data[place + 42 : place + 46] = struct.pack("<I", 8)  # the offset of its header: within the first file
    bundle.write_bytes(data)
    refused(bundle, "in one another", capsys, monkeypatch)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_no_bundle_is_compressed_by_is_not_decompressed(bundle, method, capsys, monkeypatch):
    with zipfile.ZipFile(bundle) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(bundle, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    refused(bundle, "not compressed as", capsys, monkeypatch)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no such device here")
def test_a_device_is_no_bundle_and_is_not_read(capsys, monkeypatch):
    monkeypatch.setattr("zipfile.ZipFile", lambda *_: pytest.fail("it was opened"))
    assert main(["reproduce", "/dev/zero"]) == 2
    assert "device" in capsys.readouterr().err


def test_a_bundle_that_is_changed_while_it_is_open_is_damaged(bundle, tmp_path):
    with Bundle(bundle) as found:
        data = bytearray(bundle.read_bytes())
        place = data.find(b"run.tfx") + 100
        data[place : place + 2000] = b"\xff" * 2000
        bundle.write_bytes(data)
        with pytest.raises(ConfigError, match="is damaged"):
            found.copy_run(found.runs[0], tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_another_zip_and_what_is_none_are_refused(tmp_path, capsys):
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("README.txt", "hello")
    for path, word in ((other, "no bundle"), (tmp_path / "missing", "no such file"), (tmp_path, "folder"),
                       (Path(__file__), "no bundle")):
        assert main(["reproduce", str(path)]) == 2
        assert word in capsys.readouterr().err


def test_a_run_file_within_that_is_none_is_refused(bundle, capsys):
    rewritten(bundle, add("runs/1/run.tfx", b"not SQLite" * 1000))
    assert main(["reproduce", str(bundle)]) == 2
    assert "not a run file" in capsys.readouterr().err


def test_a_run_that_began_with_weights_of_its_own_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(writing, "script_of", no_script)
    run = write_run(tmp_path / "run.tfx", name="later", run={"start_from": "mine.safetensors"}, **SMALL)
    assert main(["export", str(run), "--format", "bundle", "-o", str(tmp_path / "b")]) == 0
    assert main(["reproduce", str(tmp_path / "b")]) == 2
    assert "mine.safetensors" in capsys.readouterr().err


def test_a_full_disk_while_a_run_is_taken_out_is_said(bundle, tmp_path, monkeypatch):
    with Bundle(bundle) as found, pytest.raises(ConfigError, match="cannot be written"):
        found.copy_run(found.runs[0], tmp_path / "no" / "folder")
    shutil.rmtree(tmp_path / "no", ignore_errors=True)


def zip_of(path: Path, entries: list[zipfile.ZipInfo | str], data: bytes = b"") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in entries:
            archive.writestr(entry, data)
    return path


def test_a_hundred_thousand_files_are_refused_before_their_list_is_read(tmp_path, capsys, monkeypatch):
    path = zip_of(tmp_path / "many.tfxbundle", [f"runs/{i}/config.toml" for i in range(100_000)])

    def looked_at(*args: object) -> None:
        pytest.fail("a list of that length was taken apart")

    monkeypatch.setattr("zipfile.ZipInfo", looked_at)
    refused(path, "more files than a bundle can", capsys, monkeypatch)


def test_a_list_that_is_larger_than_the_memory_is_refused(tmp_path, capsys, monkeypatch):
    bundle = tmp_path / "b.tfxbundle"
    with bundle.open("wb") as file:
        file.truncate(3 * 2**30)  # takes no room on the disk
        file.seek(0, os.SEEK_END)
        file.write(b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, 2**31, 2**30, 0))
    refused(bundle, "more files than a bundle can", capsys, monkeypatch)


@pytest.mark.parametrize(("name", "size", "word"), [
    ("manifest.json", 3 * 2**20, "bytes large"),  # JSON takes many times its size
    ("runs/1/script.py", 65 * 2**20, "bytes large"), ("runs/1/run.tfx", 2**37, "bytes large"),
    ("runs/1/run.tfx", 300 * 2**20, "bytes large"),  # a thousandth of that is in the archive
])
def test_a_file_that_grows_in_being_unpacked_is_refused(bundle, name, size, word, capsys, monkeypatch):
    """What the archive says of a size is changed; nothing is unpacked to find out."""
    rewritten(bundle, lambda archive, files: None)
    data = bytearray(bundle.read_bytes())
    place = data.rfind(b"PK\1\2", 0, data.rfind(name.encode()))
    if size >= 2**32:
        size = 2**32 - 2  # within the limit of one file, and a thousand times what is there
    data[place + 24 : place + 28] = struct.pack("<I", size)
    if name == "runs/1/run.tfx" and size == 300 * 2**20:
        data[place + 20 : place + 24] = struct.pack("<I", size // 1000)
    bundle.write_bytes(data)
    refused(bundle, word, capsys, monkeypatch)


def test_files_that_are_too_many_bytes_together_are_refused(bundle, capsys, monkeypatch):
    monkeypatch.setattr("tfx_workbench.exporting.bundle_file._MOST_BYTES", 1000)
    refused(bundle, "more than a bundle can", capsys, monkeypatch)


def test_an_encrypted_archive_and_one_of_another_method_are_refused(bundle, tmp_path, capsys, monkeypatch):
    for offset, value in ((8, 1), (10, 99)):  # the flag of encryption; a method that nobody knows
        data = bytearray(bundle.read_bytes())
        place = data.rfind(b"PK\1\2")
        data[place + offset : place + offset + 2] = struct.pack("<H", value)
        target = tmp_path / "sub" / f"{offset}.tfxbundle"
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(data)
        refused(target, "", capsys, monkeypatch)


def test_a_name_in_front_of_a_file_that_is_no_text_is_refused(bundle, capsys, monkeypatch):
    data = bytearray(bundle.read_bytes())
    assert data.startswith(b"PK\3\4")
    data[6:8], data[30] = struct.pack("<H", 0x800), 0xFF  # the flag of UTF-8; the first byte of the name
    bundle.write_bytes(data)
    refused(bundle, "damaged", capsys, monkeypatch)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_a_pipe_is_not_waited_for(tmp_path, capsys):
    os.mkfifo(tmp_path / "b.tfxbundle")
    assert main(["reproduce", str(tmp_path / "b.tfxbundle")]) == 2
    assert "is a pipe" in capsys.readouterr().err


def test_what_is_taken_out_is_its_owners_alone(bundle, tmp_path):
    before = os.umask(0)
    try:
        with Bundle(bundle) as found:
            found.copy_run(found.runs[0], tmp_path / "out.tfx")
    finally:
        os.umask(before)
    assert os.name == "nt" or stat.S_IMODE((tmp_path / "out.tfx").stat().st_mode) == 0o600


def test_a_trace_that_grows_without_end_is_the_files_fault(runs, tmp_path, capsys, monkeypatch):
    run = Path(shutil.copy(runs[0], tmp_path / "run.tfx"))
    monkeypatch.setattr("tfx_workbench.exporting.formats._MOST_JSON_BYTES", 2**20)
    for blob, word in ((gzip.compress(bytes(2**21)), "more than 1 MiB"), (b"nothing", "cannot be unpacked"),
                       (gzip.compress(b"{}" * 999)[:-9], "cannot be unpacked")):
        with closing(sqlite3.connect(run)) as connection, connection:
            connection.execute("DELETE FROM trace")
            connection.execute("INSERT INTO trace (step, json_gz) VALUES (1, ?)", (blob,))
        for name in ("t.json", "t.json.gz"):
            assert main(["export", str(run), "--format", "trace", "-o", str(tmp_path / name)]) == 2
            assert word in capsys.readouterr().err and not (tmp_path / name).exists()
