"""What the window remembers: its geometry, docks, theme, the draft, ticked runs. An ini file and a JSON file.

Whatever cannot be read, or was written by a version that arranged things differently, is left out without a word: a
window must always come up.
"""

from __future__ import annotations

import json
import logging
import tempfile
from pathlib import Path
from typing import Any, Literal

from PySide6.QtCore import QByteArray, QSettings, QSize

from tfx_engine.protocol.private import append_privately, make_private_folder
from tfx_engine.protocol.trust import settings_folder
from tfx_engine.protocol.whole import write_whole

_INI = "window.ini"
LAYOUT_VERSION = 1  # of docks and splitters; an older arrangement is not restored
_log = logging.getLogger(__name__)


class Settings:
    """Typed access to everything that is remembered. Nothing here raises: what cannot be kept is logged."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or settings_folder()
        self.is_kept = True  # False: what changes from now on is forgotten
        self.fault = ""  # why nothing can be kept, where that is so
        try:
            make_private_folder(self.folder)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
            append_privately(self.folder / _INI, b"")  # Qt would make it as the umask says, and leaves it as it is
        except OSError as error:
            self.fault = error.strerror or str(error)
            _log.warning("settings cannot be kept in %s: %s", self.folder, self.fault)
        self._ini = QSettings(str(self.folder / _INI), QSettings.Format.IniFormat)
        self._ini.setFallbacksEnabled(False)

    # ------------------------------------------------------------------ plain values

    @property
    def theme(self) -> str:
        """auto, light or dark."""
        return self._text("theme", "auto")

    @theme.setter
    def theme(self, name: str) -> None:
        self._keep("theme", name)

    @property
    def on_disconnect(self) -> Literal["finish", "stop"]:
        """What happens to runs when the window goes: `finish` or `stop`."""
        return "stop" if self._text("on_disconnect", "finish") == "stop" else "finish"

    @on_disconnect.setter
    def on_disconnect(self, value: Literal["finish", "stop"]) -> None:
        self._keep("on_disconnect", value)

    @property
    def ticked(self) -> list[str]:
        """The run files that were shown together."""
        return self._strings("runs/ticked")

    @ticked.setter
    def ticked(self, keys: list[str]) -> None:
        self._keep("runs/ticked", json.dumps(keys))

    @property
    def baseline(self) -> str:
        """The run that others were compared with."""
        return self._text("runs/baseline", "")

    @baseline.setter
    def baseline(self, key: str) -> None:
        self._keep("runs/baseline", key)

    @property
    def form(self) -> dict[str, Any]:
        """What is folded in the form, and the favourites."""
        value = _json(self._text("form/arrangement", "{}"))
        return value if isinstance(value, dict) else {}

    @form.setter
    def form(self, arrangement: dict[str, Any]) -> None:
        self._keep("form/arrangement", json.dumps(arrangement))

    def _text(self, key: str, default: str) -> str:
        value = self._ini.value(key, default)
        return value if isinstance(value, str) else default

    def _strings(self, key: str) -> list[str]:
        value = _json(self._text(key, "[]"))
        return [v for v in value if isinstance(v, str)] if isinstance(value, list) else []

    # ------------------------------------------------------------------ the window

    def layout(self, name: str) -> QByteArray | None:
        """A state or geometry of Qt's, where this version of the layout wrote it."""
        if self._ini.value("layout/version") not in (LAYOUT_VERSION, str(LAYOUT_VERSION)):
            return None
        value = self._ini.value(f"layout/{name}")
        return value if isinstance(value, QByteArray) and not value.isEmpty() else None

    @property
    def area_size(self) -> QSize | None:
        """The size of the panels' area when its arrangement was kept."""
        value = self._ini.value("layout/area")
        return value if isinstance(value, QSize) else None

    @area_size.setter
    def area_size(self, size: QSize) -> None:
        self._keep("layout/area", size)

    def keep_layout(self, name: str, state: QByteArray) -> None:
        """Remember a state or geometry of Qt's."""
        self._keep("layout/version", LAYOUT_VERSION)
        self._keep(f"layout/{name}", state)

    def panel_choices(self, panel: str) -> dict[str, str]:
        """What was chosen in a panel."""
        value = _json(self._text(f"panels/{panel}", "{}"))
        return {str(k): str(v) for k, v in value.items()} if isinstance(value, dict) else {}

    def keep_panel_choices(self, panel: str, choices: dict[str, str]) -> None:
        """Remember what is chosen in a panel."""
        self._keep(f"panels/{panel}", json.dumps(choices))

    @property
    def grouping(self) -> str:
        """What the table of runs puts together."""
        return self._text("runs/grouping", "")

    @grouping.setter
    def grouping(self, grouping: str) -> None:
        self._keep("runs/grouping", grouping)

    # ------------------------------------------------------------------ the draft

    def draft(self) -> dict[str, Any]:
        """The form as it was left; empty where there is none."""
        try:
            value = _json((self.folder / "draft.json").read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError):
            return {}
        return value if isinstance(value, dict) else {}

    def keep_draft(self, state: dict[str, Any]) -> None:
        """Remember the form. The file is replaced whole, so that a crash leaves the old one or the new one."""
        if not self.is_kept:
            return
        try:
            write_whole(self.folder / "draft.json", json.dumps(state).encode())
        except OSError as error:
            _log.warning("the form cannot be kept: %s", error)

    def sync(self) -> None:
        """Write everything now."""
        self._ini.sync()

    def _keep(self, key: str, value: Any) -> None:
        if self.is_kept:
            self._ini.setValue(key, value)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
