"""What the audit found: every claim of the run's techniques with its evidence, what is broken first and in red."""

from __future__ import annotations

from collections.abc import Sequence

from tfx_engine.protocol.claims import words_of
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.runfile.rows import Audited
from tfx_workbench.exhibits.by_step import NO_RUN, about
from tfx_workbench.exhibits.exhibit import Column, Definition, Exhibit, Table
from tfx_workbench.exhibits.kind import Choices, ExhibitType
from tfx_workbench.exhibits.runview import RunView, focused
from tfx_workbench.exhibits.text import Text, Words, say
from tfx_workbench.runs.auditstand import stand_words
from tfx_workbench.runs.summary import newest_audit

_TITLE = tr_mark("Audit")
_VERDICTS: dict[bool | None, tuple[str, str]] = {  # words and colour
    False: (tr_mark("broken"), "worse"), None: (tr_mark("not tried"), "muted"), True: (tr_mark("holds"), "better"),
}
_ORDER = (False, None, True)
_DEFINITIONS = (
    Definition(say(tr_mark("audit")), say(tr_mark(
        "After the measured steps each technique of the run is tried on copies of its own model: what its file claims "
        "is proved there, or refuted with the numbers that are shown."))),
    Definition(say(tr_mark("broken")), say(tr_mark("The technique does not do in this model what it says."))),
    Definition(say(tr_mark("not tried")), say(tr_mark("It could not be tried; the evidence says why."))),
)


def audit(runs: Sequence[RunView], choices: Choices) -> Exhibit:
    """The claims of the run in focus."""
    run = focused(runs)
    if run is None:
        return Exhibit("audit", say(_TITLE), empty=NO_RUN, definitions=_DEFINITIONS)
    rows = sorted(newest_audit(run.data), key=lambda row: _ORDER.index(row.ok))
    if not rows:
        return Exhibit("audit", say(_TITLE), empty=_why_not(run), definitions=_DEFINITIONS)
    table = Table(
        "claims", (Column(say(tr_mark("verdict")), number=False), Column(say(tr_mark("technique")), number=False),
                   Column(say(tr_mark("claim")), number=False), Column(say(tr_mark("evidence")), number=False)),
        tuple(_row(row) for row in rows), colours=tuple(_VERDICTS[row.ok][1] for row in rows),
    )
    return Exhibit(
        "audit", say(_TITLE), sentence=_sentence(run, runs, rows), tables=(table,), notes=_notes(run),
        definitions=_DEFINITIONS,
    )


def _row(row: Audited) -> tuple[Words, ...]:
    evidence = Text(row.template, row.args) if row.message != row.template else row.message
    return say(_VERDICTS[row.ok][0]), f"{row.slot} = {row.technique}", say(words_of(row.claim)), evidence


def _sentence(run: RunView, runs: Sequence[RunView], rows: Sequence[Audited]) -> Text:
    held, broken, untried = (sum(row.ok is ok for row in rows) for ok in (True, False, None))
    words: list[Words] = [say(tr_mark("1 claim holds") if held == 1 else tr_mark("{count} claims hold"), count=held)]
    if broken:
        words.insert(0, say(tr_mark("{count} broken"), count=broken))
    if untried:
        words.append(say(tr_mark("{count} not tried"), count=untried))
    return about(run, runs, *words)


def _notes(run: RunView) -> tuple[Words, ...]:
    """On what the claims were tried."""
    template, args = stand_words(run.data.facts.get("audit_stand"))
    return (Text(template, args),) if template else ()


def _why_not(run: RunView) -> Words:
    if reason := run.data.missing.get("audit"):
        return say(reason)
    if run.data.is_live:
        return say(tr_mark("The techniques are audited after the measured steps."))
    return say(tr_mark("The run was not audited. \"Audit again\" in the menu of the run does it now."))


EXHIBIT = ExhibitType(
    name="audit", title=_TITLE, function=audit, order=90, needs=frozenset({"info", "audit"}), at_end=True,
    paper="one",
)
