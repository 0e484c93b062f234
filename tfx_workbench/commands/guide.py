"""`guide`: when to choose what, by what was measured here."""

from __future__ import annotations

import argparse
import textwrap
from typing import Any

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.runfile.store import run_files
from tfx_workbench.analysis.findings import VERDICTS, in_unit, what_is_measured, with_spread
from tfx_workbench.analysis.goals import ranking_as_data
from tfx_workbench.analysis.guide import Evidence, Section, build_guide
from tfx_workbench.commands import words
from tfx_workbench.commands.output import DONE, emit
from tfx_workbench.runs.experiments import ResultStore

_WIDTH = 100


def guide(args: argparse.Namespace) -> int:
    """Print it, or the same as one JSON object."""
    store = ResultStore(args.store)
    run_files(store.store)  # raises where that is no folder
    sections = build_guide(store)
    if args.json:
        emit({"topics": [_as_dict(section) for section in sections]})
        return DONE
    for section in sections:
        print(section.topic.title)
        for one in section.evidence:
            _print_evidence(one)
        print("  " + tr_mark("What is known besides:"))
        for line in section.topic.advice:
            _print("  - ", line)
        print()
    return DONE


def _print_evidence(one: Evidence) -> None:
    each = one.experiment
    if one.judgement.verdict == "unmeasured" and not any(finding.reason for finding in one.judgement.findings):
        template = tr_mark("{number} {title}: not yet measured here. Type: tfx-workbench experiment {number} (about "
                           "{seconds})")
        _print("  ? ", template.format(number=each.number, title=each.title, seconds=words.seconds(each.seconds)))
        return
    verdict = one.judgement.verdict
    sign = {"holds": "+", "fails": "!", "unclear": "~", "unmeasured": "?"}[verdict]
    said = tr_mark("{number} {claim} Here: {verdict}.").format(
        number=each.number, claim=each.claim, verdict=VERDICTS[verdict])
    if verdict == "holds":  # then what follows from it leads
        _print(f"  {sign} ", each.advice)
    _print("      " if verdict == "holds" else f"  {sign} ", said)
    _print("      ", " ".join(findings_of(one)))
    for ranking in one.rankings:
        best = ranking.standings[0]
        if best.fits:
            _print("      ", tr_mark("{goal}: {name}, measured {figure}.").format(
                goal=ranking.goal.title, name=best.candidate.replace("_", " "),
                figure=in_unit(best.measured, ranking.cost.unit)))


def findings_of(one: Evidence) -> list[str]:
    """What was measured, a sentence each."""
    pairs = zip(one.experiment.expect, one.judgement.findings, strict=True)
    return [
        tr_mark("{what} is not compared: {reason}.").format(what=what_is_measured(e), reason=finding.reason)
        if finding.reason else with_spread(e.says, e, finding)
        for e, finding in pairs if finding.reason or finding.value is not None
    ]


def _print(begins: str, text: str) -> None:
    print(textwrap.fill(text, _WIDTH, initial_indent=begins, subsequent_indent=" " * len(begins)))


def _as_dict(section: Section) -> dict[str, Any]:
    evidence = [
        {"name": one.experiment.name, "number": one.experiment.number, "claim": one.experiment.claim,
         "verdict": one.judgement.verdict, "findings": findings_of(one), "advice": one.experiment.advice,
         "predicted_s": one.experiment.seconds, "measured_at": one.measured_at,
         "rankings": [ranking_as_data(ranking) for ranking in one.rankings]}
        for one in section.evidence
    ]
    topic = section.topic
    return {"name": topic.name, "title": topic.title, "advice": list(topic.advice), "evidence": evidence}
