"""The Debian package's parts that can be tried without freezing: texts, dependencies, locks, how executables begin."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import pytest

import build
from formats import NAMES, Installed, deb, deb_depends, deb_texts, described, format_of
from freeze import contents, environment, licences
from freeze.environment import LOCKS, SYSTEMS
from freeze.slimming import CONTENTS
from metadata.identity import APP_ID, PROGRAM, RUN_MIME
from metadata.share import DESKTOP_FILE, METAINFO_FILE, MIME_FILE, SVG_FILE
from product import Product
from set_up.progress import CommandFailed, Refusal, Steps
from tests.helpers.frozen_standin import write_standin

PACKAGING = Path(build.__file__).parent
on_debian = pytest.mark.skipif(not shutil.which("dpkg-query"), reason="needs Debian's tools")


# ------------------------------------------------------------------------------------------------- what it says


def test_the_control_file_has_its_fields_and_no_empty_line() -> None:
    text = deb_texts.control("1.2.3", "amd64", 700_000, "libc6 (>= 2.34)")
    fields = dict(line.split(": ", 1) for line in text.splitlines() if not line.startswith(" "))
    assert fields["Version"] == "1.2.3" and fields["Installed-Size"] == "700000"
    assert fields["Depends"] == "libc6 (>= 2.34)" and fields["Architecture"] == "amd64"
    assert "\n\n" not in text and text.endswith("\n")
    assert all(len(line) <= 80 for line in text.splitlines())


@on_debian
@pytest.mark.skipif(not shutil.which("dpkg-parsechangelog"), reason="needs dpkg-dev")
def test_the_changelog_is_one_that_dpkg_reads(tmp_path: Path) -> None:
    file = tmp_path / "changelog"
    file.write_text(deb_texts.changelog("1.2.3", "Thu, 26 Nov 2026 00:00:00 -0000"))
    done = subprocess.run(["dpkg-parsechangelog", "-l", str(file)], capture_output=True, text=True)
    assert done.returncode == 0 and "Version: 1.2.3" in done.stdout and done.stderr == ""


# ------------------------------------------------------------------------------------------------- what it needs


@on_debian
def test_what_came_from_the_system_is_left_to_it_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / CONTENTS
    folder.mkdir()
    original = deb_depends._libraries_of_the_system()["libz.so.1"]
    shutil.copy(original, folder / "libz.so.1")
    (folder / "libc.so.6").write_bytes(b"\x7fELF another build")
    shutil.copy(original, folder / "libnobodyhasit.so.1")
    assert deb_depends.leave_to_the_system(tmp_path) == ["libz.so.1"]
    assert sorted(p.name for p in folder.iterdir()) == ["libc.so.6", "libnobodyhasit.so.1"]


@on_debian
@pytest.mark.skipif(not shutil.which("dpkg-shlibdeps"), reason="needs dpkg-dev")
def test_a_library_brings_the_package_it_is_linked_with(tmp_path: Path) -> None:
    (tmp_path / "program").mkdir()
    shutil.copy(deb_depends._libraries_of_the_system()["libz.so.1"], tmp_path / "program" / "libmine.so")
    (tmp_path / "program" / "notes.txt").write_text("no program")
    assert re.match(r"libc6 \(>= [\d.]+\)$", deb_depends.depends(tmp_path / "program", tmp_path))


def test_missing_tools_are_named_with_the_line_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("set_up.system_libraries.apt_install", lambda packages, steps: False)
    with pytest.raises(Refusal, match=r"apt-get install .* no-such-package"):
        build.find_tools({"no-such-command": "no-such-package", "sh": "dash"}, Steps(tmp_path / "log"))


def test_without_the_environment_of_the_build_this_python_describes_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(described, "PYTHON", tmp_path / "no-python")
    monkeypatch.setattr(subprocess, "run", lambda command, **_: asked.append(command) or types.SimpleNamespace(
        returncode=1, stdout="", stderr="no Qt"))
    with pytest.raises(CommandFailed, match="no Qt"):
        deb.describe("share", tmp_path)
    assert asked[0][0] == sys.executable


def test_a_frozen_program_that_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main(["deb", "--frozen", str(tmp_path / "nowhere")]) == 1
    assert "build.py freeze" in capsys.readouterr().out


@on_debian
@pytest.mark.skipif(not all(map(shutil.which, ("dpkg-shlibdeps", "dpkg-deb"))), reason="needs dpkg-dev")
def test_the_package_holds_what_desktops_look_for_and_what_its_programs_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deb, "BUILD", tmp_path)
    app = write_standin(tmp_path / "app")
    for name in deb.PROGRAMS:
        shutil.copy(shutil.which("true") or "", app / name)
    package = deb.build(app, Product("1.2.3", 0), tmp_path / "dist")
    contents = ["dpkg-deb", "--contents", str(package)]
    listing = subprocess.run(contents, capture_output=True, text=True, check=True).stdout
    owners = {line.split()[1] for line in listing.splitlines()}
    files = {line.split()[5].removeprefix("./"): line for line in listing.splitlines()}
    assert owners == {"root/root"}
    for name in deb.PROGRAMS:
        assert files[f"usr/bin/{name}"].endswith(f"-> ../lib/{PROGRAM}/{name}")
        assert files[f"usr/lib/{PROGRAM}/{name}"].startswith("-rwxr-xr-x")
        assert f"usr/share/man/man1/{name}.1.gz" in files
    assert {f"usr/share/{name}" for name in (DESKTOP_FILE, METAINFO_FILE, MIME_FILE, SVG_FILE)} <= files.keys()
    said = subprocess.run(["dpkg-deb", "--field", str(package)], capture_output=True, text=True, check=True).stdout
    assert "Version: 1.2.3\n" in said and re.search(r"^Depends: .*\blibc6 \(>= [\d.]+\)", said, re.M)


def test_sums_name_every_file_but_links(tmp_path: Path) -> None:
    (tmp_path / "usr").mkdir()
    (tmp_path / "usr" / "a").write_bytes(b"")
    (tmp_path / "usr" / "b").symlink_to("a")
    assert deb._md5sums(tmp_path) == "d41d8cd98f00b204e9800998ecf8427e  usr/a\n"


@pytest.mark.parametrize("name", NAMES)
def test_every_format_offers_what_the_build_and_the_smoke_test_call(name: str) -> None:
    module = format_of(name)
    assert isinstance(module.SYSTEM, str) and all(isinstance(k, str) for k in module.TOOLS)
    assert callable(module.build) and callable(module.install) and callable(module.uninstall)


@pytest.fixture
def desktop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a system keeps of the installed program, below `share`, and the tools that keep it, in `tools`."""
    share, programs, tools = tmp_path / "share", tmp_path / "bin", tmp_path / "tools"
    texts = {
        "mime/globs2": f"# made by a program\n50:text/x:*.tfx2\n50:{RUN_MIME}:*.tfx\n",
        "applications/mimeinfo.cache": f"[MIME Cache]\n{RUN_MIME}=other.desktop;{APP_ID}.desktop;\n",
        DESKTOP_FILE: f"[Desktop Entry]\nExec={PROGRAM} %F\n[Desktop Action demo]\nExec={PROGRAM} --demo\n",
    }
    for name, text in texts.items():
        (share / name).parent.mkdir(parents=True, exist_ok=True)
        (share / name).write_text(text)
    for folder, names in ((programs, [PROGRAM, "cp"]), (tools, ["update-mime-database", "update-desktop-database"])):
        folder.mkdir()
        for name in names:
            (folder / name).touch(0o755)
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setattr(deb, "SHARE", share)
    monkeypatch.setattr(deb, "BIN", programs)
    return tmp_path


