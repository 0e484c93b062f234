"""Attention maps as places in a colour scale, and small maps that still show a thin diagonal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tfx_workbench.exhibits.colour_maps import indices

_QUANTILE = 0.995  # of the weights; the brightest colour, so that one sink does not darken the rest


def brightest(weights_QK: NDArray[np.floating]) -> float:
    """The weight that has the last colour of the scale."""
    known = np.asarray(weights_QK, dtype=np.float32)
    known = known[np.isfinite(known)]
    positive = known[known > 0]
    return float(np.quantile(positive, _QUANTILE)) if positive.size else 1.0


def large_map(weights_QK: NDArray[np.floating]) -> NDArray[np.uint8]:
    """One map, one index per weight."""
    return indices(weights_QK, 0.0, brightest(weights_QK))


def small_maps(layer_HQK: NDArray[np.floating], side: int) -> NDArray[np.uint8]:
    """All heads of a layer, at most `side` pixels high and wide: at once, as one by one a window would wait."""
    small_HQK = np.nan_to_num(_strongest(np.asarray(layer_HQK, dtype=np.float32), side))
    flat_HN = small_HQK.reshape(len(small_HQK), -1)
    # About half of a causal map is zero: the same share of what is not.
    limits_H = np.quantile(flat_HN, 1 - (1 - _QUANTILE) / 2, axis=1)
    limits_H = np.where(limits_H > 0, limits_H, np.maximum(flat_HN.max(axis=1, initial=0.0), 1e-6))
    return indices(small_HQK / limits_H[:, None, None], 0.0, 1.0)


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
