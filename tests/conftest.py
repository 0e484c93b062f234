"""Every test runs in a home of its own, without a display, and without a network."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

from tests.helpers.ceilings import pretend_measured

HOME = Path(tempfile.mkdtemp(prefix="tfx-tests-"))
OWN_FOLDERS = {  # where platformdirs and Qt look for settings, data and caches
    "TFX_HOME": "tfx",
    "XDG_CONFIG_HOME": "config",
    "XDG_DATA_HOME": "data",
    "XDG_STATE_HOME": "state",
    "XDG_CACHE_HOME": "cache",
    "XDG_RUNTIME_DIR": "runtime",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """How much of what is drawn at random is tried."""
    parser.addoption("--configurations", type=int, default=300, help="random configurations that are trained (300)")
    parser.addoption("--audits", type=int, default=120, help="random configurations that are audited where legal (120)")
    parser.addoption("--recorded", nargs="*", default=[], help="runs of one configuration, to draw steps from")
    parser.addoption("--scripts", choices=("together", "each"), default="together",
                     help="exported scripts: several techniques in one (together), or one for every variant (each)")


def pytest_configure(config: pytest.Config) -> None:
    """Point the whole process, and all processes it starts, at the test home."""
    for variable, folder in OWN_FOLDERS.items():
        (HOME / folder).mkdir(mode=0o700, exist_ok=True)
        os.environ[variable] = str(HOME / folder)
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # without torch nothing runs
        pretend_measured()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job: Ctrl-C would reach no command
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.setdefault("PYTHONFAULTHANDLER", "1")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Take the test home away again."""
    shutil.rmtree(HOME, ignore_errors=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what lies in tests/gpu, and skip it where there is no accelerator."""
    for item in items:
        if "gpu" in item.path.parts:
            item.add_marker("gpu")
    need_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if need_gpu and not _has_accelerator():
        for item in need_gpu:
            item.add_marker(pytest.mark.skip(reason="torch sees no CUDA device here"))


def _has_accelerator() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.fixture(scope="session")
def repo() -> Path:
    """The root of the source tree."""
    return Path(__file__).resolve().parent.parent
