"""`experiment [NAME...]`: try what textbooks claim on this machine; what was measured before is not measured again."""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path
from typing import Any

from tfx_engine.protocol.experiment_files import find_experiments
from tfx_engine.protocol.experiments import Experiment
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError
from tfx_engine.runfile.store import run_files
from tfx_workbench.analysis.findings import (
    UNKNOWN,
    VERDICTS,
    expected,
    in_unit,
    interval,
    seeds_of,
    sentence_arguments,
    what_is_measured,
)
from tfx_workbench.analysis.goals import Ranking, ranking_as_data, rankings
from tfx_workbench.analysis.pace import Pace
from tfx_workbench.analysis.verdict import Judgement, judge
from tfx_workbench.commands import words
from tfx_workbench.commands.experiment_table import Found, markdown, put_into
from tfx_workbench.commands.measuring import Measuring, NotMeasured, undone
from tfx_workbench.commands.output import DONE, FAILED, emit, print_table, refuse_beside, say
from tfx_workbench.runs.experiments import Results, ResultStore


def experiment(args: argparse.Namespace) -> int:
    """Exit code 0 where everything was measured, whatever came of it; 1 where something could not be."""
    if args.json:
        refuse_beside("--json", {"--markdown": args.markdown, "--into": args.into})
    if args.all:
        refuse_beside("--all", {"NAME": args.names})
    if looks := args.list or args.markdown or bool(args.into):
        refuse_beside("--list" if args.list else "--markdown", {"--again": args.again})
    chosen, store = find_experiments(args.names), ResultStore(args.store)
    run_files(store.store)  # raises where that is no folder
    complete = True
    if not looks:
        if args.again:
            _forget(chosen, store)
        complete = _measure_all(chosen, store)
    found = [(e, results := store.load(e), judge(e, results.numbers(), results.devices())) for e in chosen]
    if args.json:
        emit({"store": str(store.store), "experiments": [as_dict(*one) for one in found]})
    elif args.into:
        put_into(Path(args.into), found)
    elif args.markdown:
        print(markdown(found), end="")
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
    left_s = [_left_s(e, results, store) for e, results in waiting]
    pace, complete = Pace(), True
    pace.begin(sum(left_s))
    for index, (each, results) in enumerate(waiting):
        all_left_s = sum(left_s[index:])
        ours_s = pace.left_s(all_left_s)
        say(tr_mark("{number} {title}: about {seconds}; {count} of {all}, about {rest} in all").format(
            number=each.number, title=each.title, seconds=words.seconds(left_s[index] * ours_s / all_left_s),
            count=index + 1, all=len(waiting), rest=words.seconds(ours_s)))
        complete &= _measure(each, results, store)
        if len(waiting) > 1:
            say(tr_mark("{number}: {verdict}; {cpu} of CPU time").format(
                number=each.number, verdict=VERDICTS[judge(each, results.numbers(), results.devices()).verdict],
                cpu=words.seconds(results.cpu_s)))
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
        "rankings": [ranking_as_data(one) for one in rankings(each, results.numbers())],
        "predicted_s": each.seconds, "seconds": results.seconds, "cpu_s": results.cpu_s, "seeds": list(each.seeds),
        "measured": sum(map(len, results.values.values())), "of": len(each.jobs), "runs": runs,
        "comparison": results.comparison, "measured_at": results.measured_at,
    }


def _print_one(each: Experiment, results: Results, judgement: Judgement) -> None:
    print(f"{each.number}  {each.claim}")
    print(f"    {VERDICTS[judgement.verdict].upper()}  ({each.paper})")
    rows = [
        [f"    {what_is_measured(e)}", interval(finding, e.unit), seeds_of(e, finding), expected(e),
         e.published or UNKNOWN, in_unit(e.found, e.unit), VERDICTS[finding.verdict]]
        for e, finding in zip(each.expect, judgement.findings, strict=True)
    ]
    headings = ["", tr_mark("here [95 %]"), tr_mark("seeds"), tr_mark("expected"), tr_mark("paper"),
                tr_mark("its author found"), ""]
    print_table(headings, rows, right=(1, 2, 3, 4, 5))
    for e, finding in zip(each.expect, judgement.findings, strict=True):
        if finding.reason:
            print("    " + tr_mark("{what} is not compared: {reason}.").format(what=what_is_measured(e),
                                                                           reason=finding.reason))
    _print_rankings(rankings(each, results.numbers()))
    if results.seconds:
        print("    " + tr_mark("{seconds}, {cpu} of CPU time").format(
            seconds=words.seconds(results.seconds), cpu=words.seconds(results.cpu_s)))
    for caveat in each.caveats:
        print(f"    {caveat}")
    print()


def _print_rankings(found: tuple[Ranking, ...]) -> None:
    """What to take for each goal, by what was foretold; with what was measured."""
    for ranking in found:
        places = [
            (tr_mark("{name} {measured}") if s.fits else tr_mark("{name} (does not fit)")).format(
                name=s.candidate.replace("_", " "), measured=in_unit(s.measured, ranking.cost.unit))
            for s in ranking.standings
        ]
        print(f"    {ranking.goal.title}: {' > '.join(places)}")


def _print_list(found: list[Found]) -> None:
    rows = [[e.number, e.name, words.seconds(e.seconds), words.seconds(results.cpu_s) if results.cpu_s else UNKNOWN,
             VERDICTS[judgement.verdict], results.measured_at[:10], e.claim] for e, results, judgement in found]
    headings = ["", tr_mark("name"), tr_mark("takes"), tr_mark("CPU time here"), tr_mark("here"), tr_mark("measured"),
                tr_mark("claim")]
    print_table(headings, rows, right=(2, 3))
    print(tr_mark("All of them take about {seconds}; what was measured here took {cpu} of CPU time.").format(
        seconds=words.seconds(sum(e.seconds for e, _, _ in found)),
        cpu=words.seconds(sum(results.cpu_s for _, results, _ in found))))
