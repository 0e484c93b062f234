"""`run CONFIG...`: the configurations one after the other, without a window."""

from __future__ import annotations

import argparse
import contextlib
import re
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from tfx_engine.client import Client, ServiceGone
from tfx_engine.protocol.codec import problem_from_data
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.messages import Notice
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_workbench.commands import words
from tfx_workbench.commands.configs import Given, read_configs
from tfx_workbench.commands.engine import engine_gone
from tfx_workbench.commands.follow import POLL_S, Follower, OnEnd
from tfx_workbench.commands.output import DONE, FAILED, emit, say
from tfx_workbench.commands.turn_options import refuse_turns
from tfx_workbench.runs.rundata import RunData

STOP_S = 25.0  # a stop is heard at the end of a step, and the service waits 20 s for that


def run(args: argparse.Namespace) -> int:
    """Exit code 0 where every run finished, 1 where one did not."""
    given = read_configs(args.configs, args.set, args.store)
    if args.interleave:
        from tfx_workbench.commands.interleave import run_interleaved  # it needs this module

        return run_interleaved(args, given)
    refuse_turns(args)
    statuses: list[str] = []

    def report(ended: RunData) -> None:
        statuses.append(ended.info.status)
        if args.json:
            emit(ended.complete_summary())
        else:
            print(sentence(ended), flush=True)

    run_all(given, report, args.store, args.on_disconnect)
    return DONE if all(status == "finished" for status in statuses) else FAILED


def sentence(run: RunData) -> str:
    """The outcome of one run in a line, and its reason in another."""
    summary = run.summary()
    if summary["measured_steps"] == 0:
        return f"{words.title(run.info.name)}: {run.info.status}. {run.info.reason} {run.path}"
    text = tr_mark("{name}: {status}. {tokens} tokens/s, {step} ms a step, peak {peak}, loss {loss}. {path}").format(
        name=words.title(run.info.name), status=run.info.status, tokens=words.interval(summary["tokens_per_s"]),
        step=words.interval(summary["step_ms"]), peak=words.size(summary["memory_bytes"]["peak"]),
        loss=words.number(summary["loss"]["final"]), path=run.path,
    )
    return f"{text}\n  {run.info.reason}" if run.info.reason else text


def run_all(
    given: Sequence[Given], on_end: OnEnd, store: str | None = None,
    on_disconnect: Literal["stop", "finish"] = "stop", comparison: str = "", facts: Sequence[Mapping[str, Any]] = (),
) -> list[Path]:
    """Queue all configurations, follow the runs, call `on_end` with each; their run files in order. Several are one
    comparison; `comparison` names one that they belong to. `facts`: what is known of each beforehand.

    Raises `ConfigError` where one of them cannot be run, and then none is. Ctrl-C stops the runs, reports them, and is
    passed on.
    """
    gone = threading.Event()

    def hear(notice: Notice) -> None:
        if notice.kind == "gone":
            gone.set()
        elif (trouble := trouble_in(notice)) is not None:
            say(trouble)

    with Client(store, on_disconnect=on_disconnect, warm=len(given) > 1, on_notice=hear) as client:
        follower = None
        try:
            paths = _submit(client, given, comparison, facts)
            follower = Follower(paths, on_end, gone)
            follower.follow()
        except KeyboardInterrupt:
            stop_runs(client, follower)
            raise
        if gone.is_set():
            say(tr_mark("The engine ended before the runs did. What was measured is in their run files."))
    return paths


def trouble_in(notice: Notice) -> str | None:
    """What the engine or a run's recorder complains of, such as a full disk; None for all that is mere chatter."""
    if notice.kind == "problem":
        return problem_from_data(notice.detail).sentence()
    text = str(notice.detail.get("text", ""))
    # A recorder's sentence begins with the file that it cannot write.
    return text if notice.kind == "log" and notice.run and text.startswith(notice.run) else None


def stop_runs(client: Client, follower: Follower | None) -> None:
    """Stop the runs politely and report them; a second Ctrl-C ends the engine, and with it the runs as interrupted.

    Without a follower the runs are still being submitted: whether there are any by now only the service knows.
    """
    say(tr_mark("\nStopping; what was measured is kept. Ctrl-C again leaves at once."))
    try:
        with contextlib.suppress(ServiceGone):  # then its runs end by themselves
            client.shutdown(stop=True)
        # Then no more is written; and on a full disk, the end of a run may not be in its file at all.
        deadline = time.monotonic() + STOP_S
        while not client.wait(POLL_S) and time.monotonic() < deadline:
            continue  # in short pieces, as Ctrl-C is not heard within a wait on Windows
        if follower is not None:
            follower.follow(timeout_s=0)
    except KeyboardInterrupt:
        client.close(timeout_s=0)
        raise


def _submit(
    client: Client, given: Sequence[Given], comparison: str, facts: Sequence[Mapping[str, Any]]
) -> list[Path]:
    comparison = comparison or (uuid.uuid4().hex if len(given) > 1 else "")
    try:
        return client.submit([g.data for g in given], [g.toml for g in given], comparison, facts)
    except ServiceGone as error:
        raise engine_gone(error) from error
    except ConfigError as error:
        raise ConfigError([about_file(problem, given) for problem in error.problems]) from None


def about_file(problem: Problem, given: Sequence[Given]) -> Problem:
    """Of several configurations the service names the position; people know them by their files."""
    position = re.match(r"configs\[(\d+)\]\.?(.*)", problem.path)
    if position is None:
        return problem
    return msgspec.structs.replace(problem, path=f"{given[int(position[1])].file}: {position[2]}")
