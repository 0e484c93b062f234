"""The draft: the configurations that are being edited, with undo, problems and what differs from the defaults.

A draft holds one configuration or, after a preset such as "Five techniques", several; one of them is edited. It keeps
what the user typed, legal or not, and `parse_config` judges it on every change.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import QObject, Signal

from tfx_engine.protocol.cards import Catalogue, load_catalogue
from tfx_engine.protocol.config import SECTIONS, Config, own_length, parse_config
from tfx_engine.protocol.problems import Problem, errors_among
from tfx_workbench.session.history import History, State
from tfx_workbench.session.legality import blocked_choices


class Draft(QObject):
    """A state is `{"configs": [dict, ...], "current": int, "title": str}`.

    Emits `changed` after every change, `selected` when another configuration of the same draft is edited.
    """

    changed = Signal()
    selected = Signal(int)

    def __init__(self, catalogue: Catalogue | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.catalogue = catalogue or load_catalogue()
        self.history = History(self)
        self._configs: list[dict[str, Any]] = [{"name": "untitled"}]
        self._current = 0
        self._title = ""
        self._remembered: dict[tuple[str, str], dict[str, Any]] = {}
        self._deep: tuple[Problem, ...] = ()
        self._parse()

    # ------------------------------------------------------------------ what there is

    @property
    def configs(self) -> list[dict[str, Any]]:
        """All configurations of the draft as plain data; copies."""
        return copy.deepcopy(self._configs)

    @property
    def current(self) -> int:
        """The index of the configuration that is being edited."""
        return self._current

    @property
    def title(self) -> str:
        """The preset or file that the draft came from, empty where it came from nowhere."""
        return self._title

    @property
    def data(self) -> dict[str, Any]:
        """The configuration that is being edited, as written."""
        return copy.deepcopy(self._configs[self._current])

    @property
    def config(self) -> Config:
        """The same, complete; defaults where it is wrong."""
        return self._config

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the edited configuration: at once from the catalogue, a moment later from the engine."""
        seen = {p.path for p in self._problems}
        return (*self._problems, *(p for p in self._deep if p.path not in seen))

    def all_problems(self) -> list[tuple[int, Problem]]:
        """(index, problem) for every configuration of the draft; warnings, which hinder no run, are not among them."""
        found = [(self._current, p) for p in errors_among(self.problems)]
        for i, data in enumerate(self._configs):
            if i != self._current:
                found += [(i, p) for p in parse_config(data, self.catalogue)[1]]
        return sorted(found, key=lambda pair: pair[0])

    def set_deep_problems(self, problems: Sequence[Problem]) -> None:
        """Add what the engine found to the problems of the edited configuration."""
        if tuple(problems) != self._deep:
            self._deep = tuple(problems)
            self.changed.emit()

    def values(self) -> dict[str, Any]:
        """Every value by key path, as written where it was written."""
        found: dict[str, Any] = {"name": self._config.name, "seed": self._config.seed}
        for section in SECTIONS:
            for name, value in vars(getattr(self._config, section)).items():
                found[f"{section}.{name}"] = value
        for slot, choice in self._config.techniques.items():
            found[f"techniques.{slot}.use"] = choice.use
            found.update({f"techniques.{slot}.{k}": v for k, v in choice.options.items()})
        found.update(_flat(self._configs[self._current]))
        return found

    def changed_paths(self) -> frozenset[str]:
        """The key paths whose value is not the default of the format for the draft's task, or is wrong."""
        found = {p.path for p in self._problems if p.path in _flat(self._configs[self._current])}
        if self._config.seed != self._defaults.seed:
            found.add("seed")
        for section in SECTIONS:
            mine, default = getattr(self._config, section), getattr(self._defaults, section)
            found |= {f"{section}.{k}" for k, v in vars(mine).items() if v != getattr(default, k)}
        if self._config.model.context == own_length(self._config):
            found.discard("model.context")
        for slot, choice in self._config.techniques.items():
            if choice.use != self._default_use(slot):
                found.add(f"techniques.{slot}.use")
            card = self.catalogue.find(slot, choice.use)
            for option in card.options if card else ():
                if not same_value(choice.options[option.name], option.default):
                    found.add(f"techniques.{slot}.{option.name}")
        return frozenset(found)

    def blocked(self) -> dict[tuple[str, str], str]:
        """(slot, technique) -> why it does not fit the other choices."""
        return blocked_choices(self.catalogue, self._config.techniques, self._config.data.task)

    # ------------------------------------------------------------------ changing it

    def take_catalogue(self, catalogue: Catalogue) -> None:
        """Judge the draft by another catalogue from now on; what was written stays."""
        self.catalogue = catalogue
        self._deep = ()
        self._parse()
        self.changed.emit()

    def set_value(self, path: str, value: Any) -> None:
        """Set one value by its key path; typing into one field is one step of undo."""
        if path in (flat := self.values()) and same_value(flat[path], value) and type(flat[path]) is type(value):
            return
        data = self.data
        _put(data, path, value)
        self._push(self._with(data), path)

    def choose(self, slot: str, name: str) -> None:
        """Fill a slot with a technique; its options come back as they were when it was last chosen."""
        if self._config.use(slot) == name and f"techniques.{slot}.use" not in {p.path for p in self._problems}:
            return
        data = self.data
        techniques = data.setdefault("techniques", {})
        before = techniques.get(slot)
        if isinstance(before, Mapping) and isinstance(before.get("use", ""), str):
            self._remembered[slot, before.get("use", self._default_use(slot))] = dict(before)
        techniques[slot] = {**self._remembered.get((slot, name), {}), "use": name}
        self._push(self._with(data))

    def reset_slot(self, slot: str) -> None:
        """One slot back to its default, options and all; they come back when the technique is chosen again."""
        data = self.data
        techniques = data.get("techniques")
        if not isinstance(techniques, dict) or slot not in techniques:
            return
        before = techniques.pop(slot)
        if isinstance(before, Mapping) and isinstance(use := before.get("use", self._default_use(slot)), str):
            self._remembered[slot, use] = dict(before)
        if not techniques:
            del data["techniques"]
        self._push(self._with(data))

    def reset(self) -> None:
        """Back to the defaults; the name stays."""
        self._push(self._with({"name": self._config.name}))

    def load(self, configs: Sequence[Mapping[str, Any]], title: str = "") -> None:
        """Edit other configurations. The old ones are one undo away."""
        plain = [_normalised(c) for c in configs] or [{"name": "untitled"}]
        self._push({"configs": plain, "current": 0, "title": title})

    def select(self, index: int) -> None:
        """Edit another configuration of the draft."""
        if 0 <= index < len(self._configs) and index != self._current:
            self._current = index
            self._deep = ()
            self._parse()
            self.selected.emit(index)
            self.changed.emit()

    # ------------------------------------------------------------------ keeping it

    def state(self) -> State:
        """All of it as JSON-able data."""
        return {"configs": self.configs, "current": self._current, "title": self._title}

    def restore(self, state: Mapping[str, Any]) -> bool:
        """Take back what `state` gave, without a step of undo; False where it is none."""
        configs, current = state.get("configs"), state.get("current", 0)
        if not isinstance(configs, list) or not configs or not all(isinstance(c, dict) for c in configs):
            return False
        index = current if isinstance(current, int) and 0 <= current < len(configs) else 0
        title = str(state.get("title", ""))
        self._apply({"configs": [_normalised(c) for c in configs], "current": index, "title": title})
        return True

    def _with(self, data: dict[str, Any]) -> State:
        configs = self.configs
        configs[self._current] = data
        return {"configs": configs, "current": self._current, "title": self._title}

    def undo(self) -> None:
        """Take the last change back."""
        state = self.history.undo()
        if state is not None:
            self._apply(state)

    def redo(self) -> None:
        """Make the change again that was taken back."""
        state = self.history.redo()
        if state is not None:
            self._apply(state)

    def _push(self, after: State, path: str = "") -> None:
        self.history.push(self.state(), after, path)
        self._apply(after)

    def _apply(self, state: State) -> None:
        self._configs = copy.deepcopy(state["configs"])
        self._current = state["current"]
        self._title = state["title"]
        self._deep = ()
        self._parse()
        self.changed.emit()

    def _parse(self) -> None:
        self._config, self._problems = parse_config(self._configs[self._current], self.catalogue)
        self._defaults, _ = parse_config({}, self.catalogue)

    def _default_use(self, slot: str) -> str:
        """What fills a slot that the draft leaves out: that depends on its task."""
        card = self.catalogue.slot(slot)
        return card.default_for(self._config.data.task) if card else ""


def same_value(left: Any, right: Any) -> bool:
    """Whether two values of an option are the same: JSON has no tuples."""
    as_list = [list(v) if isinstance(v, (list, tuple)) else v for v in (left, right)]
    return bool(as_list[0] == as_list[1])


def _flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, Mapping):
            found.update(_flat(value, f"{prefix}{key}."))
        else:
            found[prefix + key] = value
    return found


def _put(data: dict[str, Any], path: str, value: Any) -> None:
    *tables, key = path.split(".")
    for table in tables:
        inner = data.get(table)
        data[table] = inner if isinstance(inner, dict) else {}
        data = data[table]
    data[key] = value


def _normalised(config: Mapping[str, Any]) -> dict[str, Any]:
    """A copy in which every technique is a table: `position = "learned"` becomes `{ use = "learned" }`."""
    data = copy.deepcopy(dict(config))
    techniques = data.get("techniques")
    if isinstance(techniques, Mapping):
        data["techniques"] = {s: {"use": c} if isinstance(c, str) else copy.deepcopy(c) for s, c in techniques.items()}
    return data
