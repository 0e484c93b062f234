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
    return [_small_pictures(layer_HQK, side, dark) for layer_HQK in maps]


def _small_pictures(layer_HQK: NDArray[np.floating], side: int, dark: bool) -> list[QImage]:
    """All heads of a layer at once: a hundred heads one by one would keep the window from moving."""
    small_HQK = np.nan_to_num(_strongest(np.asarray(layer_HQK, dtype=np.float32), side))
    flat_HN = small_HQK.reshape(len(small_HQK), -1)
    # About half of a causal map is zero: the same share of what is not.
    limits_H = np.quantile(flat_HN, 1 - (1 - _QUANTILE) / 2, axis=1)
    limits_H = np.where(limits_H > 0, limits_H, np.maximum(flat_HN.max(axis=1, initial=0.0), 1e-6))
    scaled_HQK = indices(small_HQK / limits_H[:, None, None], 0.0, 1.0)
    return [_image(head_QK, dark) for head_QK in scaled_HQK]


def _strongest(layer_HQK: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """The largest weight of every block: a mean would wash thin lines out."""
    by_queries = _strongest_rows(layer_HQK, side)
    return _strongest_rows(by_queries.transpose(0, 2, 1), side).transpose(0, 2, 1)


def _strongest_rows(values_HRN: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """At most `side` rows; slices with a stride are ten times as fast as `reduceat`."""
    every = -(-values_HRN.shape[1] // side)
    result = values_HRN[:, ::every].copy()
    for offset in range(1, every):
        row = values_HRN[:, offset::every]
        shared = result[:, : row.shape[1]]
        np.maximum(shared, row, out=shared)
    return result


def _image(colour_indices: NDArray[np.uint8], dark: bool) -> QImage:
    rgb = np.ascontiguousarray(colour_table("attention", dark)[colour_indices])
    height, width, _ = rgb.shape
    # The copy owns its pixels; without it the picture would look at memory that numpy frees.
    return QImage(rgb.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()
