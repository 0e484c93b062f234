"""What a search in the form means: which techniques, slots and settings all its words name, and the best of them.

It looks at names, titles, summaries, options and papers, not at the pages: those name half of the catalogue each.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from tfx_engine.protocol.cards import Catalogue, SlotCard, TechniqueCard
from tfx_engine.protocol.options import OptionCard
from tfx_workbench.widgets.words import shown

_EXACT, _BEGINS, _TITLE, _OPTION, _SUMMARY, _PAPER, _NOT = range(7)  # how well a word fits, the best first


@dataclasses.dataclass(frozen=True)
class Hit:
    """One thing that was found: a technique (its `option`, where only that fits), a whole slot, or a setting."""

    slot: str = ""
    technique: str = ""  # "" for the slot by itself
    option: str = ""
    path: str = ""  # of a setting outside the slots
    rank: int = _NOT


@dataclasses.dataclass(frozen=True)
class _Texts:
    """The texts of one technique, in small letters."""

    names: tuple[str, ...]
    options: tuple[tuple[str, str], ...]  # name, and what is searched
    summary: str
    paper: str


class FormIndex:
    """Everything in the form that can be found, in the order of the form; made at the first search."""

    def __init__(self, catalogue: Catalogue, settings: Sequence[tuple[str, str, OptionCard]]) -> None:
        """`settings`: (path, title of the group, card) of what is outside the slots."""
        self._slots = [(slot, _slot_texts(slot), [(t.name, _texts(t)) for t in catalogue.in_slot(slot.name)])
                       for slot in catalogue.slots]
        self._settings = [(path, f"{group} {path} {card.label} {shown(card.label)}".lower(),
                           (card.name.lower(), shown(card.label).lower())) for path, group, card in settings]

    def find(self, text: str) -> list[Hit]:
        """All that fits, in the order of the form; [] for no words."""
        words = text.lower().split()
        if not words:
            return []
        found: list[Hit] = []
        for slot, names, techniques in self._slots:
            whole = _rank_in(words, names)
            hits = [hit for name, texts in techniques if (hit := _technique(slot.name, name, texts, names, words))]
            if whole is not None:  # the slot is meant, not each of its techniques
                found.append(Hit(slot.name, rank=whole))
                hits = [hit for hit in hits if hit.rank <= _TITLE and hit.rank < whole]
            found += hits
        found += [Hit(path=path, rank=_EXACT if " ".join(words) in names else _TITLE)
                  for path, whole_text, names in self._settings if all(w in whole_text for w in words)]
        return found


def best(hits: Sequence[Hit]) -> int:
    """The index of the one that fits best, the first of several; 0 where there is none."""
    return min(range(len(hits)), key=lambda i: hits[i].rank, default=0)


def _technique(slot: str, name: str, texts: _Texts, slot_names: Iterable[str], words: Sequence[str]) -> Hit | None:
    """The technique as a hit, where all words fit it or its slot, and one of them itself."""
    worst, own, option = _EXACT, False, ""
    for word in words:
        rank, by = _word(word, texts, " ".join(words))
        if rank == _NOT and any(word in n for n in slot_names):
            continue
        own = own or rank != _NOT
        worst, option = max(worst, rank), option or by
    if not own or worst == _NOT:
        return None
    return Hit(slot, name, option if worst == _OPTION else "", rank=worst)


def _word(word: str, texts: _Texts, whole: str) -> tuple[int, str]:
    """How well one word fits a technique, and the option by which it does."""
    in_names = _rank_in([word], texts.names, whole)
    if in_names is not None:
        return in_names, ""
    option = next((name for name, text in texts.options if word in text), "")
    if option:
        return _OPTION, option
    return (_SUMMARY if word in texts.summary else _PAPER if word in texts.paper else _NOT), ""


def _rank_in(words: Sequence[str], names: Sequence[str], whole: str = "") -> int | None:
    """How well all words fit one of these names; None where they do not."""
    if not any(all(w in n for w in words) for n in names):
        return None
    if (whole or " ".join(words)) in names:
        return _EXACT
    return _BEGINS if any(n.startswith(words[0]) and all(w in n for w in words) for n in names) else _TITLE


def _slot_texts(slot: SlotCard) -> tuple[str, ...]:
    return _lower(slot.name, slot.title, shown(slot.title))


def _texts(card: TechniqueCard) -> _Texts:
    names = _lower(card.name, card.name.replace("_", " "), card.title, card.short, shown(card.title), shown(card.short))
    options = tuple((o.name, " ".join(_lower(o.name, o.label, shown(o.label), *o.choices))) for o in card.options)
    return _Texts(names, options, " ".join(_lower(card.summary, shown(card.summary))), card.paper.lower())


def _lower(*texts: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(t.lower() for t in texts))


def settings_of(groups: Iterable[tuple[str, str, Iterable[OptionCard]]]) -> Iterator[tuple[str, str, OptionCard]]:
    """(path, group, card) from (group, section, cards)."""
    for group, section, cards in groups:
        for card in cards:
            yield f"{section}.{card.name}" if section else card.name, group, card
