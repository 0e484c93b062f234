"""The table of what came of experiments, as Markdown: printed, or put into a document between two marks of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tfx_engine.protocol.experiments import Experiment
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.protocol.whole import write_whole
from tfx_engine.runfile.errors import words as said_by
from tfx_workbench.analysis.findings import (
    UNKNOWN,
    VERDICTS,
    expected,
    in_unit,
    interval,
    seeds_of,
    what_is_measured,
)
from tfx_workbench.analysis.goals import rankings
from tfx_workbench.analysis.verdict import Judgement
from tfx_workbench.commands import words
from tfx_workbench.runs.experiments import Results

Found = tuple[Experiment, Results, Judgement]
BEGINS, ENDS = "<!-- table of experiments: tfx-workbench experiment --into FILE -->\n", "<!-- end of the table -->\n"


def markdown(found: Sequence[Found]) -> str:
    """The table, the rankings of goals, and what it all took."""
    lines = ["| | claim | measured is | expected | paper | here [95 %] | seeds | author | verdict | CPU s | measured |",
             "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | --- | ---: | --- |"]  # fmt: skip
    for each, results, judgement in found:
        for index, (e, finding) in enumerate(zip(each.expect, judgement.findings, strict=True)):
            head, tail = ["", ""], ["", ""]
            if index == 0:
                head = [each.number, f"{each.claim} ({each.paper})"]
                tail = [words.number(results.cpu_s) if results.cpu_s else "", results.measured_at[:10]]
            cells = [*head, what_is_measured(e), expected(e), e.published or UNKNOWN, interval(finding, e.unit),
                     seeds_of(e, finding), in_unit(e.found, e.unit), VERDICTS[finding.verdict], *tail]  # fmt: skip
            lines.append(_row(cells))
    total = tr_mark("All of it took {cpu} of CPU time.").format(
        cpu=words.seconds(sum(results.cpu_s for _, results, _ in found)))
    return "\n".join([*lines, "", *_goals(found), total, ""])


def _goals(found: Sequence[Found]) -> list[str]:
    """What is recommended for each goal, by what was foretold, and what was measured of it and of the others."""
    ranked = [ranking for each, results, _ in found for ranking in rankings(each, results.numbers())]
    if not ranked:
        return []
    lines = ["| goal | take | foretold | measured | others, measured |", "| --- | --- | ---: | ---: | --- |"]
    for ranking in ranked:
        first, *others = ranking.standings
        if not first.fits:
            lines.append(_row([ranking.goal.title, tr_mark("nothing fits"), UNKNOWN, UNKNOWN, ""]))
            continue
        rest = [(tr_mark("{name} {figure}") if s.fits else tr_mark("{name} {figure} (does not fit)")).format(
            name=s.candidate.replace("_", " "), figure=in_unit(s.measured, ranking.cost.unit)) for s in others]
        foretold = in_unit(first.foretold, ranking.cost.foretold_unit or ranking.cost.unit)
        lines.append(_row([ranking.goal.title, first.candidate.replace("_", " "), foretold,
                           in_unit(first.measured, ranking.cost.unit), ", ".join(rest)]))  # fmt: skip
    return [*lines, ""]


def put_into(file: Path, found: Sequence[Found]) -> None:
    """Write the table into a document. Raises `ConfigError` where that has no place for it, or cannot be written."""
    try:
        text = file.read_text(encoding="utf-8")
        before, begins, rest = text.partition(BEGINS)
        _, ends, after = rest.partition(ENDS)
        if not begins or not ends:
            raise ConfigError([Problem(
                code="no-place", path=str(file), template=tr_mark("has no place for the table: the lines {begins} and "
                "{ends}."), args={"begins": BEGINS.strip(), "ends": ENDS.strip()})])  # fmt: skip
        write_whole(file, (before + BEGINS + "\n" + markdown(found) + "\n" + ENDS + after).encode())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(code="cannot-write", path=str(file), template=tr_mark(
            "cannot be read or written: {error}."), args={"error": said_by(error)})]) from None


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
