"""What every command says when its service fails it."""

from __future__ import annotations

from tfx_engine.client import ServiceGone
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_workbench.commands.output import ENGINE_GONE


def engine_gone(error: ServiceGone) -> ConfigError:
    """The service ended while it was needed, as a problem."""
    return ConfigError([Problem(
        code=ENGINE_GONE, path="", template="{error}", args={"error": str(error)},
        hint_template=tr_mark("`tfx-workbench doctor` says what works on this machine."),
    )])
