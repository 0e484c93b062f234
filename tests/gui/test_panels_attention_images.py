"""Pictures of attention maps show what is in them, however small."""

from __future__ import annotations

import numpy as np
import pytest

from tfx_workbench.widgets.attention_images import brightest, picture, thumbnails
from tfx_workbench.widgets.attention_map import written


def lightness(image) -> np.ndarray:
    columns = range(image.width())
    return np.array([[image.pixelColor(x, y).lightnessF() for x in columns] for y in range(image.height())])


def test_a_picture_has_one_pixel_per_weight():
    weights = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    image = picture(weights, dark=True)
    assert (image.width(), image.height()) == (3, 2)
    shades = lightness(image)
    assert shades[0, 0] > shades[1, 0] > shades[0, 1]


def test_a_thin_diagonal_is_still_seen_in_a_thumbnail():
    diagonal = np.eye(250, dtype=np.float16)
    ((image,),) = thumbnails((diagonal[None],), 48, dark=True)
    assert image.width() == image.height() <= 48
    shades = lightness(image)
    assert np.all(np.diag(shades) > 0.8)
    assert shades[0, -1] < 0.1


def test_every_layer_and_head_has_its_thumbnail_and_its_own_brightness():
    faint = np.tril(np.full((16, 16), 0.01, np.float16))
    maps = (np.stack([faint, faint * 50]), np.stack([faint, faint]))
    small = thumbnails(maps, 48, dark=False)
    assert [len(row) for row in small] == [2, 2]
    assert np.allclose(lightness(small[0][0]), lightness(small[0][1]), atol=0.02)


@pytest.mark.parametrize("fill", [0.0, np.nan])
def test_a_map_of_nothing_is_a_picture_of_nothing(fill):
    weights = np.full((8, 8), fill, dtype=np.float32)
    assert brightest(weights) == 1.0
    assert lightness(picture(weights, dark=True)).max() < 0.1
    assert lightness(thumbnails((weights[None],), 48, dark=True)[0][0]).max() < 0.1


@pytest.mark.parametrize(("token", "text"), [
    (" ", "␣"), ("\n", "↵"), ("\t", "⇥"), ("\x00", "·"), ("abcdef", "abcd…"), ("<b>", "<b>"), ("é", "é"),
])
def test_a_token_that_cannot_be_seen_is_written_so_that_it_can(token, text):
    assert written(token) == text