def associated() -> list[str]:
    return deb.associated(Installed(Path("/usr/lib"), deb.BIN / PROGRAM, deb.BIN / "tfx-engine"))


def test_a_run_leads_to_the_program_by_its_suffix_its_type_and_the_desktop_entry(desktop: Path) -> None:
    assert associated() == []


@pytest.mark.parametrize(("file", "before", "after", "words"), [
    ("mime/globs2", "*.tfx\n", "*.tf\n", "does not say that *.tfx is"),
    ("mime/globs2", None, None, "does not say that *.tfx is"),
    ("applications/mimeinfo.cache", f"{APP_ID}.desktop", "x.desktop", "does not say that"),
    (DESKTOP_FILE, "Exec=", "TryExec=", "but nothing"), (DESKTOP_FILE, f"Exec={PROGRAM}", "Exec=cp", "does not start"),
    (DESKTOP_FILE, f"Exec={PROGRAM} --demo", "Exec=tfx --demo", "does not start"),
    (DESKTOP_FILE, None, None, "but nothing"),
])
def test_a_way_that_ends_before_the_program_is_one_problem(
    desktop: Path, file: str, before: str | None, after: str, words: str
) -> None:
    path = desktop / "share" / file
    if before is None:
        path.unlink()
    else:
        assert before in path.read_text()
        path.write_text(path.read_text().replace(before, after))
    (problem,) = associated()
    assert words in problem


