"""Colours can be told apart, words on them can be read, and heat maps grow evenly lighter or darker."""

from __future__ import annotations

import numpy as np
import pytest

from tfx_engine.protocol.metrics import CATEGORIES
from tfx_workbench.exhibits.colour_maps import colour_table, indices
from tfx_workbench.exhibits.palette import DARK, LIGHT


def luminance(colour: str) -> float:
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    """WCAG 2: 4.5 for text, 3 for the lines of a chart."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("palette", [DARK, LIGHT], ids=lambda p: p.name)
def test_words_can_be_read_on_everything_they_stand_on(palette):
    for ground in (palette.background, palette.card, palette.raised):
        for words in (palette.text, palette.muted, palette.better, palette.worse, palette.warning):
            assert contrast(words, ground) >= 4.5, (words, ground)
    assert contrast(palette.on_accent, palette.accent) >= 4.5


@pytest.mark.parametrize("palette", [DARK, LIGHT], ids=lambda p: p.name)
def test_every_run_can_be_seen_and_is_unlike_the_others(palette):
    for colour in palette.runs:
        assert contrast(colour, palette.card) >= 3
    assert len(set(palette.runs)) == len(palette.runs)
    assert palette.colour(f"run:{len(palette.runs)}") == palette.runs[0]


def test_every_category_has_a_colour_of_its_own_that_no_run_has():
    colours = [DARK.colour(f"category:{c}") for c in CATEGORIES]
    assert len(set(colours)) == len(CATEGORIES)
    assert not set(colours) & set(DARK.runs + LIGHT.runs)


def test_a_colour_that_is_none_is_refused():
    with pytest.raises((KeyError, AttributeError)):
        DARK.colour("no-such")
    with pytest.raises(KeyError):
        DARK.colour("dark")


@pytest.mark.parametrize(("name", "dark", "direction"), [
    ("viridis", True, 1), ("viridis", False, 1), ("attention", True, 1), ("attention", False, -1),
])
def test_a_heat_map_grows_evenly_lighter_or_darker(name, dark, direction):
    table = colour_table(name, dark)
    lightness = np.array([luminance("#" + bytes(c).hex()) ** (1 / 3) for c in table])
    assert table.shape == (256, 3)
    assert np.all(np.diff(lightness) * direction > -0.01)
    assert abs(lightness[-1] - lightness[0]) > 0.4


def test_values_are_clipped_to_the_table_and_nan_is_its_first_colour():
    got = indices(np.array([-1, 0, 0.5, 1, 2, np.nan, np.inf]), 0, 1)
    assert got.tolist() == [0, 0, 127, 255, 255, 0, 255]
    assert indices(np.array([3.0, 3.0]), 3, 3).tolist() == [0, 0]
