"""The source of one module: what it defines at its top, and where each name that it uses comes from."""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib.util
from collections.abc import Iterable

from tfx_engine.protocol.marker import tr_mark

OURS = "tfx_engine"
_NO_SOURCE = tr_mark("The source of {module} is not there: this installation holds compiled files alone.")


class NoScript(Exception):
    """Why there is no script, in a sentence."""


@dataclasses.dataclass(frozen=True)
class Ref:
    """A definition of ours: module and name; the name "" is the module itself."""

    module: str
    name: str


@dataclasses.dataclass(frozen=True)
class External:
    """Something from elsewhere, under a name of ours: `import torch`, `from torch import nn`, `import numpy as np`."""

    module: str
    name: str  # "" for the module itself
    alias: str


@dataclasses.dataclass(frozen=True)
class Definition:
    """A statement at the top of a module, with the comment above it. Lines count from 1, the last one is in it."""

    ref: Ref
    node: ast.stmt
    first_line: int
    last_line: int


class Source:
    """A module of ours, read."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.text = _text_of(module)
        self.lines = self.text.split("\n")
        self.tree = ast.parse(self.text)
        self.definitions: dict[str, Definition] = {}
        self.imports: dict[str, Ref | External] = {}
        for node in self.tree.body:
            self._define(node)
        for inner in ast.walk(self.tree):  # also those within functions and `if TYPE_CHECKING`
            if isinstance(inner, ast.Import | ast.ImportFrom):
                self._import(inner)

    def _define(self, node: ast.stmt) -> None:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                names = [name]
            case ast.Assign(targets=targets):
                names = [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]
            case _:
                return
        found = Definition(Ref(self.module, names[0]), node, self._begin(node), node.end_lineno or node.lineno)
        self.definitions.update(dict.fromkeys(names, found))

    def _begin(self, node: ast.stmt) -> int:
        """The first line of its decorators, or of the comment right above it."""
        decorators = getattr(node, "decorator_list", [])
        line = min([node.lineno, *(d.lineno for d in decorators)])
        while line > 1 and self.lines[line - 2].lstrip().startswith("#"):
            line -= 1
        return line

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            name = alias.asname or alias.name.partition(".")[0]
            if isinstance(node, ast.Import):
                whole = alias.name if alias.asname or "." not in alias.name else alias.name.partition(".")[0]
                self.imports.setdefault(name, External(whole, "", name))
            elif (node.module or "").partition(".")[0] == OURS:
                self.imports.setdefault(name, Ref(node.module or "", alias.name))
            else:
                self.imports.setdefault(name, External(node.module or "", alias.name, name))

    def segment(self, node: ast.expr | ast.stmt) -> str:
        """The text of a node."""
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        lines = [line.encode() for line in self.lines[first : last + 1]]  # columns count bytes
        lines[-1] = lines[-1][: node.end_col_offset]
        lines[0] = lines[0][node.col_offset :]
        return b"\n".join(lines).decode()

    def resolve(self, name: str) -> Ref | External | None:
        """What a global name of this module stands for; None for a builtin."""
        if name in self.definitions:
            return Ref(self.module, name)
        found = self.imports.get(name)
        return resolved(found) if isinstance(found, Ref) else found


def resolved(ref: Ref) -> Ref | External | None:
    """The definition itself, where a module hands on what it has from another."""
    if is_module(f"{ref.module}.{ref.name}"):
        return Ref(f"{ref.module}.{ref.name}", "")
    return source_of(ref.module).resolve(ref.name)


@functools.cache
def source_of(module: str) -> Source:
    """The source of a module, read once. Raises NoScript."""
    return Source(module)


@functools.cache
def is_module(name: str) -> bool:
    """Whether there is a module of ours of that name."""
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # "tfx_engine.protocol.config.Config": its parent is no package
        return False


def _text_of(module: str) -> str:
    spec = importlib.util.find_spec(module)
    get_source = getattr(spec and spec.loader, "get_source", None)
    text = get_source(module) if get_source else None
    if text is None:
        raise NoScript(_NO_SOURCE.format(module=module))
    return str(text)


def import_lines(externals: Iterable[External]) -> list[str]:
    """Import statements, those of the standard library and others alike in the order of their modules."""
    plain = sorted({e for e in externals if not e.name}, key=lambda e: e.module)
    lines = [f"import {e.module}" + (f" as {e.alias}" if e.alias != e.module.partition(".")[0] else "") for e in plain]
    names: dict[str, set[str]] = {}
    for e in externals:
        if e.name:
            names.setdefault(e.module, set()).add(e.name + (f" as {e.alias}" if e.alias != e.name else ""))
    return lines + [f"from {module} import {', '.join(sorted(names[module]))}" for module in sorted(names)]
