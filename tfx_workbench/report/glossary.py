"""What the words mean: the definitions behind the figures, and a page of each technique that was used."""

from __future__ import annotations

from collections.abc import Iterable

from tfx_engine.protocol.cards import TechniqueCard, load_catalogue
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.metrics import CATEGORIES, CATEGORY_DEFINITIONS, METRICS
from tfx_workbench.exhibits.exhibit import Exhibit
from tfx_workbench.exhibits.text import Words, say
from tfx_workbench.exhibits.within_step import CATEGORY_NAMES
from tfx_workbench.report.document import Block, Cell, Grid, Head, Paragraph, Section, Terms, Title
from tfx_workbench.report.subject import Subject

_STEP = tr_mark("One optimiser update. Only the steps of the phase “measure” count in statistics; steps during which "
                "another process used the device or clocks were throttled are left out and counted.")
_EFFECT = tr_mark("Difference to the baseline in per cent, with a 95 % interval; those of all runs hold at once, by "
                  "one correction for as many comparisons as there are. “Not distinguishable”: the interval holds 0, "
                  "or the difference lies within the noise of this machine where that is known.")
_FAIR = tr_mark("Initial weights come from (seed, name of the parameter) and data from (seed, step), so that switching "
                "one technique leaves everything else bit for bit as it was.")
_PEAK = tr_mark("The largest amount that torch's allocator had handed out at any moment of a step whose memory was "
                "split; the seven categories are those of that moment and add up to it.")
_GENERAL: tuple[tuple[str, str], ...] = (
    (tr_mark("step"), _STEP), (tr_mark("difference"), _EFFECT), (tr_mark("fair"), _FAIR),
    (tr_mark("peak memory"), _PEAK),
)


def definitions(exhibits: Iterable[Exhibit]) -> Section:
    """Those of every figure and every exhibit that is shown, each once, by the alphabet."""
    found: dict[str, tuple[Words, Words]] = {}
    general = [(say(title), say(text)) for title, text in _GENERAL]
    metrics = [(say(m.title), say(m.definition)) for m in METRICS.values()]
    categories = [(say(CATEGORY_NAMES[c]), say(CATEGORY_DEFINITIONS[c])) for c in CATEGORIES]
    shown = [(d.title, d.text) for exhibit in exhibits if not exhibit.empty for d in exhibit.definitions]
    for title, text in (*general, *metrics, *categories, *shown):
        found.setdefault(str(title).lower(), (title, text))
    terms = tuple(found[key] for key in sorted(found))
    return Section("definitions", say(tr_mark("Definitions")), (Terms(terms),))


def techniques(subject: Subject) -> Section | None:
    """The pages of the techniques in which the runs differ, or of a single run; a line on each of the others."""
    used: dict[tuple[str, str], None] = {}
    for view in subject.views:
        for slot, choice in view.data.info.config.get("techniques", {}).items():
            name = choice.get("use") if isinstance(choice, dict) else choice
            used[slot, str(name)] = None
    catalogue = load_catalogue()
    cards = [card for slot, name in used if (card := catalogue.find(slot, name)) is not None]
    slots = [slot for slot, _ in used]
    varying = [card for card in cards if slots.count(card.slot) > 1]
    others = [card for card in cards if card not in varying and card.name != "none"]
    blocks: list[Block] = []
    for card in varying:
        blocks += _page(card)
    if others:
        heads = (Head(say(tr_mark("technique")), False), Head(say(tr_mark("what it is")), False),
                 Head(say(tr_mark("paper")), False))
        rows = tuple((Cell(say(c.title)), Cell(say(c.summary)), Cell(c.paper)) for c in others)
        caption = say(tr_mark("In all runs")) if varying else say(tr_mark("Techniques of the run"))
        blocks.append(Grid(caption, heads, rows))
    if unknown := [f"{slot}/{name}" for slot, name in used if catalogue.find(slot, name) is None]:
        words = say(tr_mark("Not in the catalogue of this program: {names}."), names=", ".join(unknown))
        blocks.append(Paragraph(words))
    return Section("techniques", say(tr_mark("Techniques")), tuple(blocks)) if blocks else None


def _page(card: TechniqueCard) -> list[Block]:
    blocks: list[Block] = [Title(say(card.title), f"[techniques.{card.slot}] use = \"{card.name}\"")]
    paragraphs = [" ".join(p.split("\n")) if not p.startswith(" ") else p for p in card.doc.strip().split("\n\n")]
    blocks += [Paragraph(text) for text in paragraphs]
    if card.guide.choose:
        blocks.append(Paragraph(say(tr_mark("✓ Choose it when {when}"), when=say(card.guide.choose))))
    if card.guide.avoid:
        blocks.append(Paragraph(say(tr_mark("✗ Rather not when {when}"), when=say(card.guide.avoid))))
    return blocks
