"""The docked panels: one for every exhibit; a file here only where one can do more with it than look and choose.

A file declares `class ...(Panel)` and `PANEL = (exhibit name, class)`. Panels do not import each other.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import QWidget

from tfx_workbench.exhibits.kind import ExhibitType, all_exhibits
from tfx_workbench.widgets.exhibit_panel import ExhibitPanel
from tfx_workbench.widgets.panel import Panel


@dataclasses.dataclass(frozen=True)
class PanelFactory:
    """Makes one panel; says what docks and menus need before there is one."""

    exhibit: ExhibitType
    make: Callable[[ExhibitType, QWidget | None], Panel]

    @property
    def name(self) -> str:
        """The name under which its place is remembered."""
        return self.exhibit.name

    @property
    def title(self) -> str:
        """Marked for translation; translate where it is shown."""
        return self.exhibit.title

    @property
    def shortcut(self) -> str:
        """Key sequence that brings the panel to the front."""
        return self.exhibit.shortcut

    def __call__(self, parent: QWidget | None = None) -> Panel:
        """A new panel."""
        return self.make(self.exhibit, parent)


def all_panels() -> list[PanelFactory]:
    """A factory per exhibit, in the order of the window."""
    names = [m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)])]
    own = dict(importlib.import_module(f"{__name__}.{name}").PANEL for name in names)
    return [PanelFactory(e, own.get(e.name, ExhibitPanel)) for e in all_exhibits()]
