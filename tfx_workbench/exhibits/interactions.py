"""Which pairs help or hurt each other: what two choices do together beyond what each does by itself."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tfx_engine.protocol.cards import load_catalogue
from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.analysis.ablation_results import Pair, interactions, results_of
from tfx_workbench.analysis.compare import known_band
from tfx_workbench.exhibits.ablation_table import WAITING, effect_words, method_notes
from tfx_workbench.exhibits.by_step import NO_RUN, about, define
from tfx_workbench.exhibits.effects import ENDING_EARLY
from tfx_workbench.exhibits.exhibit import Axis, Column, Definition, Exhibit, HeatMap, Plot, Table
from tfx_workbench.exhibits.format import percent
from tfx_workbench.exhibits.kind import Choice, Choices, ExhibitType
from tfx_workbench.exhibits.runview import RunView, focused
from tfx_workbench.exhibits.text import Text, Words, join, say

_TITLE = tr_mark("Interactions")
_METRIC = Choice("metric", tr_mark("what is shown"), (
    ("tokens_per_s", tr_mark("throughput")), ("peak_bytes", tr_mark("peak memory")), ("loss", tr_mark("loss")),
))
_VERDICTS = {True: tr_mark("help each other"), False: tr_mark("hurt each other"),
             None: tr_mark("not distinguishable")}  # fmt: skip
_MOST_ROWS = 40
_NO_PAIR = tr_mark("No two choices were run alone, together and not at all.")
_DEFINITIONS = (
    Definition(say(tr_mark("interaction")), say(tr_mark(
        "(both / one) / (other / neither) - 1: by how much the pair differs from the product of what each does by "
        "itself; 0 % where they do not care about each other. Averaged over the levels of all other factors. Where all "
        "of these runs took turns it comes from blocks that belong together, so that drift of the machine cancels."))),
    ENDING_EARLY,
    *define("tokens_per_s", "allocated_bytes", "loss"),
)


def interaction_map(runs: Sequence[RunView], choices: Choices) -> Exhibit:
    """The pairs of the shown runs, on the chosen figure."""
    run = focused(runs)
    if run is None:
        return Exhibit("interactions", say(_TITLE), empty=NO_RUN, definitions=_DEFINITIONS)
    if not any(len(r.data.steps) for r in runs):
        return Exhibit("interactions", say(_TITLE), empty=WAITING, definitions=_DEFINITIONS)
    metric = choices.get("metric", "tokens_per_s")
    baseline = next((r.data for r in runs if r.baseline), runs[0].data)
    pairs = interactions(results_of([r.data for r in runs], baseline, known_band(baseline)), metric)
    known = [pair for pair in pairs if math.isfinite(pair.effect.percent)]
    table = _table(known, metric)
    sentence = about(run, runs, _sentence(known, metric))
    return Exhibit("interactions", say(_TITLE), sentence=sentence, plots=(_map(known),) if len(known) > 1 else (),
                   tables=(table,), definitions=_DEFINITIONS, notes=_notes(known))


def _notes(pairs: Sequence[Pair]) -> tuple[Words, ...]:
    if not pairs:
        return (say(tr_mark("for this, choose Ablation… and the design “every combination”")),)
    family = max(pair.effect.family for pair in pairs)
    notes: list[Words] = []
    if family > 1:
        notes.append(say(tr_mark("intervals hold for all {count} pairs at once"), count=family))
    band = next((pair.effect.noise_band for pair in pairs if pair.effect.noise_band is not None), None)
    if band is not None:
        notes.append(say(tr_mark("four equal runs differ by up to {band} here: less is not told apart"),
                         band=percent(band, 2)))
    return (*notes, *method_notes([pair.effect for pair in pairs]))


def level_words(level: tuple[str, str]) -> Words:
    """A level by the word on its toggle, or as option and value."""
    path, name = level
    card = load_catalogue().find(path.removeprefix("techniques."), name)
    if card is not None:
        return say(card.short)
    return f"{path.rpartition('.')[2]} {name}" if "." in path else name


def _map(pairs: Sequence[Pair]) -> Plot:
    """Levels against levels, symmetric; what was not run is see-through."""
    levels = list(dict.fromkeys(level for pair in pairs for level in (pair.one, pair.other)))
    levels.sort(key=lambda level: [pair.one[0] for pair in pairs].index(level[0]) if level[0] in [
        pair.one[0] for pair in pairs] else len(pairs))
    values = np.full((len(levels), len(levels)), np.nan)
    for pair in pairs:
        i, j = levels.index(pair.one), levels.index(pair.other)
        values[i, j] = values[j, i] = pair.effect.percent
    names = tuple(level_words(level) for level in levels)
    heat = HeatMap("pairs", values, -0.5, len(levels) - 0.5, names, say(tr_mark("together, beyond each alone")), "%",
                   colour_map="diverging")
    places = tuple((float(i), name) for i, name in enumerate(names))
    axis = Axis(low=-0.5, high=len(levels) - 0.5, ticks=places)
    return Plot("pairs", axis, axis, (heat,))


def _table(pairs: Sequence[Pair], metric: str) -> Table:
    columns = (Column(say(tr_mark("pair")), number=False), Column(say(tr_mark("beyond each alone"))),
               Column("", number=False))
    rows: list[tuple[Words, ...]] = [
        (join([level_words(pair.one), level_words(pair.other)], " × "), effect_words(pair.effect),
         say(_VERDICTS[pair.helps(metric)])) for pair in pairs[:_MOST_ROWS]
    ]
    return Table("pairs", columns, tuple(rows) or ((say(_NO_PAIR), "", ""),))


def _sentence(pairs: Sequence[Pair], metric: str) -> Text:
    if not pairs:
        return say(tr_mark("no pair to compare"))
    sure = [pair for pair in pairs if pair.helps(metric) is not None]
    if not sure:
        if len(pairs) == 1:
            return say(tr_mark("1 pair, not distinguishable from independent"))
        return say(tr_mark("{count} pairs, none distinguishable from independent"), count=len(pairs))
    best = sure[0]
    return say(tr_mark("{one} and {other} {verdict}"), one=level_words(best.one), other=level_words(best.other),
               verdict=say(_VERDICTS[best.helps(metric)]))


EXHIBIT = ExhibitType(
    name="interactions", title=_TITLE, function=interaction_map, order=81, choices=(_METRIC,), at_end=True,
    needs=frozenset({"info"}),  # only ended runs count: no step of a live one changes anything
    paper="several",
)
