"""Every text outside Qt's own classes that users see, for the translation tool: `python packaging/texts.py`.

Two things mark a text, and nothing else does: `tr_mark("...")`, and being the `template` or `hint_template` of a
`Problem(...)`, written there. A template that is written elsewhere, and gets there through a variable, a table or a
function, is marked with `tr_mark` where it is written. What is marked is a literal, a whole sentence, with its
arguments in braces: an f-string or a sum of pieces cannot be translated. (`self.tr("...")` of Qt's classes is found by
Qt's own tool; the texts of techniques and options are in the catalogue.)
"""

from __future__ import annotations

import ast
import string
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("tfx_engine", "tfx_workbench")
TEMPLATES = ("template", "hint_template")
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Found(NamedTuple):
    """A text, or what is wrong with one, and where."""

    place: str
    text: str


def all_files() -> Iterator[Path]:
    """Every source file whose texts users see."""
    for room in ROOMS:
        yield from sorted((ROOT / room).rglob("*.py"))


def read(file: Path) -> tuple[list[Found], list[Found]]:
    """The texts of a file, and its faults against the rule above."""
    name = str(file.relative_to(ROOT)) if file.is_relative_to(ROOT) else file.name
    source = _Source(name, ast.parse(file.read_text(encoding="utf-8")))
    source.read()
    return source.texts, source.faults


class _Source:
    """One module on its way through the rule."""

    def __init__(self, name: str, tree: ast.Module) -> None:
        self.texts: list[Found] = []
        self.faults: list[Found] = []
        self._name, self._tree = name, tree
        self._passed: dict[str, set[str]] = {}  # function -> its parameters that become a template

    def read(self) -> None:
        calls = [(call, within) for call, within in _calls(self._tree, ())]
        for call, _ in calls:
            if _called(call) == "tr_mark" and call.args:
                self._take(call.args[0], "tr_mark")
        before = -1
        while before != (before := sum(map(len, self._passed.values()))):  # a parameter may be passed on twice
            for call, within in calls:
                for argument in self._templates(call):
                    self._follow(argument, within, is_marked=False, is_silent=True)
        for call, within in calls:
            is_problem = _called(call) == "Problem"
            for argument in self._templates(call):
                self._follow(argument, within, is_marked=is_problem)

    def _templates(self, call: ast.Call) -> Iterator[ast.expr]:
        """The arguments of a call that are templates, as far as they are seen here."""
        name = _called(call)
        wanted = set(TEMPLATES) if name == "Problem" else self._passed.get(name, set())
        if not wanted:
            return
        yield from (keyword.value for keyword in call.keywords if keyword.arg in wanted)
        function = next((f for f in ast.walk(self._tree) if isinstance(f, Function) and f.name == name), None)
        if function is not None:
            names = [a.arg for a in (*function.args.posonlyargs, *function.args.args) if a.arg not in ("self", "cls")]
            yield from (value for parameter, value in zip(names, call.args, strict=False) if parameter in wanted)

    def _follow(
        self, value: ast.expr, within: tuple[Function, ...], is_marked: bool, is_silent: bool = False
    ) -> None:
        """Take a template, or see where it comes from."""
        match value:
            case ast.IfExp():
                for branch in (value.body, value.orelse):
                    self._follow(branch, within, is_marked, is_silent)
            case ast.Name(id=name) if (owner := _owner(name, within)) is not None:
                self._passed.setdefault(owner.name, set()).add(name)
            case ast.Name(id=name) if not is_silent:
                for assigned in _assigned(name, within[-1] if within else self._tree, self._tree):
                    self._follow(assigned, (), False)
            case ast.Call() if _called(value) == "tr_mark":
                pass
            case ast.Name() | ast.Attribute() | ast.Subscript():
                pass
            case _ if is_silent:
                pass
            case ast.Constant(value="" | None):
                pass
            case ast.Constant() if not is_marked:
                self._fault(value, "mark it with tr_mark")
            case _:
                self._take(value, "a template")

    def _take(self, value: ast.expr, what: str) -> None:
        if not isinstance(value, ast.Constant) or not isinstance(value.value, str):
            self._fault(value, f"{what} must be one literal")
        elif _says_something(value.value):
            self.texts.append(Found(f"{self._name}:{value.lineno}", value.value))

    def _fault(self, value: ast.expr, what: str) -> None:
        self.faults.append(Found(f"{self._name}:{value.lineno}", f"{what}: {ast.unparse(value)}"))


def _calls(node: ast.AST, within: tuple[Function, ...]) -> Iterator[tuple[ast.Call, tuple[Function, ...]]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield child, within
        yield from _calls(child, (*within, child) if isinstance(child, Function) else within)


def _called(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _owner(name: str, within: tuple[Function, ...]) -> Function | None:
    """The function around whose parameter this is."""
    for function in reversed(within):
        arguments = function.args
        if name in {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}:
            return function
    return None


def _assigned(name: str, here: ast.AST, module: ast.Module) -> Iterator[ast.expr]:
    """What is assigned to a name in a function or, where nothing is, anywhere else in the module."""
    def within(tree: ast.AST) -> list[ast.expr]:
        return [value for node in ast.walk(tree) if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value
                for value in _values(name, node)]

    yield from within(here) or within(module)


def _values(name: str, node: ast.Assign | ast.AnnAssign) -> Iterator[ast.expr]:
    assert node.value is not None
    for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
        if isinstance(target, ast.Name) and target.id == name:
            yield node.value
        elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            pairs = zip(target.elts, node.value.elts, strict=False)
            yield from (value for one, value in pairs if isinstance(one, ast.Name) and one.id == name)


def _says_something(text: str) -> bool:
    """Whether there is a word in it beside its arguments: "{reason}" alone needs no translation."""
    return any(letter.isalpha() for words, *_ in string.Formatter().parse(text) for letter in words)


def main() -> int:
    """Print every text with its place; exit code 1, and what is wrong on stderr, where one cannot be translated."""
    faults: list[Found] = []
    for file in all_files():
        texts, wrong = read(file)
        faults += wrong
        for found in texts:
            print(f"{found.place}\t{found.text!r}")
    for fault in faults:
        print(f"{fault.place}: {fault.text}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