def test_data_bases_that_nothing_keeps_are_not_looked_at_and_that_is_said(
    desktop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for tool in (desktop / "tools").iterdir():
        tool.unlink()
    (desktop / "share/mime/globs2").unlink()
    (desktop / "share/applications/mimeinfo.cache").unlink()
    assert associated() == []
    said = capsys.readouterr().out
    assert "globs2" in said and "mimeinfo.cache" in said and "desktop-file-utils" in said


# ------------------------------------------------------------------------------------------------- what is in it


def test_the_frozen_engine_has_every_module_its_sources_and_the_resources() -> None:
    assert {"tfx_engine.worker.__main__", "tfx_engine.techniques.position.rotary"} <= {*contents.ENGINE_MODULES}
    assert {"pydoc_data.topics", "wave"} <= {*contents.ENGINE_MODULES}
    placed = {f"{place}/{Path(file).name}" for file, place in contents.data_files()}
    for root in ("tfx_engine", "engine/tfx_engine"):  # for the script export, and for a Python of one's own
        assert {f"{root}/resources/catalogue.json", f"{root}/runfile/schema.sql", f"{root}/api.py"} <= placed
    assert "tfx_workbench/report/templates/page.html.j2" in placed
    assert not [p for p in placed if "__pycache__" in p]


@pytest.mark.parametrize(("variables", "carried"), [
    ({"Py_ENABLE_SHARED": 1}, True), ({"Py_ENABLE_SHARED": 0, "PYTHONFRAMEWORK": "Python"}, True),
    ({"Py_ENABLE_SHARED": 0, "PYTHONFRAMEWORK": ""}, False),
])
@pytest.mark.skipif(sys.platform == "win32", reason="every Python of Windows has a library")
def test_a_python_is_carried_as_a_library_or_as_a_framework(
    variables: dict[str, object], carried: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment.sysconfig, "get_config_var", variables.get)
    assert environment._has_shared_library() is carried


def test_the_window_is_frozen_without_torch_and_the_engine_without_qt() -> None:
    assert "torch" in contents.NOT_IN_THE_WORKBENCH and "PySide6" in contents.NOT_IN_THE_ENGINE
    engine = [name for name in contents.WORKBENCH_MODULES if name.startswith("tfx_engine.")]
    assert {name.split(".")[1] for name in engine} == {"protocol", "runfile", "pretrained", "client"}


def test_what_is_carried_has_the_text_of_its_licence() -> None:
    parts = {part.title.partition(" ")[0]: part for part in licences._distributions()} if licences.SITE_PACKAGES.exists(
        ) else {}
    assert [title for title, part in parts.items() if not part.texts] == []
    assert licences._python().texts


@pytest.mark.parametrize("system", SYSTEMS.values())
def test_a_lock_pins_everything_that_is_declared_with_hashes_and_no_address(system: str) -> None:
    text = (LOCKS / f"{system}.txt").read_text(encoding="utf-8")
    project = tomllib.loads((PACKAGING.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["app"], "pyinstaller", "pytest"]
    pinned = {m[1]: m[2] for m in re.finditer(r"^([a-z0-9-]+)==(\S+) \\\n((?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)",
                                              text, re.M)}
    assert {re.split(r"[><=]", line)[0].strip().lower() for line in wanted} <= pinned.keys()
    assert "://" not in text and "--index" not in text
    assert len(pinned) == text.count("==")
    assert system != "linux" or pinned["torch"].endswith("+cpu")


@pytest.mark.parametrize(("arguments", "said"), [
    (["-m", "freeze.said", "a", "-m"], "__main__ ['a', '-m']"), (["--version"], "own ['--version']"),
])
def test_an_executable_understands_what_python_does(arguments: list[str], said: str, tmp_path: Path) -> None:
    for name, words in (("other", "__main__"), ("own", "own")):
        (tmp_path / f"{name}.py").write_text(f"import sys; print({words!r}, sys.argv[1:])")
    arguments = ["other" if word == "freeze.said" else word for word in arguments]
    program = "import sys; from freeze.entry import enter; enter('own')"
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, cwd=tmp_path,
                          env={"PYTHONPATH": f"{PACKAGING}:{tmp_path}", "PYTHONIOENCODING": "utf-8"})
    assert done.stdout.strip() == said, done.stderr
