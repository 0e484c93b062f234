"""Attention maps on paper: every layer and head small, the chosen one large with its tokens."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.exhibits.attention_pixels import large_map, small_maps
from tfx_workbench.exhibits.colour_maps import colour_table
from tfx_workbench.exhibits.exhibit import Images
from tfx_workbench.exhibits.format import number
from tfx_workbench.exhibits.text import say
from tfx_workbench.exhibits.ticks import nice_step
from tfx_workbench.report.axes import SIZE, Style
from tfx_workbench.report.drawing import AnyShape, Area, Box, Drawing, Label, Picture, Reading
from tfx_workbench.report.lettering import shortened

_GAP = 3.0
_THUMB = 40.0  # points of a small map at most
_SIDE = 64  # pixels of one
_LARGE = 250.0
_NAMES, _TOKENS, _TOP = 52.0, 40.0, 16.0
_LEGIBLE = 7.0  # points of a token, from which on its text is written
_MOST_ROWS, _MOST_HEADS = 32, 32
_CELLS = 16  # of the large map that say their weight, along each side


def draw_images(images: Images, width: float, style: Style) -> Drawing:
    """Small maps at the left, the large one at the right."""
    layers, heads = min(len(images.maps), _MOST_ROWS), min(len(images.maps[0]), _MOST_HEADS)
    room = width - _LARGE - _TOKENS - 28 - _NAMES
    side = max(8.0, min(_THUMB, room / heads - _GAP))
    small = _small(images, layers, heads, side, style)
    left = max(_NAMES + heads * (side + _GAP), min(room, 0.45 * width)) + 28
    large = _large(images, Box(left + _TOKENS, _TOP, _LARGE, _LARGE), style)
    height = max(_TOP + layers * (side + _GAP) + 12, _TOP + _LARGE + _TOKENS)
    return Drawing(width, height, (*small, *large))


def _pixels(shade: NDArray[np.uint8], dark: bool) -> NDArray[np.uint8]:
    rgb = colour_table("attention", dark)[shade]
    return np.ascontiguousarray(np.dstack([rgb, np.full(shade.shape, 255, dtype=np.uint8)]))


def _small(images: Images, layers: int, heads: int, side: float, style: Style) -> list[AnyShape]:
    shapes: list[AnyShape] = [
        Label(_NAMES + h * (side + _GAP) + side / 2, _TOP - 5, str(h + 1), SIZE - 1, "muted", "middle")
        for h in range(heads)
    ] if side >= 14 else []
    for row in range(layers):
        y = _TOP + row * (side + _GAP)
        name, whole = style.fit(images.layer_names[row], _NAMES - 6)
        shapes.append(Label(_NAMES - 6, y + side / 2 + 3, name, SIZE, "muted", "end", whole=whole))
        maps = small_maps(images.maps[row], _SIDE)
        for head in range(min(heads, len(maps))):
            box = Box(_NAMES + head * (side + _GAP), y, side, side)
            if (row, head) == (images.layer, images.head):
                shapes.append(Area(Box(box.x - 1.5, box.y - 1.5, side + 3, side + 3), "accent"))
            words = style.said(say(tr_mark("{layer}, head {head}"), layer=images.layer_names[row], head=head + 1))
            shapes.append(Picture(box, _pixels(maps[head], False), _pixels(maps[head], True), title=words))
    hidden = len(images.maps) * len(images.maps[0]) - layers * heads
    if hidden > 0:
        words = style.said(say(tr_mark("{count} more heads are not shown"), count=hidden))
        shapes.append(Label(_NAMES, _TOP + layers * (side + _GAP) + 9, words, SIZE, "muted"))
    return shapes


def _large(images: Images, box: Box, style: Style) -> list[AnyShape]:
    shade = large_map(images.large)
    shapes: list[AnyShape] = [Picture(box, _pixels(shade, False), _pixels(shade, True))]
    caption = style.said(say(tr_mark("{layer}, head {head}: queries down, keys across"),
                             layer=images.layer_names[images.layer], head=images.head + 1))
    shapes.append(Label(box.x, box.y - 5, shortened(caption, box.width, SIZE, style.measure), SIZE, "muted"))
    count = images.large.shape[1] * images.large_pool
    per_token = box.width / max(1, count)
    if images.tokens and per_token >= _LEGIBLE:
        shapes += _token_words(images, box, per_token, style)
    else:
        shapes += _token_numbers(box, count)
    return [*shapes, *_weights(images, box, style)]


def _token_words(images: Images, box: Box, per_token: float, style: Style) -> list[AnyShape]:
    size = min(SIZE, per_token * 0.92)
    shapes: list[AnyShape] = []
    for i, token in enumerate(images.tokens):
        text = shortened(token, _TOKENS - 6, size, style.measure)
        middle = (i + 0.5) * per_token + 0.35 * size
        shapes.append(Label(box.x - 4, box.y + middle, text, size, "muted", "end"))
        shapes.append(Label(box.x + middle, box.bottom + 4, text, size, "muted", "end", upright=True))
    return shapes


def _token_numbers(box: Box, count: int) -> list[AnyShape]:
    step = max(1, int(nice_step(count, 6, whole=True)))
    shapes: list[AnyShape] = []
    for at in range(0, count, step):
        place = (at + 0.5) / count
        text = f"{at:,}"
        shapes.append(Label(box.x - 4, box.y + place * box.height + 3, text, SIZE, "muted", "end"))
        shapes.append(Label(box.x + place * box.width, box.bottom + 11, text, SIZE, "muted", "middle"))
    return shapes


def _weights(images: Images, box: Box, style: Style) -> list[AnyShape]:
    """Places that say what they show: the mean weight of a square, and which tokens it is of."""
    queries, keys = images.large.shape
    edges_Q = np.linspace(0, queries, min(_CELLS, queries) + 1).round().astype(int)
    edges_K = np.linspace(0, keys, min(_CELLS, keys) + 1).round().astype(int)
    weights = np.nan_to_num(np.asarray(images.large, dtype=np.float64))
    shapes: list[AnyShape] = []
    for q0, q1 in itertools.pairwise(edges_Q):
        for k0, k1 in itertools.pairwise(edges_K):
            mean = float(weights[q0:q1, k0:k1].mean())
            if mean <= 0:
                continue
            words = say(tr_mark("queries {queries}, keys {keys}: mean weight {weight}"),
                        queries=_tokens(q0, q1, images.large_pool), keys=_tokens(k0, k1, images.large_pool),
                        weight=number(mean, 3))
            place = Box(box.x + k0 / keys * box.width, box.y + q0 / queries * box.height,
                        (k1 - k0) / keys * box.width, (q1 - q0) / queries * box.height)
            shapes.append(Reading(place, (("", style.said(words)),), box))
    return shapes


def _tokens(first: int, until: int, pool: int) -> str:
    last = until * pool - 1
    return f"{first * pool}" if last == first * pool else f"{first * pool} to {last}"
