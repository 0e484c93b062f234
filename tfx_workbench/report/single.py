"""One exhibit as a file of its own, without Qt: SVG or CSV."""

from __future__ import annotations

from tfx_workbench.exhibits.exhibit import Exhibit
from tfx_workbench.report.axes import Said, Style
from tfx_workbench.report.figure import draw_whole
from tfx_workbench.report.lettering import estimate
from tfx_workbench.report.spreadsheet import exhibit_csv
from tfx_workbench.report.svg import standalone

_MARK = "\ufeff"  # without it a spreadsheet takes UTF-8 for the system's own letters


def exhibit_bytes(exhibit: Exhibit, suffix: str, said: Said = str) -> bytes:
    """The file that ends in `suffix`: ".svg" or ".csv"."""
    if suffix == ".csv":
        return (_MARK + exhibit_csv(exhibit, said)).encode("utf-8")
    drawing = draw_whole(exhibit, Style(said, estimate))
    return standalone(drawing, said(exhibit.summary()), said(exhibit.title)).encode("utf-8")
