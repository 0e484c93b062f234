"""What an ablation varies: `slot=technique,...` or `option=value,...`, as the command line writes it and as data."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from tfx_engine.protocol.cards import Catalogue
from tfx_engine.protocol.config import SECTIONS, Config
from tfx_engine.protocol.options import OptionCard, option_cards
from tfx_engine.protocol.problems import ConfigError, Problem, nearest

Levels = Mapping[str, str]  # path of a factor -> the name of its level
_RANGE = re.compile(r"(?P<low>[-+.\deE]+)\.\.(?P<high>[-+.\deE]+?):(?:(?P<kind>log|linear):)?(?P<count>\d+)")
MOST_LEVELS = 1000


@dataclasses.dataclass(frozen=True)
class Factor:
    """`path` is "techniques.SLOT", whose levels are `{"use": name, options...}`, or the key path of one option."""

    path: str
    levels: tuple[Any, ...]

    @property
    def is_slot(self) -> bool:
        """Whether it varies the technique of a slot."""
        return is_slot(self.path)


def is_slot(path: str) -> bool:
    """Whether a path is that of a slot, not of an option."""
    return path.startswith("techniques.") and path.count(".") == 1


def parse_over(text: str, catalogue: Catalogue) -> Factor:
    """A factor from `adapter=lora,dora`, `adapter.rank=4,8` or `model.width=64..512:log:4`. Raises `ConfigError`."""
    key, equals, values = text.partition("=")
    key, words = key.strip(), [word.strip() for word in values.split(",") if word.strip()]
    if not equals or not key or not words:
        raise ConfigError([Problem(
            code="bad-setting", path="--over", template="{text!r} is not of the form slot=technique,technique or "
            "option=value,value.", hint_template="Example: --over adapter=lora,dora", args={"text": text},
        )])
    if catalogue.slot(key):
        return Factor(f"techniques.{key}", tuple(_technique(key, word, catalogue) for word in words))
    path, card = _option(key, catalogue)
    levels: list[Any] = []
    for word in words:
        levels += [v for v in _values(word, card, key) if v not in levels]
    return Factor(path, tuple(levels))


def _technique(slot: str, name: str, catalogue: Catalogue) -> dict[str, Any]:
    if catalogue.find(slot, name) is None:
        names = [t.name for t in catalogue.in_slot(slot)]
        near = nearest(name, names)
        raise ConfigError([Problem(
            code="unknown-technique", path=f"--over {slot}", template="does not know the technique {name!r}.",
            hint_template="Did you mean {near!r}? Choices: {names}." if near else "Choices: {names}.",
            args={"name": name, "near": near, "names": ", ".join(names)},
        )])
    return {"use": name}


def _option(key: str, catalogue: Catalogue) -> tuple[str, OptionCard | None]:
    """The whole path of an option that was named "model.width", "width", "adapter.rank" or in full."""
    known = option_paths(catalogue)
    for path in (key, f"techniques.{key}", *(f"{section}.{key}" for section in SECTIONS)):
        if path in known:
            return path, known[path]
    short = [path.removeprefix("techniques.") for path in known]
    near = nearest(key, [*(slot.name for slot in catalogue.slots), *short])
    raise ConfigError([Problem(
        code="unknown-key", path="--over", template="{key!r} is neither a slot nor an option.",
        hint_template="Did you mean {near!r}?" if near else "`tfx-workbench techniques` lists the slots.",
        args={"key": key, "near": near},
    )])


def is_known(path: str, catalogue: Catalogue) -> bool:
    """Whether there is such a slot or option: the path may come from a file."""
    return bool(catalogue.slot(path.partition(".")[2])) if is_slot(path) else path in option_paths(catalogue)


def option_paths(catalogue: Catalogue) -> dict[str, OptionCard]:
    """Every option by its path. Of techniques in one slot the first that has an option of that name stands for it."""
    found = {f"{name}.{card.name}": card for name, kind in SECTIONS.items() for card in option_cards(kind)}
    for technique in catalogue.techniques:
        for card in technique.options:
            found.setdefault(f"techniques.{technique.slot}.{card.name}", card)
    return found


def _values(word: str, card: OptionCard | None, key: str) -> list[Any]:
    """One value, or those of a range `low..high:log:count`."""
    found = _RANGE.fullmatch(word)
    if found is None:
        if ".." in word:
            raise ConfigError([_bad_range(word, key)])
        return [_value(word, card)]
    try:
        low, high, count = float(found["low"]), float(found["high"]), int(found["count"])
        return spread(low, high, count, is_log=found["kind"] == "log", is_whole=card is None or card.kind == "int")
    except (ValueError, OverflowError):  # the latter: an end of it is infinite
        raise ConfigError([_bad_range(word, key)]) from None


def spread(low: float, high: float, count: int, *, is_log: bool, is_whole: bool) -> list[Any]:
    """`count` values from `low` to `high`, evenly or in equal ratios, each once. Raises ValueError."""
    if not 2 <= count <= MOST_LEVELS or not low < high or (is_log and low <= 0):
        raise ValueError("not a range")
    shares = [i / (count - 1) for i in range(count)]
    values = [low * (high / low) ** s if is_log else low + (high - low) * s for s in shares]
    rounded = [round(v) if is_whole else float(f"{v:.6g}") for v in values]
    return list(dict.fromkeys(rounded))


def _bad_range(word: str, key: str) -> Problem:
    return Problem(
        code="bad-range", path=f"--over {key}", template="{word!r} is not a range.",
        hint_template="Write low..high:count, or low..high:log:count, such as 8..64:log:4; low is below high, "
        "count is 2 or more.", args={"word": word},
    )


def _value(word: str, card: OptionCard | None) -> Any:
    if card is not None and card.kind in ("choice", "str", "set"):
        return word
    if word in ("null", "none", "automatic"):
        return None
    try:
        return tomllib.loads(f"v = {word}")["v"]
    except (ValueError, RecursionError):  # not TOML, or a number with thousands of digits: what it is for is said later
        return word


# ---------------------------------------------------------------------------------------------- levels


def base_level(base: Config, path: str) -> Any:
    """What a configuration has there, in the form of a level; None for an option of a technique that it has not."""
    section, _, rest = path.partition(".")
    if section != "techniques":
        return getattr(getattr(base, section), rest)
    slot, _, name = rest.partition(".")
    choice = base.techniques[slot]
    return choice.options.get(name) if name else {"use": choice.use}


def off_level(base: Config, factor: Factor, catalogue: Catalogue) -> Any:
    """What leaving a factor out means: the base's own choice, or the slot's default where it chose that itself.

    None where there is nothing to go back to.
    """
    own = base_level(base, factor.path)
    if any(level != own for level in factor.levels):
        return own
    slot = catalogue.slot(factor.path.partition(".")[2]) if factor.is_slot else None
    default = None if slot is None else {"use": slot.default_for(base.data.task)}
    return None if default == own else default


def set_level(config: dict[str, Any], path: str, level: Any) -> None:
    """Put a level into a configuration as written."""
    *tables, key = path.split(".")
    table = config
    for name in tables:
        inner = table.get(name)
        if isinstance(inner, str) and table is config.get("techniques"):
            inner = {"use": inner}
        table[name] = dict(inner) if isinstance(inner, Mapping) else {}
        table = table[name]
    table[key] = dict(level) if isinstance(level, Mapping) else level


def level_name(level: Any) -> str:
    """A level as text: the technique's name, or the value."""
    if isinstance(level, Mapping):
        options = [f"{key} {value}" for key, value in level.items() if key != "use"]
        return " ".join([str(level.get("use", "")), *options])
    return str(level).lower() if isinstance(level, bool) or level is None else f"{level}"
