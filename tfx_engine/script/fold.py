"""Conditions that a configuration decides: the branch that is not taken is no part of its script.

A test is decided where it is made of constants, of `config.…`, and of `options.…` of a class of which a script has only
one set of values. What is not known stays open, and with it the test.
"""

from __future__ import annotations

import ast
import dataclasses
import operator
from collections.abc import Callable, Mapping
from typing import Any

from tfx_engine.protocol.config import Config
from tfx_engine.script.source import Ref, Source

_COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Is: operator.is_, ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b, ast.NotIn: lambda a, b: a not in b, ast.Gt: operator.gt, ast.Lt: operator.lt,
    ast.GtE: operator.ge, ast.LtE: operator.le,
}


class Open(Exception):
    """Nobody knows before the program runs."""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a test stands: in which module, class and function."""

    source: Source
    inside: ast.ClassDef | None = None
    function: ast.FunctionDef | None = None


@dataclasses.dataclass(frozen=True)
class Known:
    """`options`: field -> value, by the class, of those that have one set of values in the whole script."""

    config: Config | None = None
    options: Mapping[Ref, Mapping[str, Any]] = dataclasses.field(default_factory=dict)

    def decide(self, place: Place, test: ast.expr) -> bool | None:
        """Whether a test is true; None where it is open."""
        try:
            return bool(_Evaluation(self, place).value(test))
        except Open:
            return None

    def chosen(self, place: Place, node: ast.Match) -> ast.match_case | None:
        """The case that a `match` takes; None where it is open."""
        try:
            subject = _Evaluation(self, place).value(node.subject)
            return next((case for case in node.cases if _matches(case, subject)), None)
        except Open:
            return None


def _matches(case: ast.match_case, subject: Any) -> bool:
    """Of a case that names constants, or everything."""
    if case.guard is not None:
        raise Open
    match case.pattern:
        case ast.MatchValue(value=ast.Constant(value=value)):
            return bool(value == subject)
        case ast.MatchSingleton(value=value):
            return value is subject
        case ast.MatchAs(pattern=None, name=None):
            return True
        case ast.MatchOr(patterns=patterns):
            return any(_matches(ast.match_case(pattern, None, []), subject) for pattern in patterns)
    raise Open


@dataclasses.dataclass(frozen=True)
class _Evaluation:
    known: Known
    place: Place

    def value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Tuple(elts=parts):
                return tuple(self.value(part) for part in parts)
            case ast.UnaryOp(op=ast.Not(), operand=inner):
                return not self.value(inner)
            case ast.BoolOp(op=op, values=parts):
                return self._together(isinstance(op, ast.And), parts)
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARE:
                return _COMPARE[type(op)](self.value(left), self.value(right))
            case ast.Attribute(value=ast.Attribute(value=ast.Name(id="self"), attr="options"), attr=name):
                return self._option(self._constructor(), name)
            case ast.Attribute(value=ast.Attribute(value=ast.Name(id="config"), attr=section), attr=name):
                return self._of_section(section, name)
            case ast.Attribute(value=ast.Name(id="config"), attr="vocab" | "head_width" as name):
                return getattr(self._config(), name)
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="config"), attr="use"), args=[ast.Constant(value=str(slot))]
            ):
                return self._config().use(slot)
            case ast.Attribute(value=ast.Name(id="options"), attr=name):
                return self._option(self.place.function, name)
        raise Open

    def _together(self, is_and: bool, parts: list[ast.expr]) -> bool:
        """One part may decide it, though others are open."""
        is_open = False
        for part in parts:
            try:
                if bool(self.value(part)) != is_and:
                    return not is_and
            except Open:
                is_open = True
        if is_open:
            raise Open
        return is_and

    def _config(self) -> Config:
        if self.known.config is None:
            raise Open
        return self.known.config

    def _of_section(self, section: str, name: str) -> Any:
        if section not in ("model", "data", "run", "task") or name == "device":
            raise Open  # another device may be asked for
        return getattr(getattr(self._config(), section), name)

    def _constructor(self) -> ast.FunctionDef | None:
        """`__init__` of the class that we are in: its `options` are those of `self`, if it keeps them as they are."""
        body = self.place.inside.body if self.place.inside else []
        made = next((n for n in body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
        kept = [n for n in ast.walk(made) if isinstance(n, ast.Attribute) and n.attr == "options"
                and isinstance(n.ctx, ast.Store)] if made else []
        return made if kept else None

    def _option(self, function: ast.FunctionDef | None, name: str) -> Any:
        """Of a parameter `options` of a function, by the class that it is annotated with."""
        arguments = function.args.args if function else []
        found = next((a.annotation for a in arguments if a.arg == "options"), None)
        kind = self.place.source.resolve(found.id) if isinstance(found, ast.Name) else None
        values = self.known.options.get(kind, {}) if isinstance(kind, Ref) else {}
        if name not in values:
            raise Open
        return values[name]
