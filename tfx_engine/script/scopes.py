"""Which names in a piece of code are the module's own, and which are local to a function.

Names in annotations are `weak`: Python never looks at them, as every file has `from __future__ import annotations`.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

from tfx_engine.script.source import OURS, External, Ref, Source

Function = ast.FunctionDef | ast.Lambda
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclasses.dataclass(frozen=True)
class Use:
    """A place in the code that names something at a module's top: a name, or `module.name`."""

    node: ast.Name | ast.Attribute
    target: Ref | External
    weak: bool


class Uses(ast.NodeVisitor):
    """Finds every use, and every name that is asked for as an attribute or given as a keyword."""

    def __init__(self, source: Source, skip: set[ast.AST]) -> None:
        self.found: list[Use] = []
        self.attributes: set[str] = set()
        self._source, self._skip = source, skip
        self._scopes: list[frozenset[str]] = []
        self._is_annotation = False

    def visit(self, node: ast.AST) -> Any:
        """Into everything but what is to be left out."""
        if node not in self._skip:
            super().visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        """A name: is it the module's?"""
        if any(node.id in scope for scope in self._scopes):
            return
        target = self._source.resolve(node.id)
        if target is not None and not (isinstance(target, Ref) and not target.name):
            self.found.append(Use(node, target, self._is_annotation))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """`module.name` is one use; of all else the attribute's name counts."""
        if isinstance(node.value, ast.Name) and not any(node.value.id in scope for scope in self._scopes):
            module = self._source.resolve(node.value.id)
            if isinstance(module, Ref) and not module.name:
                self.found.append(Use(node, Ref(module.module, node.attr), self._is_annotation))
                return
        self.attributes.add(node.attr)
        self.generic_visit(node)

    def visit_keyword(self, node: ast.keyword) -> None:
        """A field may be set by it."""
        if node.arg:
            self.attributes.add(node.arg)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        """A name that `getattr` may ask for."""
        if isinstance(node.value, str) and node.value.isidentifier():
            self.attributes.add(node.value)

    def visit_Import(self, node: ast.Import) -> None:
        """Stands where it is."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Stands where it is."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Defaults and annotations belong to the scope around it."""
        for part in (*node.decorator_list, *node.args.defaults, *node.args.kw_defaults):
            if part is not None:
                self.visit(part)
        for each in _arguments(node.args):
            self._annotation(each.annotation)
        self._annotation(node.returns)
        self._within(_bound(node), node.body)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """As a function."""
        for part in (*node.args.defaults, *node.args.kw_defaults):
            if part is not None:
                self.visit(part)
        self._within(_bound(node), [node.body])

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """The annotation is weak."""
        self._annotation(node.annotation)
        self.visit(node.target)
        if node.value is not None:
            self.visit(node.value)

    def generic_visit(self, node: ast.AST) -> None:
        """A comprehension has a scope of its own."""
        if isinstance(node, _COMPREHENSIONS):
            bound = frozenset(n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name))
            self._scopes.append(bound)
            super().generic_visit(node)
            self._scopes.pop()
        else:
            super().generic_visit(node)

    def _annotation(self, node: ast.expr | None) -> None:
        if node is not None:
            before, self._is_annotation = self._is_annotation, True
            self.visit(node)
            self._is_annotation = before

    def _within(self, bound: frozenset[str], body: list[Any]) -> None:
        self._scopes.append(bound)
        for each in body:
            self.visit(each)
        self._scopes.pop()


def _arguments(args: ast.arguments) -> list[ast.arg]:
    more = [a for a in (args.vararg, args.kwarg) if a is not None]
    return [*args.posonlyargs, *args.args, *args.kwonlyargs, *more]


@functools.cache
def _bound(node: Function) -> frozenset[str]:
    """The local names of a function: what it is given, and what it assigns."""
    bound = {a.arg for a in _arguments(node.args)}
    for inner in _own_nodes(node):
        match inner:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                bound.add(name)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                bound.add(name)
            case ast.Import(names=names):
                bound |= {a.asname or a.name.partition(".")[0] for a in names}
            case ast.ImportFrom(module=str(module), names=names) if module.partition(".")[0] != OURS:
                bound |= {a.asname or a.name for a in names}
    return frozenset(bound)


def _own_nodes(node: Function) -> Iterator[ast.AST]:
    """Of its body, without what has a scope of its own (whose name is among them)."""
    todo: list[ast.AST] = list(node.body) if isinstance(node, ast.FunctionDef) else [node.body]
    while todo:
        inner = todo.pop()
        yield inner
        if not isinstance(inner, ast.FunctionDef | ast.ClassDef | ast.Lambda):
            if isinstance(inner, _COMPREHENSIONS):  # of which only `:=` is the function's
                todo += [n.target for n in ast.walk(inner) if isinstance(n, ast.NamedExpr)]
            else:
                todo += ast.iter_child_nodes(inner)
