"""File > Import: a published model into the form, its weights beside the library, without the window waiting."""

from __future__ import annotations

import filecmp
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from tfx_engine.protocol.private import FILE, make_private_folder
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_workbench.report.names import file_name
from tfx_workbench.widgets.message_bar import INFO, WARNING
from tfx_workbench.widgets.words import problem_words

if TYPE_CHECKING:
    from tfx_engine.pretrained.importing import Imported
    from tfx_workbench.app.window import MainWindow

_FOLDER = "imported"  # in the library: the weights of imported models
_SAID = 2  # of what was lost; the rest is in the messages


class ModelImport(QObject):
    """Belongs to one window. A checkpoint of gigabytes is copied on a thread, one at a time."""

    done = Signal(object)  # Imported
    failed = Signal(list)  # of Problem
    _ended = Signal(object, object)  # (Imported, data) or (None, problems), from the thread

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._thread: threading.Thread | None = None
        self._ended.connect(self._show)

    def start(self, file: str) -> None:
        """Import the model that a `config.json`, a checkpoint or a folder describes."""
        if self._thread is not None and self._thread.is_alive():
            self._window.messages.say(self.tr("One model is being imported already."), WARNING)
            return
        store = self._window.session.store
        self._window.messages.say(self.tr("Importing {file} …").format(file=Path(file).absolute().parent.name), INFO)
        self._thread = threading.Thread(target=self._work, args=(Path(file), store), name="import", daemon=True)
        self._thread.start()

    def _work(self, file: Path, store: Path) -> None:
        # Only now: nobody who does not import a model should wait for it.
        from tfx_engine.pretrained.importing import import_config, import_weights

        try:
            imported = import_config(file)
            lost, data = list(imported.lost), dict(imported.data)
            if imported.checkpoint:
                first = weights_file(store, str(data["name"]))
                # Runs may have begun with the weights of another model that was called so: those stay.
                target = next(path for path in _numbered(first) if not path.exists())
                lost += import_weights(imported, target)
                target.chmod(FILE)  # it lies among the runs, and is not to be handed on
                target = _kept(first, target)
                data["run"] = {**data.get("run", {}), "start_from": str(target)}
        except ConfigError as error:
            found: tuple[Any, Any] = (None, list(error.problems))
        except OSError as error:
            found = (None, [Problem(code="unwritable", path=str(error.filename or store), args={"error": str(error)},
                                    template="cannot be written: {error}.")])
        else:
            found = ((imported, lost), data)
        try:
            self._ended.emit(*found)
        except RuntimeError:
            return  # the window is gone

    def _show(self, imported: tuple[Imported, list[Problem]] | None, data: Any) -> None:
        if imported is None:
            for problem in data:
                self._window.say_problem(problem)
            self.failed.emit(data)
            return
        model, lost = imported
        self._window.session.draft.load([data], str(data["name"]))
        words = self.tr("{name} ({family}) is in the form.").format(name=data["name"], family=model.family.title)
        if lost:
            some = " ".join(f"{p.path} {problem_words(p, begins_sentence=False)}" for p in lost[:_SAID])
            lacking = self.tr("1 thing could not be expressed: {some}") if len(lost) == 1 else self.tr(
                "{count} things could not be expressed: {some}")
            words += " " + lacking.format(count=len(lost), some=some)
            for problem in lost[_SAID:]:
                self._window.messages.history.append((INFO, f"{problem.path} {problem_words(problem)}"))
        self._window.messages.say(words, WARNING if lost else INFO)
        self.done.emit(model)


def weights_file(store: Path, name: str) -> Path:
    """Where the weights of the first model of that name go."""
    folder = store / _FOLDER
    make_private_folder(folder)
    return folder / file_name(name, ".safetensors")


def _numbered(first: Path) -> Iterator[Path]:
    yield first
    yield from (first.with_stem(f"{first.stem}-{number}") for number in itertools.count(2))


def _kept(first: Path, newest: Path) -> Path:
    """The file that has the same weights since an earlier import, and then `newest` is deleted; else `newest`."""
    for before in itertools.takewhile(lambda path: path != newest, _numbered(first)):
        if filecmp.cmp(before, newest, shallow=False):
            newest.unlink()
            return before
    return newest
