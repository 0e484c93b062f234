"""`trust [FOLDER_OR_PACKAGE...]`: techniques of one's own are code; they are loaded only after the user's word."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import sys

import msgspec

from tfx_engine.client.own import OwnFound, write_down
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.protocol.trust import (
    ENTRY_POINTS,
    Trusted,
    is_written_down,
    load_trusted,
    save_trusted,
    settings_folder,
    technique_files,
)
from tfx_engine.runfile.store import absolute
from tfx_workbench.commands.output import DONE, FAILED, emit, say


def trust(args: argparse.Namespace) -> int:
    """Say what is trusted, or trust (or forget) what is named. Exit code 1 where something could not be loaded."""
    before = load_trusted()
    after = _without(before, args.names) if args.forget else _with(before, args.names)
    if after != before:
        if not args.forget and not args.yes:
            _confirm(args.names)
        _keep(after)
    if not after:
        found = OwnFound()
    else:
        if not args.json:
            say(tr_mark("Loading your techniques …"))
        found = write_down()
    if args.json:
        emit({"ok": not found.faults, "trusted": msgspec.to_builtins(after),
              "techniques": msgspec.to_builtins(found.techniques), "faults": list(found.faults)})
    else:
        _print(after, found)
    return FAILED if found.faults else DONE


def _keep(trusted: Trusted) -> None:
    try:
        save_trusted(trusted)
    except OSError as error:
        raise ConfigError([Problem(
            code="not-kept", path="trust", template="cannot keep the list of what is trusted: {error}.",
            args={"error": f"{error.strerror} ({settings_folder()})"},
        )]) from error


def refresh() -> None:
    """Where sources of trusted techniques have changed, have them looked at again, and say what cannot be loaded."""
    if is_written_down():
        return
    say(tr_mark("Your techniques have changed; loading them …"))
    for fault in write_down().faults:
        say(fault)


def _with(trusted: Trusted, names: list[str]) -> Trusted:
    folders, packages = list(trusted.folders), list(trusted.packages)
    for name in names:
        place = absolute(name)
        if os.path.isdir(place):  # noqa: PTH112  unlike Path, it says no to what is too long to be a path
            folders.append(str(place.resolve()))
        elif name in _packages():
            packages.append(name)
        else:
            raise ConfigError([Problem(
                code="nothing-to-trust", path=name, args={"packages": ", ".join(_packages())},
                template="is neither a folder nor an installed package that brings techniques.",
                hint_template=(tr_mark("Packages that do: {packages}.") if _packages() else
                               tr_mark("Name the folder with your technique files.")),
            )])
    return Trusted(tuple(dict.fromkeys(folders)), tuple(dict.fromkeys(packages)))


def _without(trusted: Trusted, names: list[str]) -> Trusted:
    known = {*trusted.folders, *trusted.packages}
    gone = {name if name in known else str(absolute(name).resolve()) for name in names}
    if unknown := sorted(gone - known):
        raise ConfigError([Problem(code="not-trusted", path=name, template=tr_mark("is not trusted."),
                                   hint_template=tr_mark("`tfx-workbench trust` lists what is.")) for name in unknown])
    return Trusted(tuple(f for f in trusted.folders if f not in gone),
                   tuple(p for p in trusted.packages if p not in gone))  # fmt: skip


def _packages() -> list[str]:
    """Installed packages that bring techniques; looking runs none of their code."""
    found = importlib.metadata.entry_points(group=ENTRY_POINTS)
    return sorted({entry.dist.name for entry in found if entry.dist is not None})


def _confirm(names: list[str]) -> None:
    """Show what would run, and ask. Raises ConfigError where nobody says yes."""
    for name in names:
        say(name + ":")
        for path in technique_files(absolute(name)):
            say(f"  {path}")
    say(tr_mark("This is Python code. It will run with your rights in every worker, as any program that you start."))
    if sys.stdin is None or not sys.stdin.isatty():
        answer = ""
    else:
        print(tr_mark("Load it from now on? [y/N] "), end="", file=sys.stderr, flush=True)
        answer = sys.stdin.readline()
    if answer.strip().lower() not in ("y", "yes"):
        raise ConfigError([Problem(
            code="not-confirmed", path=", ".join(names), template="is not loaded: nobody confirmed it.",
            hint_template="Type `tfx-workbench trust --yes ...` where nobody can be asked.",
        )])


def _print(trusted: Trusted, found: OwnFound) -> None:
    if not trusted:
        print(tr_mark("Nothing is trusted: only the built-in techniques are loaded."))
    for place in (*trusted.folders, *trusted.packages):
        print(place)
    for own in found.techniques:
        print(f"  {own.slot} = \"{own.name}\"  {own.title}")
    for fault in found.faults:
        say(fault)
