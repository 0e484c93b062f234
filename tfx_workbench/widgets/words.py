"""Texts as the window shows them: translated, and with every character literal. Numbers: `exhibits.format`."""

from __future__ import annotations

import html

from PySide6.QtCore import QCoreApplication

from tfx_engine.protocol.cards import TechniqueCard
from tfx_engine.protocol.problems import Problem


def shown(text: str) -> str:
    """A text that was marked with `tr_mark` elsewhere (catalogue, metrics), in the user's language."""
    return QCoreApplication.translate("engine", text) if text else ""


def problem_words(problem: Problem, begins_sentence: bool = True) -> str:
    """What is wrong and what to do about it, in the user's language, as one or two sentences.

    Templates go on where the name of what is wrong ends ("model.heads" + "is 7, which ..."): without that name before
    it, the text begins a sentence of its own.
    """
    message = shown(problem.template).format_map(problem.shown_args)
    hint = shown(problem.hint_template).format_map(problem.shown_args)
    sentence = f"{message} {hint}".strip()
    return sentence[:1].upper() + sentence[1:] if begins_sentence else sentence


def plain_tip(*paragraphs: str) -> str:
    """A tool tip of these paragraphs that shows every character literally and wraps at a readable width."""
    inner = "".join(f"<p style='margin:2px 0'>{html.escape(p)}</p>" for p in paragraphs if p)
    return f"<qt>{inner}</qt>" if inner else ""


def technique_tip(card: TechniqueCard) -> tuple[str, ...]:
    """What hovering over a technique says: what it is, when to choose it and when not, where it is from."""
    choose = f"✓ {shown(card.guide.choose)}" if card.guide.choose else ""
    avoid = f"✗ {shown(card.guide.avoid)}" if card.guide.avoid else ""
    return tuple(filter(None, (f"{shown(card.title)}: {shown(card.summary)}", choose, avoid, card.paper)))
