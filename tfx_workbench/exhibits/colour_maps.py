"""Colour maps as tables of 256 colours: viridis for magnitudes, magma or its light twin for attention, a diverging one.

viridis and magma are polynomial fits (Matt Zucker, public domain) of the maps by Nathaniel Smith and Stefan van der
Walt; both grow evenly in lightness and are read by people who do not see red and green alike.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from tfx_workbench.exhibits.exhibit import ColourMap

Colours = NDArray[np.uint8]

_VIRIDIS = (
    (0.2777273272234177, 0.005407344544966578, 0.3340998053353061),
    (0.1050930431085774, 1.404613529898575, 1.384590162594685),
    (-0.3308618287255563, 0.214847559468213, 0.09509516302823659),
    (-4.634230498983486, -5.799100973351585, -19.33244095627987),
    (6.228269936347081, 14.17993336680509, 56.69055260068105),
    (4.776384997670288, -13.74514537774601, -65.35303263337234),
    (-5.435455855934631, 4.645852612178535, 26.3124352495832),
)
_MAGMA = (
    (-0.002136485053939, -0.000749655052795, -0.005386127855323),
    (0.2516605407371642, 0.6775232436837668, 2.494026599312351),
    (8.353717279216625, -3.577719514958484, 0.3144679030132573),
    (-27.66873308576866, 14.26473078096533, -13.64921318813922),
    (52.17613981234068, -27.94360607168351, 12.94416944238394),
    (-50.76852536473588, 29.04658282127291, 4.23415299384598),
    (18.65570506591883, -11.48977351997711, -5.601961508734096),
)
# White through yellow and red to dark violet: lightness falls evenly, so that no weight is the paper's own white.
_LIGHT = ((255, 255, 255), (253, 231, 190), (247, 178, 103), (229, 107, 72), (176, 45, 92), (98, 20, 100), (30, 10, 60))
_DIVERGING = (
    (33, 80, 160), (94, 150, 214), (186, 211, 235), (244, 244, 244), (245, 200, 170), (219, 122, 82), (160, 40, 32),
)


@functools.cache
def colour_table(name: ColourMap, dark: bool) -> Colours:
    """256 colours, uint8 [256, 3], from the least to the largest value."""
    if name == "viridis":
        table = _polynomial(_VIRIDIS)
    elif name == "attention":
        table = _polynomial(_MAGMA) if dark else _between(_LIGHT)
    else:
        table = _between(_DIVERGING)
    table.flags.writeable = False
    return table


def _polynomial(coefficients: tuple[tuple[float, float, float], ...]) -> Colours:
    t = np.linspace(0.0, 1.0, 256)[:, None]
    rgb = sum(np.asarray(c) * t**power for power, c in enumerate(coefficients))
    return np.clip(np.round(np.asarray(rgb) * 255), 0, 255).astype(np.uint8)


def _between(stops: tuple[tuple[int, int, int], ...]) -> Colours:
    places = np.linspace(0.0, 1.0, len(stops))
    t = np.linspace(0.0, 1.0, 256)
    channels = [np.interp(t, places, [s[c] for s in stops]) for c in range(3)]
    return np.round(np.stack(channels, axis=1)).astype(np.uint8)


def indices(values: NDArray[np.floating], low: float, high: float) -> Colours:
    """Values as uint8 indices into a colour table, clipped to `low` .. `high`; NaN is 0."""
    span = high - low if high > low else 1.0
    scaled = (np.asarray(values, dtype=np.float32) - low) * (255.0 / span)
    return np.clip(np.nan_to_num(scaled, nan=0.0, posinf=255.0, neginf=0.0), 0, 255).astype(np.uint8)
