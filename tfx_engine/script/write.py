"""The reached definitions as one file: names that clash told apart, modules in the order in which Python needs them."""

from __future__ import annotations

import ast
import dataclasses
import keyword
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tfx_engine.script.prune import write_options
from tfx_engine.script.scopes import Uses
from tfx_engine.script.shake import Reached, Shake, weak_names
from tfx_engine.script.source import OURS, External, Ref, import_lines, source_of

_ALWAYS_NAMED = frozenset({"build", "Options"})  # by the slot: a script has several of them
_LONGEST_TITLE = 100
_ANY = External("typing", "Any", "Any")


@dataclasses.dataclass(frozen=True)
class Section:
    """The definitions of one module of ours, with the words above them."""

    title: str
    body: str


class Writer:
    """Makes text of what was reached."""

    def __init__(self, shake: Shake, titles: Mapping[str, str], order: Sequence[str]) -> None:
        self._shake, self._titles, self._order = shake, titles, order
        self.externals: set[External] = set()
        self._reach_cheap_names()
        for reached in shake.reached.values():
            for use in shake.uses(reached).found:
                target = shake.target(use.target)
                if isinstance(target, External):
                    self.externals.add(target)
        self._names = self._make_names()

    def sections(self) -> Iterator[Section]:
        """By module; what a module needs comes before it."""
        for module in self._modules():
            texts = [self._text(r) for r in self._of(module)]
            texts += [self._given(ref) for ref in self._shake.plan.given
                      if ref.module == module and ref in self._shake.given]
            body = re.sub(r"\n{4,}", "\n\n\n", "".join(texts).strip("\n"))
            yield Section(self._titles.get(module) or _first_words(module), body)

    def imports(self) -> str:
        """After all sections have been written."""
        externals = {e for e in self.externals if e.module != "__future__"}
        ours = [e for e in externals if e.module.partition(".")[0] in ("torch", "numpy")]
        return "\n".join([*import_lines(externals - set(ours)), "", *import_lines(ours)])

    def name(self, ref: Ref) -> str:
        """What a definition is called in the script."""
        return self._names.get(ref, ref.name)

    def _reach_cheap_names(self) -> None:
        """Names of types that annotations use, where nothing comes with them that is not there already."""
        grown = True
        while grown:
            grown = False
            for reached in list(self._shake.reached.values()):
                for use in weak_names(self._shake.uses(reached)):
                    target = self._shake.target(use.target)
                    if isinstance(target, Ref) and not self._is_there(target) and self._is_cheap(target):
                        self._shake.begin_at(target)
                        grown = True

    def _is_there(self, ref: Ref) -> bool:
        return self._definition(ref) in self._shake.reached or ref in self._shake.given

    def _definition(self, ref: Ref) -> Ref:
        """Several names may be given by one statement."""
        found = source_of(ref.module).definitions.get(ref.name)
        return found.ref if found else ref

    def _is_cheap(self, ref: Ref) -> bool:
        found = source_of(ref.module).definitions.get(ref.name)
        if found is None or not isinstance(found.node, ast.Assign):
            return False
        uses = Uses(source_of(ref.module), set())
        uses.visit(found.node.value)
        targets = [self._shake.target(use.target) for use in uses.found]
        return all(isinstance(t, External) or (isinstance(t, Ref) and self._is_there(t)) for t in targets)

    # ------------------------------------------------------------------------------------ names

    def _make_names(self) -> dict[Ref, str]:
        refs = [*self._all_names(), *self._shake.given]
        count = Counter(ref.name for ref in refs)
        taken = {e.alias for e in self.externals} | set(keyword.kwlist)
        names: dict[Ref, str] = {}
        for ref in refs:
            if ref.name in _ALWAYS_NAMED or count[ref.name] > 1 or ref.name in taken:
                names[ref] = _labelled(ref)
        for name, times in Counter(names.values()).items():  # two slots may have techniques of one name
            if times > 1:
                names |= {ref: _labelled(ref, full=True) for ref, given in names.items() if given == name}
        return names

    def _all_names(self) -> Iterator[Ref]:
        for ref, reached in self._shake.reached.items():
            for name, definition in reached.source.definitions.items():
                if definition.ref == ref:
                    yield Ref(ref.module, name)

    # ------------------------------------------------------------------------------------ order

    def _modules(self) -> list[str]:
        """Each after those that it refers to when it is read; what only its functions refer to may come later."""
        needs: dict[str, set[str]] = defaultdict(set)
        for reached in self._shake.reached.values():
            module = reached.definition.ref.module
            needs[module] |= {t.module for t in self._targets(reached) if t.module != module}
        for ref, given in self._shake.given.items():
            needs[ref.module] |= {r.module for r in given.refs}
        order: list[str] = []
        for module in sorted(needs, key=self._rank):
            self._place(module, needs, order, set())
        return order

    def _rank(self, module: str) -> tuple[int, str]:
        """Where it is to stand if nothing speaks against it: `order` names beginnings of names."""
        return next((i for i, begin in enumerate(self._order) if f"{module}.".startswith(begin)), 0), module

    def _place(self, module: str, needs: Mapping[str, set[str]], order: list[str], under_way: set[str]) -> None:
        if module in order or module in under_way:
            return
        under_way.add(module)
        for needed in sorted(needs.get(module, ()), key=self._rank):
            self._place(needed, needs, order, under_way)
        order.append(module)

    def _targets(self, reached: Reached) -> list[Ref]:
        """What a statement refers to when Python reads it: bases, decorators, defaults, the value of a constant."""
        node = reached.definition.node
        skip: set[ast.AST] = set()
        for function in ast.walk(node):
            if isinstance(function, ast.FunctionDef):
                skip |= set(function.body)
            elif isinstance(function, ast.Lambda):
                skip.add(function.body)
        uses = Uses(reached.source, skip | reached.pruned.skip | set(reached.unneeded()))
        uses.visit(node)
        found = [self._shake.target(use.target) for use in uses.found if not use.weak]
        return [target for target in found if isinstance(target, Ref)]

    def _of(self, module: str) -> Iterable[Reached]:
        return sorted((r for ref, r in self._shake.reached.items() if ref.module == module),
                      key=lambda r: r.definition.first_line)

    # ------------------------------------------------------------------------------------ text

    def _given(self, ref: Ref) -> str:
        given = self._shake.given[ref]
        text = given.text
        for number, needed in enumerate(given.refs):
            text = text.replace(f"«{number}»", self.name(needed))
        return text + "\n"

    def _text(self, reached: Reached) -> str:
        source, definition = reached.source, reached.definition
        pruned = reached.pruned
        if isinstance(definition.node, ast.ClassDef):
            write_options(source, definition.node, self._shake.plan.values, self._shake.attributes, pruned)
        for method in reached.unneeded():
            pruned.edits.remove(method, with_blanks=True)
        if isinstance(definition.node, ast.ClassDef) and not _has_body(definition.node, reached, pruned.skip):
            pruned.edits.keep_place(definition.node.body[-1])
        uses = self._shake.uses(reached)
        for use in uses.found:
            target = self._shake.target(use.target)
            if not isinstance(target, Ref):
                continue
            there = self._is_there(target)
            if not there:
                assert use.weak, f"{target} is used in {definition.ref}, but was not reached"
                self.externals.add(_ANY)
            name = self.name(target) if there else _ANY.alias
            if isinstance(use.node, ast.Attribute) or use.node.id != name:
                pruned.edits.replace(use.node, name)
        for call, slot in pruned.builds:
            filled = self._shake.plan.slots[slot]
            text = f"{self.name(filled.build)}({self.name(filled.options)}({filled.other})"
            pruned.edits.replace_span(call.func, call.args[0], text)
        self._rename(reached, pruned.edits)
        text = pruned.edits.apply(definition)
        is_block = isinstance(definition.node, ast.FunctionDef | ast.ClassDef)
        return f"\n\n{text}\n\n\n" if is_block else f"{text}\n"

    def _rename(self, reached: Reached, edits: object) -> None:
        node, name = reached.definition.node, self.name(reached.definition.ref)
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name != name:
            column = node.col_offset + len("def " if isinstance(node, ast.FunctionDef) else "class ")
            edits.replace_in_line(node.lineno, column, node.name, name)  # type: ignore[attr-defined]


def _first_words(module: str) -> str:
    """What a module says of itself, in a line."""
    words = (ast.get_docstring(source_of(module).tree) or "").split("\n")[0].rstrip(".")
    return words.replace("`", "") if len(words) <= _LONGEST_TITLE else ""


def _has_body(node: ast.ClassDef, reached: Reached, skip: set[ast.AST]) -> bool:
    gone = skip | set(reached.unneeded())
    return any(statement not in gone for statement in node.body)


def _labelled(ref: Ref, full: bool = False) -> str:
    """A name with what it belongs to: the slot of a technique's, else the module's name."""
    parts = ref.module.split(".")
    is_technique = parts[:2] == [OURS, "techniques"] and len(parts) == 4
    label = parts[2] if is_technique and not full else "_".join(parts[2:]) if full else parts[-1]
    if ref.name.lstrip("_")[:1].isupper() and not ref.name.isupper():
        head = re.match(r"_*", ref.name)
        under = head[0] if head else ""
        return under + "".join(part.capitalize() for part in label.split("_")) + ref.name.lstrip("_")
    return f"{ref.name}_{label.upper() if ref.name.isupper() else label}"
