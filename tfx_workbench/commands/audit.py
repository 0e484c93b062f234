"""`audit CONFIG|RUN`: whether the techniques do what they claim, proved on copies of the model."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from tfx_engine.client import Client, ServiceGone
from tfx_engine.protocol.claims import words_of
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.tables import SUFFIX
from tfx_workbench.commands.configs import read_configs
from tfx_workbench.commands.engine import engine_gone
from tfx_workbench.commands.output import DONE, FAILED, emit, print_table, refuse_beside
from tfx_workbench.commands.runs import library_of
from tfx_workbench.runs.auditstand import stand_words
from tfx_workbench.runs.find import find_run

_WORDS = {True: tr_mark("holds"), False: tr_mark("BROKEN"), None: tr_mark("not tried")}


def audit(args: argparse.Namespace) -> int:
    """Exit code 0 where every claim holds that could be tried, 1 where one does not."""
    name, config, run = _subject(args)
    try:
        with Client(on_disconnect="stop", warm=False) as client:
            result = client.audit_with_stand(config, run)
    except ServiceGone as error:
        raise engine_gone(error) from error
    found, stand = result["audit"], result.get("audit_stand")
    broken = [row for row in found if row["ok"] is False]
    if args.json:
        emit({"name": name, "run": run or None, "audit": [_row(row) for row in found], "audit_stand": stand})
    else:
        _print(found)
        template, filled = stand_words(stand)
        if template:
            print(template.format_map(filled))
    return FAILED if broken else DONE


def _subject(args: argparse.Namespace) -> tuple[str, dict[str, Any], str]:
    """(its name, the configuration, the run's file or "")."""
    if args.subject.endswith(".toml"):
        (given,) = read_configs([args.subject], args.set)
        return str(given.data.get("name", given.file)), given.data, ""
    refuse_beside(tr_mark("a run, which has its configuration"), {"--set": args.set})
    path = find_run(args.subject, library_of(args.store))
    reader = RunReader(path)
    try:
        info = reader.info()
    finally:
        reader.close()
    return info.name, info.config, str(path) if path.suffix == SUFFIX else ""


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"technique": row["technique"], "slot": row["slot"], "claim": row["claim"], "ok": row["ok"],
            "detail": row["template"].format_map(row["args"]), "code": row["code"]}  # fmt: skip


def _print(found: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        (_WORDS[row["ok"]], f"{row['slot']} = {row['technique']}", words_of(row["claim"]), _row(row)["detail"])
        for row in found
    ]
    print_table((tr_mark("claim"), tr_mark("technique"), tr_mark("it says that it"), tr_mark("evidence")), rows)
