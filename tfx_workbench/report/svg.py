"""A drawing as SVG: within a page, which brings the colours, or as a file that knows them itself, light and dark.

Colours stand as attributes, which every program reads, and as classes, by which a page with another theme changes them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from html import escape

import numpy as np

from tfx_workbench.exhibits.palette import DARK, LIGHT, Palette
from tfx_workbench.report.drawing import (
    AnyShape,
    Area,
    Box,
    Clip,
    Dot,
    Drawing,
    Floats,
    Label,
    Picture,
    Reading,
    Shape,
    Stroke,
)
from tfx_workbench.report.lettering import estimate, harmless
from tfx_workbench.report.png import data_url

FONTS = ("Inter, system-ui, -apple-system, 'Segoe UI', 'Noto Sans', 'Noto Sans KR', 'Noto Sans CJK KR', "
         "'Helvetica Neue', Arial, sans-serif")
_DASHES = {"solid": "", "dashed": "5 3", "dotted": "1.5 2.5"}
_TIP, _TIP_LINE = 8.5, 12.0  # points of the words that a place says, and from one line of them to the next
_HOVER = (".tip{fill-opacity:0;stroke-opacity:0;stroke-width:.5;pointer-events:all}"
          f".t{{display:none;pointer-events:none;font-size:{_TIP}px;fill:{LIGHT.text}}}"
          f".k{{fill:{LIGHT.card};stroke:{LIGHT.muted};stroke-width:.5}}"
          ".r:hover>.tip{fill-opacity:.09;stroke-opacity:.5}.r:hover>.t{display:inline}.dark-only{display:none}"
          "@media print{.r{display:none}}")


def inline(drawing: Drawing, words: str) -> str:
    """For a page with the rules of `theme_rules`; `words` describe the figure to whoever does not see it."""
    return _figure(drawing, words, "", "")


def standalone(drawing: Drawing, words: str, title: str) -> str:
    """A file of its own: on a white card, or on a dark one where the reader prefers that."""
    body = (Area(Box(0, 0, drawing.width, drawing.height), "card"), *drawing.shapes)
    named = sorted(set(_colours(body)))
    rules = "".join(f".{cls(name)}{{--c:{DARK.colour(name)}}}" for name in named)
    dark = (f"{rules}.k{{fill:{DARK.card};stroke:{DARK.muted}}}.f{{fill:var(--c)}}.s{{stroke:var(--c)}}"
            ".dark-only{display:inline}.light-only{display:none}")
    style = f"<style>{_HOVER}@media (prefers-color-scheme:dark){{{dark}}}</style>"
    whole = Drawing(drawing.width, drawing.height, body)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + _figure(whole, words, style, title) + "\n"


def theme_rules(names: Iterable[str], palette: Palette) -> str:
    """The rules of a page that give every colour its value in a palette."""
    return "".join(f".{cls(name)}{{--c:{palette.colour(name)}}}" for name in sorted(set(names)))


def hover_rules() -> str:
    """What a page with figures in it needs beside their colours."""
    return _HOVER + ".f{fill:var(--c)}.s{stroke:var(--c)}.k{fill:var(--card);stroke:var(--muted)}"


def cls(name: str) -> str:
    """The class of a colour."""
    return "c-" + name.replace(":", "-").replace("_", "-")


def colours_of(drawing: Drawing) -> set[str]:
    """The names of the colours that a drawing uses."""
    return set(_colours(drawing.shapes))


def _colours(shapes: Iterable[AnyShape]) -> Iterator[str]:
    for shape in shapes:
        match shape:
            case Area() | Shape() | Dot():
                yield shape.fill
            case Stroke() | Label():
                yield shape.colour
            case Reading():
                yield from ("text", "card", "muted", *(colour for colour, _ in shape.lines if colour))
            case Clip():
                yield from _colours(shape.shapes)


def _figure(drawing: Drawing, words: str, style: str, title: str) -> str:
    size = f'width="{_n(drawing.width)}" height="{_n(drawing.height)}"'
    view = f'viewBox="0 0 {_n(drawing.width)} {_n(drawing.height)}"'
    head = f"<title>{_text(title)}</title><desc>{_text(words)}</desc>" if title else ""
    body = "".join(map(_shape, drawing.shapes))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" {view} {size} role="img" aria-label="{_text(words)}" '
            f'font-family="{_text(FONTS)}">{head}{style}{body}</svg>')


@functools.singledispatch
def _shape(shape: AnyShape) -> str:
    raise TypeError(f"no such shape: {shape!r}")


@_shape.register
def _(shape: Area) -> str:
    if shape.hollow:
        line = f'class="s {cls(shape.fill)}" stroke="{LIGHT.colour(shape.fill)}" fill="none" pointer-events="all"'
        return _titled("rect", f"{_box(shape.box)} {line}", shape.title)
    return _titled("rect", f"{_box(shape.box)} {_fill(shape.fill)}{_opacity(shape.opacity)}", shape.title)


@_shape.register
def _(shape: Stroke) -> str:
    dash = _DASHES[shape.style]
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    colour = f'class="s {cls(shape.colour)}" stroke="{LIGHT.colour(shape.colour)}"'
    return (f'<polyline points="{_points(shape.points)}" fill="none" {colour} stroke-width="{_n(shape.width)}" '
            f'stroke-linejoin="round"{dashes}/>')


@_shape.register
def _(shape: Shape) -> str:
    return f'<polygon points="{_points(shape.points)}" {_fill(shape.fill)}{_opacity(shape.opacity)}/>'


@_shape.register
def _(shape: Dot) -> str:
    place = f'cx="{_n(shape.x)}" cy="{_n(shape.y)}" r="{_n(shape.radius)}"'
    if shape.hollow:
        line = f'class="s {cls(shape.fill)}" stroke="{LIGHT.colour(shape.fill)}" stroke-width="1.5"'
        return _titled("circle", f'{place} {line} fill="none" pointer-events="all"', shape.title)
    return _titled("circle", f"{place} {_fill(shape.fill)}", shape.title)


@_shape.register
def _(shape: Label) -> str:
    anchor = "" if shape.anchor == "start" else f' text-anchor="{shape.anchor}"'
    bold = ' font-weight="600"' if shape.bold else ""
    turned = f' transform="rotate(-90 {_n(shape.x)} {_n(shape.y)})"' if shape.upright else ""
    whole = f"<title>{_text(shape.whole)}</title>" if shape.whole else ""
    return (f'<text x="{_n(shape.x)}" y="{_n(shape.y)}" font-size="{_n(shape.size)}" {_fill(shape.colour)}'
            f'{anchor}{bold}{turned}>{_text(shape.text)}{whole}</text>')


@_shape.register
def _(shape: Picture) -> str:
    common = f'{_box(shape.box)} preserveAspectRatio="none" style="image-rendering:pixelated"'
    if shape.dark is None:
        return _titled("image", f'{common} href="{data_url(shape.pixels)}"', shape.title)
    light = _titled("image", f'class="light-only" {common} href="{data_url(shape.pixels)}"', shape.title)
    return light + _titled("image", f'class="dark-only" {common} href="{data_url(shape.dark)}"', shape.title)


@_shape.register
def _(shape: Reading) -> str:
    """A transparent place and, beside it, what is seen while the mouse is on it: no script, and at once.

    Attributes hide both from programs that read no style sheet.
    """
    place = f'<rect {_box(shape.box)} class="tip f s {cls("text")}" fill-opacity="0"/>'
    wide = max(estimate(text, _TIP, not i) + 11 * bool(colour) for i, (colour, text) in enumerate(shape.lines)) + 12
    high = _TIP_LINE * len(shape.lines) + 8
    within, right = shape.within, shape.box.right + 5
    x = right if right + wide <= within.right else max(within.x - 20, shape.box.x - 5 - wide)
    y = within.y + 3
    card = f'<rect class="k" {_box(Box(x, y, wide, high))} rx="4"/>'
    lines = "".join(_tip_line(x + 6, y + 4 + i * _TIP_LINE, colour, text, bold=not i)
                    for i, (colour, text) in enumerate(shape.lines))
    return f'<g class="r">{place}<g class="t f {cls("text")}" display="none">{card}{lines}</g></g>'


def _tip_line(x: float, y: float, colour: str, text: str, bold: bool) -> str:
    mark = _shape(Area(Box(x, y + 3, 7, 7), colour)) if colour else ""
    strong = ' font-weight="600"' if bold else ""
    return f'{mark}<text x="{_n(x + 11 * bool(colour))}" y="{_n(y + _TIP)}"{strong}>{_text(text)}</text>'


@_shape.register
def _(shape: Clip) -> str:
    box = shape.box
    view = f'viewBox="{_n(box.x)} {_n(box.y)} {_n(box.width)} {_n(box.height)}"'
    return f'<svg {_box(box)} {view} overflow="hidden">{"".join(map(_shape, shape.shapes))}</svg>'


def _titled(tag: str, attributes: str, title: str) -> str:
    if not title:
        return f"<{tag} {attributes}/>"
    lines = "\n".join(_text(line) for line in title.split("\n"))
    return f"<{tag} {attributes}><title>{lines}</title></{tag}>"


def _fill(name: str) -> str:
    return f'class="f {cls(name)}" fill="{LIGHT.colour(name)}"'


def _opacity(opacity: float) -> str:
    return f' fill-opacity="{_n(opacity)}"' if opacity < 1 else ""


def _box(box: Box) -> str:
    return f'x="{_n(box.x)}" y="{_n(box.y)}" width="{_n(max(box.width, 0.0))}" height="{_n(max(box.height, 0.0))}"'


def _points(points: Floats) -> str:
    """To a tenth; points that lie on the one before are left out."""
    places = np.round(np.asarray(points, dtype=np.float64), 1)
    is_new = np.ones(len(places), dtype=np.bool_)
    is_new[1:] = np.any(places[1:] != places[:-1], axis=1)
    return " ".join(f"{x:g},{y:g}" for x, y in places[is_new].tolist())


def _n(value: float) -> str:
    """A number of points, to a hundredth."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _text(text: str) -> str:
    return escape(harmless(text))
