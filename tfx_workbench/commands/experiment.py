"""`experiment [NAME...]`: try what textbooks claim on this machine; what was measured before is not measured again."""

from __future__ import annotations

import argparse
import dataclasses
import time
from typing import Any

from tfx_engine.protocol.experiment_files import find_experiments
from tfx_engine.protocol.experiments import Experiment
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError
from tfx_engine.runfile.store import run_files
from tfx_workbench.analysis.findings import (
    VERDICTS,
    expected,
    in_unit,
    interval,
    sentence_arguments,
    what_is_measured,
)
from tfx_workbench.analysis.verdict import Judgement, judge
from tfx_workbench.commands import words
from tfx_workbench.commands.measuring import Measuring, NotMeasured, undone
from tfx_workbench.commands.output import DONE, FAILED, emit, print_table, refuse_beside, say
from tfx_workbench.runs.experiments import Results, ResultStore


def experiment(args: argparse.Namespace) -> int:
    """Exit code 0 where everything was measured, whatever came of it; 1 where something could not be."""
    if args.json:
        refuse_beside("--json", {"--markdown": args.markdown})
    if args.list or args.markdown:  # they measure nothing
        refuse_beside("--list" if args.list else "--markdown", {"--again": args.again})
    chosen, store = find_experiments(args.names), ResultStore(args.store)
    run_files(store.store)  # raises where that is no folder
    complete = True
    if not (args.list or args.markdown):
        if args.again:
            _forget(chosen, store)
        complete = _measure_all(chosen, store)
    found = [(e, results := store.load(e), judge(e, results.numbers(), results.devices())) for e in chosen]
    if args.json:
        emit({"store": str(store.store), "experiments": [as_dict(*one) for one in found]})
    elif args.markdown:
        _print_markdown(found)
    elif args.list:
        _print_list(found)
    else:
        for one in found:
            _print_one(*one)
    return DONE if complete else FAILED


def _forget(chosen: tuple[Experiment, ...], store: ResultStore) -> None:
    for each in chosen:
        results = store.load(each)
        results.values, results.seconds, results.cpu_s = {}, 0.0, 0.0
        store.save(each, results)


def _measure_all(chosen: tuple[Experiment, ...], store: ResultStore) -> bool:
    waiting = [(e, store.load(e)) for e in chosen]
    waiting = [(e, results) for e, results in waiting if undone(e, results, store.store)]
    if not waiting:
        return True
    left_s = [_left_s(e, results, store) for e, results in waiting]
    complete = True
    for index, (each, results) in enumerate(waiting):
        say(tr_mark("{number} {title}: about {seconds}; {count} of {all}, about {rest} in all").format(
            number=each.number, title=each.title, seconds=words.seconds(left_s[index]), count=index + 1,
            all=len(waiting), rest=words.seconds(sum(left_s[index:]))))
        complete &= _measure(each, results, store)
    return complete


def _left_s(each: Experiment, results: Results, store: ResultStore) -> float:
    return each.seconds * len(undone(each, results, store.store)) / len(each.jobs)


def _measure(each: Experiment, results: Results, store: ResultStore) -> bool:
    """Whether all of it was measured. Every number is kept as soon as it is there."""
    begun_s = time.monotonic()
    measuring = Measuring(store)
    try:
        with measuring:
            while jobs := undone(each, results, store.store):
                variant, seed = jobs[0]
                before = len(each.jobs) - len(jobs)
                results.put(variant, seed, measuring.measure(each, results, variant, seed, before))
                store.save(each, results)
    except (NotMeasured, ConfigError) as error:
        say(str(error))
        return False
    except KeyboardInterrupt:
        say(tr_mark("\nStopped. What was measured is kept; the same command goes on where it stopped."))
        raise
    finally:
        results.seconds += time.monotonic() - begun_s
        results.cpu_s += measuring.cpu_s
        results.verdict = judge(each, results.numbers(), results.devices()).verdict
        if results.values:
            store.save(each, results)
    return True


def as_dict(each: Experiment, results: Results, judgement: Judgement) -> dict[str, Any]:
    """One experiment for JSON. What was not measured is null."""
    expectations = [
        {"says": e.says.format_map(sentence_arguments(e, finding)), "measures": what_is_measured(e),
         "at_least": e.at_least, "at_most": e.at_most, "found": e.found, "published": e.published, "exact": e.exact,
         **dataclasses.asdict(finding)}
        for e, finding in zip(each.expect, judgement.findings, strict=True)
    ]
    runs = [one.run for seeds in results.values.values() for one in seeds.values() if one.run]
    return {
        "name": each.name, "number": each.number, "title": each.title, "claim": each.claim, "paper": each.paper,
        "verdict": judgement.verdict, "expectations": expectations, "caveats": list(each.caveats),
        "predicted_s": each.seconds, "seconds": results.seconds, "cpu_s": results.cpu_s, "seeds": list(each.seeds),
        "measured": sum(map(len, results.values.values())), "of": len(each.jobs), "runs": runs,
        "comparison": results.comparison, "measured_at": results.measured_at,
    }


def _print_one(each: Experiment, results: Results, judgement: Judgement) -> None:
    print(f"{each.number}  {each.claim}")
    print(f"    {VERDICTS[judgement.verdict].upper()}  ({each.paper})")
    rows = [
        [f"    {what_is_measured(e)}", interval(finding, e.unit), expected(e), in_unit(e.found, e.unit),
         VERDICTS[finding.verdict]]
        for e, finding in zip(each.expect, judgement.findings, strict=True)
    ]
    headings = ["", tr_mark("here [95 %]"), tr_mark("expected"), tr_mark("its author found"), ""]
    print_table(headings, rows, right=(1, 2, 3))
    for e, finding in zip(each.expect, judgement.findings, strict=True):
        if finding.reason:
            print("    " + tr_mark("{what} is not compared: {reason}.").format(what=what_is_measured(e),
                                                                           reason=finding.reason))
    if results.seconds:
        print("    " + tr_mark("{seconds}, {cpu} of CPU time").format(
            seconds=words.seconds(results.seconds), cpu=words.seconds(results.cpu_s)))
    for caveat in each.caveats:
        print(f"    {caveat}")
    print()


def _print_list(found: list[tuple[Experiment, Results, Judgement]]) -> None:
    rows = [[e.number, e.name, words.seconds(e.seconds), VERDICTS[judgement.verdict], e.claim]
            for e, _, judgement in found]  # fmt: skip
    print_table(["", tr_mark("name"), tr_mark("takes"), tr_mark("here"), tr_mark("claim")], rows, right=(2,))


def _print_markdown(found: list[tuple[Experiment, Results, Judgement]]) -> None:
    """The table of docs/experiments.md."""
    print("| | claim | measured is | expected | here [95 %] | author | verdict | CPU s |")
    print("| --- | --- | --- | ---: | ---: | ---: | --- | ---: |")
    for each, results, judgement in found:
        for index, (e, finding) in enumerate(zip(each.expect, judgement.findings, strict=True)):
            head = [each.number, f"{each.claim} ({each.paper})"] if index == 0 else ["", ""]
            cpu = words.number(results.cpu_s) if index == 0 and results.cpu_s else ""
            cells = [*head, what_is_measured(e), expected(e), interval(finding, e.unit), in_unit(e.found, e.unit),
                     VERDICTS[finding.verdict], cpu]  # fmt: skip
            print("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
