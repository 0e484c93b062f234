"""The attention panel: a click on a thumbnail shows that head large, a scrubber goes through the captured steps."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from tfx_engine.runfile.rows import AttentionCapture
from tfx_workbench.exhibits.attention import chosen_capture, whole_captures
from tfx_workbench.exhibits.exhibit import Exhibit
from tfx_workbench.exhibits.kind import ExhibitType
from tfx_workbench.exhibits.palette import Palette
from tfx_workbench.exhibits.runview import focused
from tfx_workbench.widgets.attention_body import AttentionBody
from tfx_workbench.widgets.exhibit_panel import ExhibitPanel


class AttentionPanel(ExhibitPanel):
    """Paints the attention exhibit itself, and asks the run for single heads in full resolution."""

    def __init__(self, exhibit: ExhibitType, parent: QWidget | None = None) -> None:
        super().__init__(exhibit, parent)
        self._captures: list[AttentionCapture] = []  # what the scrubber stands for, while the run gets more
        self.body = AttentionBody(self.view)
        self.body.head_chosen.connect(self._choose_head)
        self.body.capture_chosen.connect(self._choose_capture)
        self.body.probe_wanted.connect(self._ask_for_probe)
        self.view.set_body(self.body)

    def apply_theme(self, palette: Palette) -> None:
        """Take on these colours."""
        super().apply_theme(palette)
        self.body.apply_theme(palette)

    def show_exhibit(self, exhibit: Exhibit) -> None:
        """Show the maps of an exhibit."""
        super().show_exhibit(exhibit)
        run = focused(self._runs)
        self._captures = [] if exhibit.images is None or run is None else whole_captures(run)
        if exhibit.images is None or run is None:
            return
        index = chosen_capture(self._chosen, self._captures)
        self.body.show_images(exhibit.images, [c.step for c in self._captures], index, run.data.is_live)

    def _choose_head(self, row: int, head: int) -> None:
        self._chosen["layer"] = str(row)
        self.choose("head", str(head))

    def _choose_capture(self, index: int) -> None:
        # At its right end the scrubber follows the run: the newest capture, whichever that will be.
        if self._captures:
            is_last = index == self.body.scrubber.maximum()
            self.choose("capture", "" if is_last else str(self._captures[index].capture))

    def _ask_for_probe(self) -> None:
        run = focused(self._runs)
        if run is None or not self._captures:
            return
        layers = self._captures[chosen_capture(self._chosen, self._captures)].layers
        row, head = (int(self._chosen.get(name) or 0) for name in ("layer", "head"))
        self.probe_wanted.emit(run.data.path, layers[min(row, len(layers) - 1)], head)


PANEL = ("attention", AttentionPanel)
