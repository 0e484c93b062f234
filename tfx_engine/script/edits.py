"""Changes to the text of a definition, so that its comments and its form stay."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Sequence
from typing import NamedTuple

from tfx_engine.script.source import Definition, Source


class _Edit(NamedTuple):
    start: int  # bytes from the beginning of the file
    end: int
    text: bytes


class Edits:
    """Collected by place in the file; a change within something that is removed is void."""

    def __init__(self, source: Source) -> None:
        self._source = source
        lines = [line.encode() for line in source.lines]
        self._starts = [0, 0, *itertools.accumulate(len(line) + 1 for line in lines)]  # by number of the line, from 1
        self._edits: list[_Edit] = []

    def replace(self, node: ast.AST, text: str) -> None:
        """Another text in the place of a node."""
        self.replace_span(node, node, text)

    def replace_span(self, first: ast.AST, last: ast.AST, text: str) -> None:
        """Another text from the beginning of one node to the end of another."""
        self._edits.append(_Edit(self._begin(first), self._end(last), text.encode()))

    def replace_in_line(self, line: int, column: int, old: str, new: str) -> None:
        """A word that is no node, such as the name of a function where it is defined."""
        start = self._starts[line] + column
        self._edits.append(_Edit(start, start + len(old.encode()), new.encode()))

    def remove(self, node: ast.stmt, with_blanks: bool = False) -> None:
        """The lines of a statement, the comment right above it, and its decorators."""
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
        while self._source.lines[first - 2].lstrip().startswith("#"):
            first -= 1
        while with_blanks and not self._source.lines[first - 2].strip():
            first -= 1
        self._edits.append(_Edit(self._starts[first], self._starts[(node.end_lineno or node.lineno) + 1], b""))

    def keep_place(self, node: ast.stmt) -> None:
        """`pass` instead of a statement that was removed, as nothing else is left in its block."""
        last = self._edits.pop()
        while last.start > self._begin(node) or last.end < self._end(node):  # the one that removed it
            self._edits.insert(0, last)
            last = self._edits.pop()
        indent = b" " * node.col_offset
        self._edits.append(last._replace(text=indent + b"pass\n"))

    def unwrap(self, node: ast.With) -> None:
        """A `with` without its first lines, its body further to the left."""
        self.only(node, node.body)

    def only(self, node: ast.stmt, body: Sequence[ast.stmt]) -> None:
        """Of a statement with an inside only this body, further to the left."""
        first, last = body[0].lineno, body[-1].end_lineno or body[-1].lineno
        while self._source.lines[first - 2].lstrip().startswith("#"):
            first -= 1
        self._edits.append(_Edit(self._starts[node.lineno], self._starts[first], b""))
        indent = body[0].col_offset - node.col_offset
        for line in range(first, last + 1):
            if self._source.lines[line - 1].strip():
                self._edits.append(_Edit(self._starts[line], self._starts[line] + indent, b""))
        self._edits.append(_Edit(self._starts[last + 1], self._starts[(node.end_lineno or last) + 1], b""))

    def only_expression(self, node: ast.expr, part: ast.expr) -> None:
        """Of an expression only a part."""
        self._edits.append(_Edit(self._begin(node), self._begin(part), b""))
        self._edits.append(_Edit(self._end(part), self._end(node), b""))

    def apply(self, definition: Definition) -> str:
        """The text of a definition with all changes."""
        data = self._source.text.encode()
        begin, end = self._starts[definition.first_line], self._starts[definition.last_line + 1] - 1
        edits = sorted((e for e in self._edits if begin <= e.start and e.end <= end + 1),
                       key=lambda e: (e.start, -e.end))
        parts, place = [], begin
        for edit in edits:
            if edit.start < place:
                if edit.end <= place:
                    continue  # within something that is gone
                edit = edit._replace(start=place)
            parts += [data[place:edit.start], edit.text]
            place = edit.end
        return (b"".join(parts) + data[place:end]).decode()

    def _begin(self, node: ast.AST) -> int:
        return self._starts[node.lineno] + node.col_offset  # type: ignore[attr-defined]

    def _end(self, node: ast.AST) -> int:
        return self._starts[node.end_lineno] + node.end_col_offset  # type: ignore[attr-defined]
