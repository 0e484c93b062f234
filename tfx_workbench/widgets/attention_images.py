"""Attention maps as pictures: 8-bit colours from weights, and thumbnails that still show a thin diagonal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QImage

from tfx_workbench.exhibits.colour_maps import colour_table, indices

_QUANTILE = 0.995  # of the weights; the brightest colour, so that one sink does not darken the rest


def brightest(weights_QK: NDArray[np.floating]) -> float:
    """The weight that has the last colour of the scale."""
    known = np.asarray(weights_QK, dtype=np.float32)
    known = known[np.isfinite(known)]
    positive = known[known > 0]
    return float(np.quantile(positive, _QUANTILE)) if positive.size else 1.0


def picture(weights_QK: NDArray[np.floating], dark: bool) -> QImage:
    """One pixel per weight, RGB."""
    return _image(indices(weights_QK, 0.0, brightest(weights_QK)), dark)


def thumbnails(maps: tuple[NDArray[np.floating], ...], side: int, dark: bool) -> list[list[QImage]]:
    """A small picture, at most `side` pixels high and wide, for every layer and head; [layers][heads]."""
    return [[picture(_strongest(head_QK, side), dark) for head_QK in layer_HQK] for layer_HQK in maps]


def _strongest(weights_QK: NDArray[np.floating], side: int) -> NDArray[np.float32]:
    """The largest weight of every block: a mean would wash thin lines out."""
    result = np.asarray(weights_QK, dtype=np.float32)
    for axis in (0, 1):
        every = -(-result.shape[axis] // side)
        if every > 1:
            result = np.maximum.reduceat(result, np.arange(0, result.shape[axis], every), axis=axis)
    return result


def _image(colour_indices: NDArray[np.uint8], dark: bool) -> QImage:
    rgb = np.ascontiguousarray(colour_table("attention", dark)[colour_indices])
    height, width, _ = rgb.shape
    # The copy owns its pixels; without it the picture would look at memory that numpy frees.
    return QImage(rgb.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()
