"""Techniques of somebody's own in tests: settings of their own, and nothing that stays loaded."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tfx_engine.protocol.trust import Trusted, save_trusted
from tfx_engine.techniques.catalogue import in_use
from tfx_engine.techniques.module import importable
from tfx_engine.techniques.own import load_own, look_again


@contextlib.contextmanager
def settings_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A settings folder, with nothing loaded before or after."""
    monkeypatch.setenv("TFX_HOME", str(tmp_path / "home"))
    for _ in range(2):
        load_own.cache_clear()
        in_use.cache_clear()
        if _ == 0:
            yield tmp_path / "home"
    importable(())
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def trust(folder: Path) -> None:
    """As if the user had said so."""
    save_trusted(Trusted((str(folder),)))
    look_again()
