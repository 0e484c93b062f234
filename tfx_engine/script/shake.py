"""What of many modules is really reached from where a program begins.

A definition is reached by its name. A method is reached where something asks for an attribute of its name, where Python
or a class of torch calls it by itself, and not otherwise.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
from collections.abc import Iterator, Mapping

from tfx_engine.script.prune import Pruned, Rules, Values, option_fields, prune
from tfx_engine.script.scopes import Use, Uses
from tfx_engine.script.source import OURS, Definition, External, Ref, Source, resolved, source_of

# When somebody prints a model, and of data that a script does not look at.
_NOT_CALLED = frozenset({"extra_repr", "held_out", "_make_held_out"})


@dataclasses.dataclass(frozen=True)
class Given:
    """A definition whose text is not in a source, but follows from the configuration."""

    text: str
    refs: tuple[Ref, ...] = ()


@dataclasses.dataclass(frozen=True)
class Slot:
    """What fills a slot: what builds it, the class of its options, and those that are not what that class says."""

    build: Ref
    options: Ref
    other: str = ""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is known beforehand. `instead`: what stands for a definition; `given`: texts of definitions.

    `values`: of options; `slots`: what fills them.
    """

    instead: Mapping[Ref, Ref]
    given: Mapping[Ref, Given]
    rules: Rules
    values: Values
    slots: Mapping[str, Slot]


@dataclasses.dataclass
class Reached:
    """A definition that is needed; of a class, the methods of it that are."""

    definition: Definition
    source: Source
    pruned: Pruned
    methods: set[str] = dataclasses.field(default_factory=set)
    overrides: frozenset[str] = frozenset()  # methods that somebody else's class calls

    def unneeded(self) -> Iterator[ast.FunctionDef]:
        """The methods that nobody calls."""
        for method in methods_of(self.definition.node):
            if method.name not in self.methods:
                yield method


class Shake:
    """Follows every reference until nothing new is found."""

    def __init__(self, plan: Plan) -> None:
        self.reached: dict[Ref, Reached] = {}
        self.given: dict[Ref, Given] = {}
        self.attributes: set[str] = set()
        self.plan = plan
        self._todo: list[Ref] = []
        self._uses: dict[Ref, tuple[int, Uses]] = {}  # with how many methods

    def begin_at(self, ref: Ref) -> None:
        """Everything that is reached from there."""
        self._todo.append(ref)
        while self._todo or self._more_methods():
            if self._todo:
                self._reach(self._todo.pop())

    def target(self, target: Ref | External) -> Ref | External | None:
        """What a reference leads to in the script."""
        if isinstance(target, External):
            return target
        if target in self.plan.instead or target in self.plan.given:
            return self.plan.instead.get(target, target)
        found = resolved(target)
        return self.plan.instead.get(found, found) if isinstance(found, Ref) else found

    def uses(self, reached: Reached) -> Uses:
        """What a definition uses, without what is left out of it."""
        known = self._uses.get(reached.definition.ref)
        if known is None or known[0] != len(reached.methods):
            uses = Uses(reached.source, reached.pruned.skip | set(reached.unneeded()))
            uses.visit(reached.definition.node)
            known = self._uses[reached.definition.ref] = len(reached.methods), uses
        return known[1]

    def _reach(self, ref: Ref) -> None:
        if ref in self.given or ref in self.reached:
            return
        if ref in self.plan.given:
            self.given[ref] = self.plan.given[ref]
            self._todo += self.given[ref].refs
            return
        source = source_of(ref.module)
        definition = source.definitions[ref.name]
        if definition.ref in self.reached:
            return
        node = definition.node
        pruned = prune(source, node, self.plan.rules)
        reached = self.reached[definition.ref] = Reached(definition, source, pruned)
        if isinstance(node, ast.ClassDef):
            pruned.skip.update(statement for statement, _ in option_fields(source, node))
            reached.overrides = _overrides(ref)
            self._follow(source, node, pruned.skip | set(methods_of(node)))
        else:
            self._follow(source, node, pruned.skip)
        for _, slot in pruned.builds:
            self._todo += [self.plan.slots[slot].build, self.plan.slots[slot].options]

    def _more_methods(self) -> bool:
        """Whether methods are called by now that were not before; they are followed."""
        grown = False
        for reached in list(self.reached.values()):
            for method in list(reached.unneeded()):
                if self._is_called(reached, method.name):
                    reached.methods.add(method.name)
                    self._follow(reached.source, method, reached.pruned.skip)
                    grown = True
        return grown

    def _is_called(self, reached: Reached, name: str) -> bool:
        if name in _NOT_CALLED:
            return False
        is_dunder = name.startswith("__") and name.endswith("__")
        return is_dunder or name in self.attributes or name in reached.overrides

    def _follow(self, source: Source, node: ast.AST, skip: set[ast.AST]) -> None:
        uses = Uses(source, skip)
        uses.visit(node)
        self.attributes |= uses.attributes
        for use in uses.found:
            target = None if use.weak else self.target(use.target)
            if isinstance(target, Ref):
                self._todo.append(target)


def methods_of(node: ast.stmt) -> list[ast.FunctionDef]:
    """The functions of a class."""
    return [n for n in node.body if isinstance(n, ast.FunctionDef)] if isinstance(node, ast.ClassDef) else []


def weak_names(uses: Uses) -> list[Use]:
    """The uses in annotations."""
    return [use for use in uses.found if use.weak]


def _overrides(ref: Ref) -> frozenset[str]:
    """The methods of a class that it has in the place of those of a class that is not ours."""
    found = getattr(importlib.import_module(ref.module), ref.name)
    others = [base for base in found.__mro__ if base.__module__.partition(".")[0] != OURS and base is not object]
    return frozenset(name for base in others for name in vars(base))
