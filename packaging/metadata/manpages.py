"""Pages of the manual, made from the grammars of the commands themselves."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Iterable, Iterator

from metadata.identity import ENGINE, NAME, PROGRAM, RUN_SUFFIX, release_date, version

_LINE = 78  # columns of the page's source, which linters ask for
_WIDE = 10_000  # columns: usage comes as one line, which the reader's terminal breaks
_EXITS = (("0", "done"), ("1", "a run failed; one of several is enough"), ("2", "the request was wrong"),
          ("130", "interrupted"))


def pages() -> dict[str, str]:
    """File name -> page, for section 1."""
    return {f"{PROGRAM}.1": workbench_page(), f"{ENGINE}.1": engine_page()}


def workbench_page() -> str:
    """`tfx-workbench(1)`: the window and every command."""
    from tfx_workbench.commands.parser import COMMANDS, command_parser, window_parser

    window = window_parser()
    lines = [*_head(PROGRAM, window.description or ""), ".SH SYNOPSIS", *_usage(window)]
    lines += [".PP", rf"\fB{_escaped(PROGRAM)}\fR \fICOMMAND\fR [\fIARGUMENT\fR...]"]
    lines += [".SH DESCRIPTION", *_paragraphs(_WHAT_IT_IS), ".SH OPTIONS", *_options(window), ".SH COMMANDS"]
    for name in COMMANDS:
        command = command_parser(name)
        lines += [f".SS {_escaped(name)}", _sentence(command.description or ""), ".PP", *_usage(command)]
        lines += _options(command)
    return _page([*lines, *_tail(ENGINE)])


def engine_page() -> str:
    """`tfx-engine(1)`: the engine without a window."""
    from tfx_engine.__main__ import _parser

    parser = _parser()
    parser.prog = ENGINE
    lines = [*_head(ENGINE, "The engine of TFX Workbench, without a window"), ".SH SYNOPSIS",
             rf"\fB{_escaped(ENGINE)}\fR \fICOMMAND\fR [\fIARGUMENT\fR...]",
             ".SH DESCRIPTION", *_paragraphs(_WHAT_THE_ENGINE_IS), ".SH COMMANDS"]
    subparsers = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    purposes = {choice.dest: choice.help or "" for choice in subparsers._choices_actions}
    for name, command in subparsers.choices.items():
        command.prog = f"{ENGINE} {name}"
        lines += [f".SS {_escaped(name)}", _sentence(purposes[name]), ".PP", *_usage(command), *_options(command)]
    return _page([*lines, *_tail(PROGRAM)])


_WHAT_IT_IS = f"""
Opens the window, on configurations (.toml) or runs ({RUN_SUFFIX}) where files are given, or does what a command says
without one. Techniques of a transformer are toggled, real training steps are measured on the devices of this machine,
and runs are compared with stated errors.

Every command takes --json: one JSON object a line on the standard output, and nothing else there.
"""
_WHAT_THE_ENGINE_IS = """
What the window and the command line start to do runs: a service that speaks JSON lines over its standard input and
output, and opens no network socket. To run it by hand is useful on another machine, over ssh, and to look for a fault.
"""


def _page(lines: Iterable[str]) -> str:
    return "\n".join(piece for line in lines for piece in _broken(line)) + "\n"


def _broken(line: str) -> list[str]:
    """A long line of text as several; none of them may begin like a request."""
    if line.startswith("."):
        return [line]
    pieces = textwrap.wrap(line, _LINE, break_on_hyphens=False, break_long_words=False)
    return [rf"\&{piece}" if piece.startswith(".") else piece for piece in pieces]


def _head(program: str, purpose: str) -> list[str]:
    title = f'.TH {_escaped(program.upper())} 1 {release_date().isoformat()} "{NAME} {version()}" "User Commands"'
    return [title, ".nh", ".SH NAME", rf"{_escaped(program)} \- {_escaped(purpose.rstrip('.'))}"]


def _tail(other: str) -> Iterator[str]:
    yield ".SH EXIT STATUS"
    for code, words in _EXITS:
        yield from _item(rf"\fB{code}\fR", words)
    yield ".SH ENVIRONMENT"
    yield from _item(r"\fBTFX_HOME\fR", "A folder for everything: runs, settings, what was measured of this machine.")
    yield from _item(r"\fBQT_QPA_PLATFORM\fR", "How Qt draws: xcb, wayland, or offscreen where there is no display.")
    yield ".SH FILES"
    yield from _item(rf"\fI*{_escaped(RUN_SUFFIX)}\fR", "A run: one SQLite file, which any tool for SQLite can read.")
    yield ".SH SEE ALSO"
    yield rf"\fB{_escaped(other)}\fR(1)"


def _usage(parser: argparse.ArgumentParser) -> list[str]:
    """One paragraph: the program bold, the rest as argparse has it."""
    formatter = argparse.HelpFormatter(parser.prog, width=_WIDE)
    formatter.add_usage(parser.usage, parser._actions, parser._mutually_exclusive_groups, prefix="")
    usage = " ".join(formatter.format_help().split())
    return [rf"\fB{_escaped(parser.prog)}\fR{_escaped(usage.removeprefix(parser.prog))}"]


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Every argument with its help; what argparse hides stays hidden, and that --help helps goes without saying."""
    formatter = parser._get_formatter()
    for action in parser._actions:
        if action.help == argparse.SUPPRESS or isinstance(action, argparse._HelpAction):
            continue
        yield from _item(_names(action), formatter._expand_help(action) if action.help else "")


def _names(action: argparse.Action) -> str:
    """`-o FILE, --output FILE`, or the name of what has no dash; choices are named."""
    value = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.metavar or action.dest.upper()
    value = rf"\fI{_escaped(str(value))}\fR"
    if not action.option_strings:
        return value
    takes = action.nargs != 0
    return ", ".join(rf"\fB{_escaped(o)}\fR" + (f" {value}" if takes else "") for o in action.option_strings)


def _item(term: str, words: str) -> Iterator[str]:
    yield ".TP"
    yield term
    yield _sentence(words)


def _sentence(words: str) -> str:
    """With a capital letter and a full stop, as manuals have it, where it has none of its own."""
    words = words[:1].upper() + words[1:]
    return _escaped(words if words.endswith((".", "?", "!")) else f"{words}.")


def _paragraphs(text: str) -> list[str]:
    paragraphs = [_escaped(" ".join(paragraph.split())) for paragraph in text.strip().split("\n\n")]
    return "\n.PP\n".join(paragraphs).split("\n")


def _escaped(text: str) -> str:
    """For roff: dashes and quotes that can be copied, and no escape."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("~", r"\(ti").replace("^", r"\(ha")
    text = text.replace("'", r"\(aq").replace("`", r"\(ga")
    return re.sub(r",(?=\S)", r",\\:", text)  # a line may end in the middle of {a,b,c}
