"""A run killed while it saves its weights: the old ones are whole, and what it left behind goes with the next look."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.services import until
from tests.helpers.synthetic_run import make_config
from tfx_engine.model.weights import weights_beside
from tfx_engine.runfile.create import create
from tfx_engine.runfile.seal import seal
from tfx_engine.runfile.unfinished import whole_or_not

SAVE = """
import sys
import torch
from pathlib import Path
from tests.helpers.synthetic_run import make_config
from tfx_engine.model.weights import save, weights_beside
from tfx_engine.runfile.lock import RunLock
from tfx_engine.runfile.writer import RunWriter
run, model = Path(sys.argv[1]), torch.nn.Linear(4096, 4096)
writer = RunWriter(run)
writer.state("running")
while True:
    save(model, weights_beside(run), make_config())
    print("saved", flush=True)
"""


def left_behind(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.startswith(".")]


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory, repo: Path) -> Path:
    """A folder with a run that was killed while a save was under way, after one that was not."""
    folder = tmp_path_factory.mktemp("killed")
    run = folder / "run.tfx"
    create(run, make_config(), "")
    for _ in range(20):  # a kill that hits the moment between two saves is no use
        with subprocess.Popen([sys.executable, "-c", SAVE, str(run)], cwd=repo, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stdout.readline() == b"saved\n"
            until(lambda: left_behind(folder))
            process.send_signal(signal.SIGKILL)
        if left_behind(folder):
            return folder
    raise AssertionError("never killed while it saved")


@pytest.fixture
def killed(once: Path, tmp_path: Path) -> Path:
    """That run, to be looked at."""
    return shutil.copytree(once, tmp_path / "runs") / "run.tfx"


def size_of_whole(run: Path) -> bool:
    from safetensors import safe_open

    with safe_open(weights_beside(run), framework="pt") as file:
        return file.get_tensor("weight").shape == (4096, 4096)


def test_sealing_takes_away_what_the_kill_left(killed: Path) -> None:
    assert seal(killed)
    assert sorted(path.name for path in killed.parent.iterdir()) == ["run.tfx", "run.tfx.safetensors"]
    assert size_of_whole(killed)


def test_so_does_the_next_run_that_saves_beside_it_and_nobody_elses(killed: Path) -> None:
    with whole_or_not(killed.parent / "other.tfx.safetensors") as path:
        path.write_bytes(b"whole")
        shutil.copy(path, path.with_name(".tmpABC"))  # as safetensors does while it writes
    assert not left_behind(killed.parent)
    assert (killed.parent / "other.tfx.safetensors").read_bytes() == b"whole" and size_of_whole(killed)
