"""What came of trying a claim: evidence, and whose claim it was."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Evidence:
    """`ok` None: it could not be tried. `template` is an English `str.format` template over `args`."""

    ok: bool | None
    code: str
    template: str
    args: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def message(self) -> str:
        """The same in English."""
        return self.template.format_map(self.args)


@dataclasses.dataclass(frozen=True)
class Finding:
    """The evidence for or against one claim of one technique."""

    slot: str
    technique: str
    claim: str
    evidence: Evidence


def held(code: str, template: str, **args: Any) -> Evidence:
    """The claim is true."""
    return Evidence(True, code, template, args)


def broken(code: str, template: str, **args: Any) -> Evidence:
    """The claim is not true."""
    return Evidence(False, code, template, args)


def untried(code: str, template: str, **args: Any) -> Evidence:
    """Nobody knows."""
    return Evidence(None, code, template, args)


def judged(ok: bool, code: str, template: str, **args: Any) -> Evidence:
    """True or not, in the same words."""
    return Evidence(ok, code, template, args)


class Untried(Exception):
    """Raised where a claim cannot be tried; carries why."""

    def __init__(self, code: str, template: str, **args: Any) -> None:
        self.evidence = untried(code, template, **args)
        super().__init__(self.evidence.message)
