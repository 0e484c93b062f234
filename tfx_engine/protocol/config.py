"""A configuration: sizes, one technique per slot, data and run settings.

`parse_config` turns a (partial) dict into a complete `Config` and *every* `Problem` in it; it needs the catalogue only,
no torch, so the service, the window and the command line all use it. What only the technique itself can judge (its
`check()`) is the warm worker's business.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from tfx_engine.protocol.cards import Catalogue, SlotCard, load_catalogue
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.nesting import unfit
from tfx_engine.protocol.options import OptionCard, check_value, option_cards
from tfx_engine.protocol.problems import Problem, nearest
from tfx_engine.protocol.rules import broken_rules, check_rules
from tfx_engine.protocol.sections import SECTIONS, Data, Model, Run
from tfx_engine.protocol.tasks import NOT_FOR, TaskCard, card_of
from tfx_engine.protocol.written import in_words

__all__ = [
    "FORMAT", "SECTIONS", "TOP_CARDS", "Choice", "Config", "Data", "Model", "Run", "broken_rules", "own_length",
    "parse_config",
]

FORMAT = 1
_TOP_KEYS = ("format", "name", "seed", "model", "techniques", "data", "run")


@dataclasses.dataclass(frozen=True)
class Choice:
    """What fills one slot, with every option filled in."""

    use: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Config:
    """A complete configuration: every slot, every option."""

    name: str
    seed: int
    model: Model
    techniques: Mapping[str, Choice]
    data: Data
    run: Run
    format: int = FORMAT

    @property
    def head_width(self) -> int:
        """Width of one attention head."""
        return self.model.head_width or self.model.width // self.model.heads

    @property
    def vocab(self) -> int:
        """Size of the vocabulary; where it is not set, that of the tokenizer: 256 of bytes."""
        bpe = self.data.task == "text" and self.data.tokenizer == "bpe"
        return self.model.vocab or (self.data.bpe_vocab if bpe else 256)

    @property
    def task(self) -> TaskCard:
        """The task as data."""
        return card_of(self.data.task, self.data.frames, self.data.features, self.data.classes)

    def use(self, slot: str) -> str:
        """The name of the technique in a slot."""
        return self.techniques[slot].use

    def as_dict(self) -> dict[str, Any]:
        """The resolved configuration as plain data; `parse_config` of it gives an equal `Config`."""
        sections = {name: dataclasses.asdict(getattr(self, name)) for name in SECTIONS}
        techniques = {slot: {"use": c.use, **_plain(c.options)} for slot, c in self.techniques.items()}
        return {"format": self.format, "name": self.name, "seed": self.seed, "model": sections["model"],
                "techniques": techniques, "data": sections["data"], "run": sections["run"]}


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()}


def parse_config(data: Mapping[str, Any], catalogue: Catalogue | None = None) -> tuple[Config, tuple[Problem, ...]]:
    """The complete configuration that `data` asks for, with defaults where it is wrong, and every problem in it."""
    catalogue = catalogue or load_catalogue()
    problems: list[Problem] = []
    if not isinstance(data, Mapping):
        problems.append(_not_a_table("configuration", data))
        data = {}
    elif problem := unfit(data):
        problems.append(problem)
        data = {}
    for key in data:
        if key not in _TOP_KEYS:
            problems.append(_unknown_key(key, str(key), _TOP_KEYS))
    problems += _check_format(data.get("format", FORMAT))
    sections = {name: _section(kind, data.get(name, {}), name, problems) for name, kind in SECTIONS.items()}
    name_card, seed_card = TOP_CARDS
    name, wrong_name = check_value(name_card, data.get("name", name_card.default), "name")
    seed, wrong_seed = check_value(seed_card, data.get("seed", seed_card.default), "seed")
    problems += [p for p in (wrong_name, wrong_seed) if p]
    techniques = _techniques(data.get("techniques", {}), sections["data"].task, catalogue, problems)
    config = Config(name=name, seed=seed, techniques=techniques, **sections)
    if "context" not in _table(data.get("model", {}), "model", []):
        config = _withown_length(config)
    problems += _check_sizes(config)
    problems += _check_kinds(config, catalogue)
    problems += check_rules(config, catalogue)
    return config, tuple(problems)


TOP_CARDS = (
    OptionCard(name="name", kind="str", default="untitled", label="name", help="What this configuration is called."),
    OptionCard(name="seed", kind="int", default=0, low=0, high=2**63 - 1, label="seed",
               help="Weights come from (seed, parameter name), data from (seed, step)."),
)


def _check_format(value: Any) -> Iterator[Problem]:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        yield Problem(
            code="wrong-type", path="format", template="must be {known}, not {value}.",
            args={"known": FORMAT, "value": in_words(value)},
        )
    elif value > FORMAT:
        yield Problem(
            code="newer-format", path="format", template="is {value}, but this program knows formats up to {known}.",
            hint_template="Install a newer TFX Workbench.", args={"known": FORMAT, "value": value},
        )


def _unknown_key(key: Any, path: str, known: Any) -> Problem:
    near = nearest(str(key), known)
    return Problem(code="unknown-key", path=path, template="is not a key that is known here.",
                   hint_template="Did you mean {near!r}?" if near else
                   "Known keys: {known}." if known else "There are none here.",
                   args={"near": near, "known": ", ".join(known)})


def _table(value: Any, path: str, problems: list[Problem]) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    problems.append(_not_a_table(path, value, tr_mark("Write [{path}] on a line of its own, keys below it.")))
    return {}


def _not_a_table(path: str, value: Any, hint: str = "") -> Problem:
    return Problem(
        code="wrong-type", path=path, template="must be a table, not {value}.", hint_template=hint,
        args={"value": in_words(value), "path": path},
    )


def _section(kind: type, value: Any, path: str, problems: list[Problem]) -> Any:
    return kind(**_values(option_cards(kind), _table(value, path, problems), path, problems))


def _values(
    cards: tuple[OptionCard, ...], given: Mapping[str, Any], path: str, problems: list[Problem]
) -> dict[str, Any]:
    known = {card.name: card for card in cards}
    for key in given:
        if key not in known:
            problems.append(_unknown_key(key, f"{path}.{key}", tuple(known)))
    values = {}
    for name, card in known.items():
        value, problem = check_value(card, given[name], f"{path}.{name}") if name in given else (card.default, None)
        values[name] = value
        if problem:
            problems.append(problem)
    return values


def _techniques(value: Any, task: str, catalogue: Catalogue, problems: list[Problem]) -> dict[str, Choice]:
    given = _table(value, "techniques", problems)
    slots = tuple(s.name for s in catalogue.slots)
    for key in given:
        if key not in slots:
            problems.append(_unknown_slot(key, catalogue))
    return {s.name: _choice(s, task, given.get(s.name, {}), catalogue, problems) for s in catalogue.slots}


def _unknown_slot(key: Any, catalogue: Catalogue) -> Problem:
    """Somebody may have written a technique where its slot belongs: say so."""
    owner = next((t.slot for t in catalogue.techniques if t.name == key), None)
    if owner:
        return Problem(code="unknown-key", path=f"techniques.{key}", template="is a technique, not a slot.",
                       hint_template='Write {owner} = {{ use = "{key}" }}.', args={"owner": owner, "key": key})
    return _unknown_key(key, f"techniques.{key}", tuple(s.name for s in catalogue.slots))


def _choice(card: SlotCard, task: str, value: Any, catalogue: Catalogue, problems: list[Problem]) -> Choice:
    slot, default = card.name, card.default_for(task)
    path = f"techniques.{slot}"
    if isinstance(value, str):
        value = {"use": value}  # `position = "learned"` says it all
    given = _table(value, path, problems)
    name = given.get("use", default)
    technique = catalogue.find(slot, name) if isinstance(name, str) else None
    if technique is None:
        problems.append(_unknown_technique(slot, name, catalogue))
        technique = catalogue.find(slot, default)
        given = {}
    assert technique is not None
    options = {key: option for key, option in given.items() if key != "use"}
    return Choice(technique.name, _values(technique.options, options, path, problems))


def _unknown_technique(slot: str, name: Any, catalogue: Catalogue) -> Problem:
    names = tuple(t.name for t in catalogue.in_slot(slot))
    owner = next((t.slot for t in catalogue.techniques if t.name == name), None)
    near = nearest(str(name), names)
    hint = tr_mark("Did you mean {near!r}? Choices: {names}.") if near else tr_mark("Choices: {names}.")
    if owner and not near:
        hint = tr_mark("{name!r} belongs to the slot {owner!r}. Choices: {names}.")
    return Problem(
        code="unknown-technique", path=f"techniques.{slot}.use", template="does not know the technique {name!r}.",
        hint_template=hint, args={"name": name, "near": near, "names": ", ".join(names), "owner": owner},
    )


def own_length(config: Config) -> int | None:
    """Tokens of a sample where its task decides that: its frames, and the class token where there is one."""
    embedding = config.techniques.get("embedding")
    class_token = embedding is not None and bool(embedding.options.get("class_token"))
    return config.task.frames + class_token if config.task.frames else None


def _withown_length(config: Config) -> Config:
    tokens = own_length(config)
    if tokens is None:
        return config
    return dataclasses.replace(config, model=dataclasses.replace(config.model, context=tokens))


def _check_kinds(config: Config, catalogue: Catalogue) -> Iterator[Problem]:
    """Techniques that are made for another kind of task."""
    for slot in catalogue.slots:
        card = catalogue.find(slot.name, config.techniques[slot.name].use)
        if card is not None and card.kinds and config.task.kind not in card.kinds:
            yield Problem(
                code="does-not-fit", path=f"techniques.{slot.name}.use",
                template="{name!r} does not fit the task {task!r}: {reason}",
                hint_template="Choose {near!r}, or leave the slot out.",
                args={"name": card.name, "task": config.data.task, "reason": NOT_FOR[config.task.kind],
                      "near": slot.default_for(config.data.task)},
            )


def _check_sizes(config: Config) -> Iterator[Problem]:
    m, tokens = config.model, own_length(config)
    if tokens is not None and m.context != tokens:
        yield Problem(
            code="context-is-given", path="model.context",
            template="is {context} tokens, but a sample of the task {task!r} has {tokens}.",
            hint_template="Leave it out, or set it to {tokens}.",
            args={"context": m.context, "task": config.data.task, "tokens": tokens},
        )
    if m.head_width is None and m.width % m.heads:
        fit = max(h for h in range(1, min(m.heads, m.width) + 1) if m.width % h == 0)
        yield Problem(
            code="heads-do-not-divide", path="model.heads",
            template="is {heads}, which does not divide the width {width}.",
            hint_template="Choose {fit} heads, or give a head_width.",
            args={"heads": m.heads, "width": m.width, "fit": fit},
        )
