"""A report as one HTML file: it opens offline, asks nothing of a network and runs no script; light, dark and printed.

Everything that a run or a user brought goes through the escaping of the templates, or that of the SVG.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.exhibits.exhibit import Exhibit
from tfx_workbench.exhibits.palette import DARK, LIGHT, Palette
from tfx_workbench.exhibits.text import Words, say
from tfx_workbench.report.axes import Said, Style
from tfx_workbench.report.document import Block, Figure, Report
from tfx_workbench.report.figure import draw
from tfx_workbench.report.grids import as_grid
from tfx_workbench.report.lettering import estimate, harmless, harmless_lines
from tfx_workbench.report.svg import cls, colours_of, hover_rules, inline, theme_rules

_TEMPLATES = Path(__file__).with_name("templates")
_LONG = 40  # letters without a blank, which a column must be able to break
_FIELDS = ("background", "card", "raised", "line", "text", "muted", "accent", "better", "worse", "warning")
_LABELS: dict[str, Any] = {
    "figure": say(tr_mark("Figure")), "contents": say(tr_mark("Contents")), "theme": say(tr_mark("Colours")),
    "themes": (("auto", say(tr_mark("as the system"))), ("light", say(tr_mark("light"))),
               ("dark", say(tr_mark("dark")))),
}


def page(report: Report, said: Said = str, language: str = "en") -> str:
    """The whole file as text."""
    drawings = {figure.number: draw(figure.exhibit, Style(said, estimate)) for figure in report.figures()}
    used = {name for drawing in drawings.values() if drawing is not None for name in colours_of(drawing)}
    used |= {mark for section in report.sections for block in section.blocks for mark in _marks(block)}

    def drawn(figure: Figure) -> str:
        drawing = drawings[figure.number]
        return Markup(inline(drawing, _in_words(figure.exhibit, said))) if drawing is not None else ""

    template = _environment().get_template("page.html.j2")
    style = Markup(_style(used))  # ours alone: names of colours, and no word of a user
    return template.render(report=report, language=language, labels=_LABELS, style=style, translate=said, draw=drawn)


@functools.cache
def _environment() -> jinja2.Environment:
    """Escapes everything that is put in, whatever the template is called."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(
        said=_said, drawn=_drawn, lines=harmless_lines, cls=cls, kind=lambda block: type(block).__name__,
        as_grid=as_grid,
    )
    environment.tests["long"] = lambda text: any(len(word) > _LONG for word in text.split())
    return environment


@jinja2.pass_context
def _said(context: jinja2.runtime.Context, words: Words) -> str:
    return harmless(context["translate"](words)) if words else ""


@jinja2.pass_context
def _drawn(context: jinja2.runtime.Context, figure: Figure) -> str:
    return context["draw"](figure)  # type: ignore[no-any-return]


def _in_words(exhibit: Exhibit, said: Said) -> str:
    return said(exhibit.summary())


def _marks(block: Block) -> set[str]:
    """The colours of the marks in a block."""
    cells: list[Any] = [cell for row in getattr(block, "rows", ()) for cell in row]
    cells += [item for item in getattr(block, "items", ()) if hasattr(item, "colour")]
    return {cell.colour for cell in cells if cell.colour}


def _style(names: set[str]) -> str:
    """Colours as the system has them, unless the reader chooses; always light on paper."""
    css = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
    light, dark = (_variables(palette) for palette in (LIGHT, DARK))
    shown_dark = ".dark-only{display:inline}.light-only{display:none}"
    blocks: list[str] = [
        hover_rules(), f":root{{{light}}}", theme_rules(names, LIGHT),
        f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}{theme_rules(names, DARK)}{shown_dark}}}",
    ]
    for chosen, palette, variables in (("light", LIGHT, light), ("dark", DARK, dark)):
        root = f":root:has(#theme-{chosen}:checked)"
        rules = theme_rules(names, palette).replace("}.", f"}}{root} .")
        shown = shown_dark if palette.dark else ".dark-only{display:none}.light-only{display:inline}"
        shown = shown.replace("}.", f"}}{root} .")
        first = f"{root} {rules}" if rules else ""
        blocks.append(f"@media screen{{{root}{{{variables};color-scheme:{chosen}}}{first}{root} {shown}}}")
    return "".join(blocks) + css


def _variables(palette: Palette) -> str:
    return ";".join(f"--{name}:{palette.colour(name)}" for name in _FIELDS)
