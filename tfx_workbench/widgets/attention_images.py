"""Attention maps as pictures: 8-bit colours from weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QImage

from tfx_workbench.exhibits.attention_pixels import brightest, large_map, small_maps
from tfx_workbench.exhibits.colour_maps import colour_table

__all__ = ["brightest", "picture", "thumbnails"]


def picture(weights_QK: NDArray[np.floating], dark: bool) -> QImage:
    """One pixel per weight, RGB."""
    return _image(large_map(weights_QK), dark)


def thumbnails(maps: tuple[NDArray[np.floating], ...], side: int, dark: bool) -> list[list[QImage]]:
    """A small picture, at most `side` pixels high and wide, for every layer and head; [layers][heads]."""
    return [[_image(head_QK, dark) for head_QK in small_maps(layer_HQK, side)] for layer_HQK in maps]


def _image(colour_indices: NDArray[np.uint8], dark: bool) -> QImage:
    rgb = np.ascontiguousarray(colour_table("attention", dark)[colour_indices])
    height, width, _ = rgb.shape
    # The copy owns its pixels; without it the picture would look at memory that numpy frees.
    return QImage(rgb.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()
