"""A configuration as somebody would have written it: without what equals the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfx_engine.protocol.cards import Catalogue
from tfx_engine.protocol.config import SECTIONS, parse_config
from tfx_engine.protocol.tasks import TASKS
from tfx_workbench.session.draft import same_value


def lean_config(config: Mapping[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    """A resolved configuration without what equals the defaults of its task."""
    default = parse_config({}, catalogue)[0].as_dict()
    task = config.get("data", {}).get("task", default["data"]["task"])
    lean: dict[str, Any] = {"name": config.get("name", "untitled")}
    if config.get("seed", 0) != default["seed"]:
        lean["seed"] = config["seed"]
    for section in SECTIONS:
        table = {k: v for k, v in config.get(section, {}).items() if not same_value(v, default[section].get(k))}
        if section == "model" and task in TASKS and TASKS[task].frames:
            table.pop("context", None)  # the task says it, and so it follows a class token
        if table:
            lean[section] = table
    for name, choice in config.get("techniques", {}).items():
        slot, card = catalogue.slot(name), catalogue.find(name, choice.get("use", ""))
        defaults = {o.name: o.default for o in card.options} if card else {}
        options = {k: v for k, v in choice.items() if k != "use" and not same_value(v, defaults.get(k))}
        if options or slot is None or choice.get("use") != slot.default_for(task):
            lean.setdefault("techniques", {})[name] = {"use": choice.get("use"), **options}
    return lean
