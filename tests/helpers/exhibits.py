"""Runs to show, and what is true of every exhibit whatever it shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfx_workbench.exhibits.exhibit import Bars, Curve, Exhibit, HeatMap, Plot, Stack
from tfx_workbench.exhibits.kind import ExhibitType
from tfx_workbench.exhibits.palette import DARK
from tfx_workbench.exhibits.runview import RunView
from tfx_workbench.runs.rundata import RunData


def views(paths: Sequence[Path], focus: int = -1) -> list[RunView]:
    """The runs in these files, each with a colour of its own, one of them in focus."""
    focus %= max(1, len(paths))
    datas = [RunData(path).load() for path in paths]
    return [RunView(data, data.info.name, i, focus=i == focus, baseline=i == 0) for i, data in enumerate(datas)]


def all_choices(kind: ExhibitType) -> list[dict[str, str]]:
    """Every option of every choice of an exhibit, one at a time."""
    return [{}, *({choice.name: key} for choice in kind.choices for key, _ in choice.options)]


def check_exhibit(exhibit: Exhibit) -> None:
    """Fail where a painter or a report could not use an exhibit."""
    for words in (exhibit.title, exhibit.sentence, *exhibit.notes, exhibit.empty, exhibit.summary()):
        assert "{" not in str(words), words
    assert str(exhibit.title) and str(exhibit.summary())
    assert exhibit.definitions and all(str(d.title) and str(d.text) for d in exhibit.definitions)
    shows = bool(exhibit.plots) or exhibit.images is not None or bool(exhibit.tables)
    assert shows != bool(exhibit.empty), "an exhibit shows something, or says what to do"
    for entry in exhibit.legend:
        DARK.colour(entry.colour)
    keys = [plot.key for plot in exhibit.plots]
    assert len(set(keys)) == len(keys)
    for plot in exhibit.plots:
        _check_plot(plot)


def _check_plot(plot: Plot) -> None:
    keys = [layer.key for layer in plot.layers]
    assert len(set(keys)) == len(keys), keys
    assert plot.layers
    for layer in plot.layers:
        match layer:
            case Curve():
                lengths = {len(a) for a in (layer.x, layer.y, layer.low, layer.high) if a is not None}
                assert len(lengths) == 1 and np.all(np.diff(layer.x) >= 0), layer.key
                assert len(layer.x) <= 4096
                DARK.colour(layer.colour)
            case Stack():
                assert layer.values.shape == (len(layer.x), len(layer.areas)) and np.all(np.diff(layer.x) >= 0)
                assert np.all(layer.values >= 0)
                assert len(layer.x) <= 4096
            case HeatMap():
                assert layer.values.ndim == 2 and len(layer.row_names) == len(layer.values)
                assert layer.x_high > layer.x_low and layer.values.shape[1] <= 1000
            case Bars():
                assert len(layer.labels) == len(layer.starts) == len(layer.ends) == len(layer.colours)
