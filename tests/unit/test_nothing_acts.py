"""What somebody else made is data: no code of ours could run it; a list of techniques that it brings is not read."""

from __future__ import annotations

import ast
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.synthetic_run import write_run
from tfx_engine.client.own import keep_up
from tfx_engine.protocol.cards import load_catalogue
from tfx_engine.protocol.config import parse_config
from tfx_engine.protocol.problems import ConfigError
from tfx_engine.protocol.trust import Trusted, load_trusted, own_catalogue
from tfx_workbench.exporting.bundle_file import Bundle
from tfx_workbench.session.opening import open_files

# Modules that run what they read, or that talk to a network; and who may have them, for what.
FORBIDDEN = {
    "pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml", "xmlrpc", "telnetlib", "ftplib",
    "smtplib", "http", "urllib", "requests", "httpx", "aiohttp", "socketserver", "asyncio", "multiprocessing", "code",
}
ALLOWED = {("tfx_engine/measure/trace_file.py", "pickle")}  # writes what torch.memory_viz reads; nothing reads it here
CALLS = {"eval", "exec", "compile", "__import__"}  # of Python's own
CALLED_AT = {"tfx_engine/script/source.py": {"compile"}}
METHODS = {"extractall", "popen", "load_extension", "enable_load_extension", "set_trace", "listen", "bind",
           "create_server"}  # fmt: skip
FUNCTIONS = {("torch", "load"), ("os", "system")}
ARGUMENTS = {"shell": False, "allow_pickle": False, "weights_only": True, "trust_remote_code": False}


def sources(repo: Path) -> Iterator[tuple[str, ast.Module]]:
    for folder in ("tfx_engine", "tfx_workbench"):
        for path in sorted((repo / folder).rglob("*.py")):
            yield path.relative_to(repo).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def acts(name: str, tree: ast.Module) -> Iterator[str]:
    """What in a module could run what was read, or reach a network."""
    for node in ast.walk(tree):
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules = [node.module or ""]
        for module in modules:
            top = module.partition(".")[0]
            if top in FORBIDDEN and (name, top) not in ALLOWED:
                yield f"imports {module}"
        if isinstance(node, ast.Call):
            yield from called(name, node)


def called(name: str, node: ast.Call) -> Iterator[str]:
    function = node.func
    if isinstance(function, ast.Name) and function.id in CALLS - CALLED_AT.get(name, set()):
        yield f"calls {function.id}"
    if isinstance(function, ast.Attribute):
        owner = function.value.id if isinstance(function.value, ast.Name) else ""
        if function.attr in METHODS or (owner, function.attr) in FUNCTIONS:
            yield f"calls {owner}.{function.attr}"
    for keyword in node.keywords:
        if keyword.arg in ARGUMENTS and not (
            isinstance(keyword.value, ast.Constant) and keyword.value.value is ARGUMENTS[keyword.arg]
        ):
            yield f"gives {keyword.arg}"


def test_no_line_of_ours_runs_what_it_reads(repo: Path) -> None:
    found = [f"{name}: {what}" for name, tree in sources(repo) for what in acts(name, tree)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("code", [
    "import pickle", "from urllib.request import urlopen", "eval(x)", "torch.load(p)", "z.extractall(p)",
    "os.system(x)", "np.load(f, allow_pickle=True)", "run(x, shell=True)", "torch.load(p, weights_only=False)",
    "s.bind(a)",
])
def test_a_line_that_did_would_be_seen(code: str) -> None:
    assert list(acts("x.py", ast.parse(code)))


CANARY = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\n"


@pytest.fixture
def sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that somebody sends: a run, a configuration, and everything with which code could come along."""
    monkeypatch.setenv("TFX_HOME", str(tmp_path / "home"))
    folder = tmp_path / "sent"
    write_run(folder / "run.tfx", steps=5, layers=1, heads=1, context=8, width=8)
    (folder / "c.toml").write_text('[techniques]\nposition = { use = "evil" }\n')
    for name in ("evil.py", "sitecustomize.py", "conftest.py", "tfx_engine.py", "torch.py", "setup.py"):
        (folder / name).write_text(CANARY)
    listed = json.dumps({"folders": [str(folder)], "packages": ["evil"]})
    for name in ("trusted.json", "own_catalogue.json", "plugins.json", "entry_points.txt"):
        (folder / name).write_text(listed)
    return folder


def test_a_list_of_techniques_in_a_folder_that_is_opened_is_not_read(sent: Path) -> None:
    found = open_files([sent / "run.tfx", sent / "c.toml"])
    assert found.runs and found.configs and not found.problems
    _, problems = parse_config(found.configs[0])
    assert [problem.code for problem in problems] == ["unknown-technique"]
    assert load_trusted() == Trusted() and own_catalogue(Trusted()) is None
    assert all(card.name != "evil" for card in load_catalogue().techniques)
    assert not (sent / "ran").exists()


@pytest.mark.parametrize("name", ["trusted.json", "plugins.json", "evil.py", "runs/1/evil.py", "runs/1/conftest.py"])
def test_a_list_of_techniques_in_a_bundle_is_refused(tmp_path: Path, name: str) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("manifest.json", "{}")
        archive.writestr(name, CANARY)
    path = tmp_path / "b.tfxbundle"
    path.write_bytes(made.getvalue())
    with pytest.raises(ConfigError, match="which no bundle does"):
        Bundle(path)


def test_without_a_confirmation_no_process_is_started_to_load_anything(
    sent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*arguments: object, **more: object) -> None:
        pytest.fail("a process was started")

    monkeypatch.setattr("subprocess.Popen", started)
    keep_up()
    load_catalogue()
    assert not (sent / "ran").exists()
