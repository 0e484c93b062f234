"""What a bench prints is what it is for: it is shown as it comes, also without `-s`."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Within the test alone, where pytest has begun to keep what is printed. Called for this folder's tests only."""
    with _shown(pyfuncitem.config):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(request: pytest.FixtureRequest) -> Generator[None, Any, Any]:
    """What several benches have in common is printed there."""
    with _shown(request.config):
        return (yield)


def _shown(config: pytest.Config) -> contextlib.AbstractContextManager[None]:
    capture = config.pluginmanager.getplugin("capturemanager")
    return contextlib.nullcontext() if capture is None else capture.global_and_fixture_disabled()
