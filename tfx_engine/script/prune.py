"""What of a definition a script does not need: marks for the profiler, probes, refusals, words for a form.

Nothing that is left out here has a part in what is computed.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tfx_engine.script.edits import Edits
from tfx_engine.script.fold import Known, Place
from tfx_engine.script.source import OURS, Ref, Source, resolved

_T = f"{OURS}.techniques"
CONTEXTS = frozenset({Ref(f"{_T}.ranges", "doing"), Ref(f"{_T}.ranges", "named"), Ref(f"{_T}.kernel", "marked")})
_PROBE = f"{_T}.probe"
_ERROR = Ref(f"{OURS}.protocol.problems", "ConfigError")
_BUILD = Ref(f"{OURS}.model.assemble", "_build")
_MARK = Ref(f"{OURS}.protocol.marker", "tr_mark")
_LINE = 110

Values = Mapping[tuple[str, str, str], Any]  # (module, class, field) -> what the configuration says


@dataclasses.dataclass
class Pruned:
    """What of a definition is gone: `skip`, its nodes; `edits`, its text; `builds`: calls that build for a slot."""

    skip: set[ast.AST]
    edits: Edits
    builds: list[tuple[ast.Call, str]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Rules:
    """`dropped`: functions that are not called for their own sake; `direct`: those whose lambda is called at once.

    `nothing`: slots in which there is nothing, with what is there instead.
    """

    dropped: frozenset[Ref] = frozenset()
    direct: frozenset[Ref] = frozenset()
    known: Known = dataclasses.field(default_factory=Known)
    nothing: Mapping[str, str] = dataclasses.field(default_factory=dict)


class _Pruner(ast.NodeVisitor):
    def __init__(self, source: Source, rules: Rules) -> None:
        self.source, self.rules = source, rules
        self.pruned = Pruned(set(), Edits(source))
        self._place = Place(source)

    def generic_visit(self, node: ast.AST) -> None:
        """Statement lists first: one of which nothing is left needs a `pass`."""
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list) and not isinstance(node, ast.Module):
                self._block(block)
        for child in ast.iter_child_nodes(node):
            if child not in self.pruned.skip:
                self.visit(child)

    def _block(self, block: Sequence[ast.stmt]) -> None:
        gone = [statement for statement in block if self._is_needless(statement)]
        for statement in gone:
            self.pruned.skip.add(statement)
            self.pruned.edits.remove(statement)
        if gone and len(gone) == len(block):
            self.pruned.edits.keep_place(gone[0])
        self._fold(block)

    def _fold(self, block: Sequence[ast.stmt]) -> None:
        """Branches that are never taken, and what follows one that always is and leaves the function."""
        for place, statement in enumerate(block):
            if statement in self.pruned.skip:
                continue
            decided = self._decided(statement)
            if decided is None:
                continue
            taken, left = decided
            self.pruned.skip.update(left)
            if not taken:
                self._drop([statement], block)
                continue
            self.pruned.edits.only(statement, taken)
            if isinstance(taken[-1], ast.Return | ast.Raise) and block[place + 1 :]:
                self._drop(block[place + 1 :], block)
                return

    def _decided(self, statement: ast.stmt) -> tuple[list[ast.stmt], list[ast.AST]] | None:
        """(the branch that is taken, what is left out) of a statement that the configuration decides."""
        match statement:
            case ast.If(test=test, body=body, orelse=orelse):
                is_true = self.rules.known.decide(self._place, test)
                if is_true is not None:
                    return (body, [test, *orelse]) if is_true else (orelse, [test, *body])
            case ast.Match(subject=subject, cases=cases):
                case = self.rules.known.chosen(self._place, statement)
                if case is not None:
                    return case.body, [subject, case.pattern, *(other for other in cases if other is not case)]
        return None

    def _drop(self, statements: Sequence[ast.stmt], block: Sequence[ast.stmt]) -> None:
        for statement in statements:
            self.pruned.skip.add(statement)
            self.pruned.edits.remove(statement)
        if all(statement in self.pruned.skip for statement in block):
            self.pruned.edits.keep_place(statements[0])

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Its annotations say of what its options are."""
        before, self._place = self._place, dataclasses.replace(self._place, function=node)
        self.generic_visit(node)
        self._place = before

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Its constructor says of what its options are."""
        before, self._place = self._place, dataclasses.replace(self._place, inside=node)
        self.generic_visit(node)
        self._place = before

    def visit_IfExp(self, node: ast.IfExp) -> None:
        """`a if test else b`, where the test is known."""
        is_true = self.rules.known.decide(self._place, node.test)
        if is_true is None:
            self.generic_visit(node)
            return
        taken, left = (node.body, node.orelse) if is_true else (node.orelse, node.body)
        self.pruned.skip.update([node.test, left])
        self.pruned.edits.only_expression(node, taken)
        self.visit(taken)

    def _is_needless(self, node: ast.stmt) -> bool:
        match node:
            case ast.ImportFrom(module=str(module)):
                return module.partition(".")[0] == OURS
            case ast.Assign(targets=[ast.Name(id="problems")]):
                return True
            case ast.If(body=[ast.Raise(exc=ast.Call(func=ast.Name() as raised))]) if self._target(raised) == _ERROR:
                return True
            case ast.If(test=test):
                return any(isinstance(target := self._target(n), Ref) and target.module == _PROBE
                           for n in ast.walk(test))
            case ast.Expr(value=ast.Call(func=called)):
                return self._target(called) in self.rules.dropped
        return False

    def visit_With(self, node: ast.With) -> None:
        """Contexts that only name what runs."""
        gone = [i for i in node.items if isinstance(i.context_expr, ast.Call)
                and self._target(i.context_expr.func) in CONTEXTS]
        self.pruned.skip.update(gone)
        if gone and len(gone) == len(node.items):
            self.pruned.edits.unwrap(node)
        elif gone:
            kept = [i for i in node.items if i not in gone]
            text = ", ".join(self.source.segment(i.context_expr) for i in kept)
            self.pruned.edits.replace_span(node.items[0].context_expr, node.items[-1].context_expr, text)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """A text that is marked to be translated is a text."""
        if self._target(node.func) == _MARK:
            self.pruned.skip.add(node)
            self.pruned.edits.replace(node, self.source.segment(node.args[0]))
        elif self._target(node.func) == _BUILD and (slot := getattr(node.args[0], "value", "")):
            self._build(node, slot)
        elif self._target(node.func) in self.rules.direct and isinstance(node.args[0], ast.Lambda):
            self.pruned.skip.add(node.func)
            self.pruned.edits.only_expression(node, node.args[0].body)
            self.visit(node.args[0].body)
        else:
            self.generic_visit(node)

    def _build(self, node: ast.Call, slot: str) -> None:
        """What builds the technique in a slot is called by its name; where there is nothing, nothing is built."""
        if slot in self.rules.nothing:
            self.pruned.skip.add(node)
            self.pruned.edits.replace(node, self.rules.nothing[slot])
            return
        self.pruned.skip.update([node.func, node.args[0]])
        self.pruned.builds.append((node, slot))
        self.generic_visit(node)

    def _target(self, node: ast.AST) -> Any:
        match node:
            case ast.Name(id=name):
                return self.source.resolve(name)
            case ast.Attribute(value=ast.Name(id=name), attr=attribute):
                module = self.source.resolve(name)
                if isinstance(module, Ref) and not module.name:
                    return resolved(Ref(module.module, attribute))
        return None


def prune(source: Source, node: ast.stmt, rules: Rules) -> Pruned:
    """What is to be left out."""
    pruner = _Pruner(source, rules)
    pruner.visit(node)
    return pruner.pruned


def option_fields(source: Source, node: ast.ClassDef) -> Iterator[tuple[ast.AnnAssign, dataclasses.Field[Any]]]:
    """The fields of a class that are options, in a source and as they are."""
    kind = getattr(importlib.import_module(source.module), node.name)
    fields = {f.name: f for f in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else {}
    for statement in node.body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name)) if name in fields and "option" in fields[name].metadata:
                yield statement, fields[name]


def write_options(
    source: Source, node: ast.ClassDef, values: Values, used: set[str], pruned: Pruned
) -> None:
    """Give every option its value, and leave out those that nobody looks at."""
    for statement, field in option_fields(source, node):
        pruned.skip.add(statement)
        if field.name not in used:
            pruned.edits.remove(statement)
            continue
        value = values.get((source.module, node.name, field.name), field.default)
        line = f"{field.name}: {source.segment(statement.annotation)} = {literal(value)}"
        pruned.edits.replace(statement, _explained(line, " ".join(field.metadata["option"]["help"].split())))


def _explained(line: str, said: str) -> str:
    """A field with as much of its explanation as is short."""
    if len(line) + len(said) + 8 > _LINE:
        said = re.split(r"(?<=[.;]) ", said)[0]
    if len(line) + len(said) + 8 <= _LINE:
        return f"{line}  # {said}"
    return f"# {said}\n    {line}" if len(said) + 8 <= _LINE else line


def literal(value: Any) -> str:
    """A value of a configuration as Python writes it."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return f'float("{value}")'
    if isinstance(value, list | tuple):
        return "(" + "".join(f"{literal(v)}, " for v in value).rstrip(" ") + ")" if value else "()"
    return repr(value)
