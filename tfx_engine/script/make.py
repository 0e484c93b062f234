"""A run as a script: its configuration, its techniques' code, and what was recorded of it."""

from __future__ import annotations

import base64
import dataclasses
import pkgutil
import re
import textwrap
from collections.abc import Sequence
from typing import Any, get_type_hints

from tfx_engine import techniques
from tfx_engine.protocol.cards import resource
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.runfile.store import absolute
from tfx_engine.script import filled, given, program, stand_ins
from tfx_engine.script.fold import Known
from tfx_engine.script.prune import Rules, literal
from tfx_engine.script.shake import Given, Plan, Shake, Slot
from tfx_engine.script.source import OURS, NoScript, Ref
from tfx_engine.script.write import Writer
from tfx_engine.techniques.catalogue import discover, technique_for
from tfx_engine.techniques.counts import block_parts, head_shape

_T = f"{OURS}.techniques"
_GIVEN, _FILLED = given.__name__, filled.__name__
_STAND_INS, _PROGRAM = stand_ins.__name__, program.__name__
_TASKS = {
    "text": "text.TextTask", "copy": "copying.CopyTask", "reverse": "reverse.ReverseTask",
    "induction": "induction.InductionTask", "recall": "recall.RecallTask", "multi_lag": "multi_lag.MultiLagTask",
    "digits": "digits.DigitsTask", "audio": "audio.AudioTask", "noise": "noise.NoiseTask",
}
_OWN = tr_mark("{name!r} in {slot} is code of your own, which a script would need and cannot hold.")
# The order of the sections, as far as Python lets it be; between these the slots in their order.
_FIRST = (f"{OURS}.protocol", _GIVEN, f"{_T}.initial", f"{OURS}.data")
_LAST = (f"{OURS}.model.transformer", f"{OURS}.model", _FILLED, _STAND_INS, f"{OURS}.train", _PROGRAM)
_NOTHING = dict.fromkeys(("softcap", "qk_norm", "sink", "gate", "clip"), "None") | {"accumulation": "1"}
# Techniques that make other options of theirs while they run, where that option is set.
_REPLACES = {("position", "rotary"): "window_base"}
_SHOWN_LOSSES = 10
_LEGEND = """\
Shapes are in names: B batch, T tokens (or frames), D width, H query heads, G key heads, K head width, V vocabulary
(or value width of a head), F numbers of a frame, C classes. `q_BHTK` is a tensor [batch, heads, tokens, head width]."""


@dataclasses.dataclass(frozen=True)
class Recorded:
    """What a run recorded, as far as a script repeats it."""

    name: str
    steps: int
    parameters: int
    trainable: int
    losses: Sequence[float]  # of the first steps
    data_sha256: str
    made_with: dict[str, Any]  # as `given.RECORDED_WITH`
    weights_sha256: str = ""
    version: str = ""


def refusal(config: Config) -> str | None:
    """Why there is no script of a configuration, in a sentence; None where there is one."""
    for slot, choice in config.techniques.items():
        if (slot, choice.use) not in discover() or choice.use == "own_module":
            return _OWN.format(name=choice.use, slot=slot)
    return None


def make_script(config: Config, recorded: Recorded) -> str:
    """The script. Raises NoScript."""
    if reason := refusal(config):
        raise NoScript(reason)
    _, body = _written(config, recorded, frozenset(config.techniques))
    imports, body = _written(config, recorded, _looked_up(body))  # what nobody looks up need not be there
    head = [f'"""{_docstring(config, recorded)}"""', "from __future__ import annotations", imports]
    return "\n\n".join(head) + "\n\n\n" + _only_asked_for(body) + '\n\n\nif __name__ == "__main__":\n    main()\n'


def _written(config: Config, recorded: Recorded, looked_up: frozenset[str]) -> tuple[str, str]:
    """(imports, all else). `looked_up`: slots whose technique the code asks for by the slot's name."""
    shake = Shake(_plan(config, recorded, looked_up))
    shake.begin_at(Ref(_PROGRAM, "main"))
    shared = [f"{_T}.{module.name}" for module in pkgutil.iter_modules(techniques.__path__) if not module.ispkg]
    slots = [f"{_T}.{slot}." for slot in config.techniques]
    writer = Writer(shake, _titles(config), [*_FIRST, *shared, *slots, *_LAST])
    body = "\n\n\n".join(f"{_heading(s.title)}{s.body}" for s in writer.sections() if s.body)
    return writer.imports(), body


def _looked_up(body: str) -> frozenset[str]:
    return frozenset(re.findall(r"""(?:technique_for\(|in_slot\(config, )"(\w+)"\W""", body))


def _only_asked_for(body: str) -> str:
    """Of what fills the slots only those lines of the configuration that the code asks for."""
    asked = set(re.findall(r"""(?:\.techniques\[|\.use\()"(\w+)"\W""", body))
    if re.search(r"(?<!self)\.techniques\[[^\"]|techniques\.(items|values|get|keys)", body):
        return body
    lines = []
    for line in body.split("\n"):
        found = re.fullmatch(r"""        "(\w+)": Choice\(.*\),""", line)
        if found is None or found[1] in asked:
            lines.append(line)
    return "\n".join(lines)


def _plan(config: Config, recorded: Recorded, looked_up: frozenset[str]) -> Plan:
    corpus = "open_path" if config.data.path is not None else f"open_{config.data.corpus}"
    instead = {
        Ref(f"{_T}.catalogue", "technique_for"): Ref(_STAND_INS, "technique_for"),
        Ref(f"{OURS}.model.assemble", "_build"): Ref(_STAND_INS, "built"),
        Ref(f"{_T}.counts", "in_slot"): Ref(_STAND_INS, "in_slot"),
        Ref(f"{_T}.counts", "block_parts"): Ref(_STAND_INS, "block_parts"),
        Ref(f"{_T}.devices", "device_kind"): Ref(_STAND_INS, "device_kind"),
        Ref(f"{OURS}.data.corpus", "open_corpus"): Ref(_STAND_INS, corpus),
        Ref(f"{OURS}.data.digits", "_digits"): Ref(_STAND_INS, "digits"),
        Ref(f"{OURS}.model.weights", "load"): Ref(_STAND_INS, "load_weights"),
        Ref(f"{OURS}.protocol.config", "Config"): Ref(_GIVEN, "Config"),
    }
    if config.use("kernel") == "auto" and _shares_no_keys(config):
        instead[Ref(f"{_T}.dispatch", "TorchKernel")] = Ref(_STAND_INS, "TorchKernel")
    if config.use("recompute") == "every_block":
        instead[Ref(f"{_T}.recompute", "Checkpointed")] = Ref(_STAND_INS, "Checkpointed")
    dropped = [] if config.run.start_from else [Ref(f"{OURS}.model.weights", "load")]
    is_plain = config.use("recompute") == "none" and config.use("compile") == "none"
    direct = [Ref(f"{_T}.aside", name) for name in ("aside", "once")] if is_plain else []
    values, known = _option_values(config)
    nothing = {slot: text for slot, text in _NOTHING.items() if config.use(slot) == "none"}
    rules = Rules(frozenset(dropped), frozenset(direct), Known(config, known), nothing)
    slots = _slots(config, values)
    givens = _givens(config, recorded, {name: slots[name] for name in slots if name in looked_up})
    return Plan(instead, givens, rules, values, slots)


def _shares_no_keys(config: Config) -> bool:
    shape = head_shape(config)
    return config.use("mixer") != "attention" or shape.heads == shape.key_heads


def _option_values(config: Config) -> tuple[dict[tuple[str, str, str], Any], dict[Ref, dict[str, Any]]]:
    """What the configuration says, by the class that declares it; and what a test of these options may rely on."""
    values: dict[tuple[str, str, str], Any] = {}
    for section in (config.model, config.data, config.run):
        said = dataclasses.asdict(section)
        paths = {key: str(absolute(said[key])) for key in ("path", "start_from") if said.get(key) is not None}
        _note(values, type(section), {**said, **paths})  # wherever the script lies
    known: dict[Ref, dict[str, Any]] = {}
    for slot, choice in config.techniques.items():
        technique, _ = technique_for(slot, choice)
        _note(values, technique.options, dict(choice.options))
        is_whole = choice.options.get(_REPLACES.get((slot, choice.use), "")) is None
        for kind in technique.options.__mro__[:-1]:
            ref = Ref(kind.__module__, kind.__name__)
            known[ref] = dict(choice.options) if is_whole and ref not in known else {}  # of two nothing is sure
    return values, known


def _note(values: dict[tuple[str, str, str], Any], options: type, given: dict[str, Any]) -> None:
    for kind in options.__mro__:
        for name in vars(kind).get("__annotations__", {}):
            if name in given:
                values.setdefault((kind.__module__, kind.__name__, name), given[name])


def _givens(config: Config, recorded: Recorded, slots: dict[str, Slot]) -> dict[Ref, Given]:
    module, task = _TASKS[config.data.task].split(".")
    constants = {
        "STEPS": recorded.steps, "PARAMETERS": recorded.parameters, "TRAINABLE": recorded.trainable,
        "LOSSES": [*recorded.losses][:_SHOWN_LOSSES], "DATA_SHA256": recorded.data_sha256,
        "WEIGHTS_SHA256": recorded.weights_sha256, "RECORDED_WITH": recorded.made_with,
        "TOLERANCE": 1e-4 if config.use("precision") in ("float32",) else 0.02,
    }
    texts = {Ref(_GIVEN, "CONFIG"): _config(config)}
    texts |= {Ref(_GIVEN, name): Given(f"{name} = {_constant(value)}") for name, value in constants.items()}
    texts[Ref(_FILLED, "TECHNIQUES")] = _techniques(slots)
    texts[Ref(_FILLED, "BLOCK_PARTS")] = _block_parts(config)
    if config.data.task == "digits":
        packed = base64.b85encode(resource("data", "digits.npz").read_bytes()).decode()
        lines = "\n".join(f'    "{line}"' for line in textwrap.wrap(packed, 100))
        texts[Ref(_FILLED, "DIGITS")] = Given(f"DIGITS = (\n{lines}\n)")
    texts[Ref(f"{OURS}.data.tasks", "make_task")] = Given(
        "def make_task(config: «1») -> «0»:\n    return «0»(config)\n",
        (Ref(f"{OURS}.data.{module}", task), Ref(_GIVEN, "Config")),
    )
    return texts


def _constant(value: Any) -> str:
    return f"[{', '.join(literal(v) for v in value)}]" if isinstance(value, list) else repr(value)


def _config(config: Config) -> Given:
    """Only what is not a default of a class: these have the configuration's values already."""
    choices = "\n".join(f'        "{slot}": «5»({choice.use!r}, {_options(choice.options)}),'
                        for slot, choice in config.techniques.items())
    card = config.task
    task = ", ".join(f"{name}={getattr(card, name)!r}" for name in get_type_hints(given.TaskFacts))
    text = (
        f"CONFIG = «0»(\n    seed={config.seed}, model=«1»(), data=«2»(), run=«3»(),\n"
        f"    task=«4»({task}),\n    vocab={config.vocab}, head_width={config.head_width},\n"
        f"    techniques={{\n{choices}\n    }},\n)"
    )
    sections = [Ref(f"{OURS}.protocol.sections", name) for name in ("Model", "Data", "Run")]
    return Given(text, (Ref(_GIVEN, "Config"), *sections, Ref(_GIVEN, "TaskFacts"),
                        Ref(f"{OURS}.protocol.config", "Choice")))


def _options(options: Any) -> str:
    return "{" + ", ".join(f'"{name}": {literal(value)}' for name, value in options.items()) + "}"


def _slots(config: Config, values: dict[tuple[str, str, str], Any]) -> dict[str, Slot]:
    found = {}
    for slot, choice in config.techniques.items():
        technique, _ = technique_for(slot, choice)
        build, options = technique.build, technique.options
        other = ", ".join(f"{name}={literal(value)}" for name, value in choice.options.items()
                          if _default(values, options, name) != value)
        found[slot] = Slot(Ref(build.__module__, build.__name__), Ref(options.__module__, options.__name__), other)
    return found


def _techniques(slots: dict[str, Slot]) -> Given:
    refs: list[Ref] = [Ref(_FILLED, "Used")]
    lines = []
    for name, slot in slots.items():
        lines.append(f'    "{name}": «0»(«{len(refs)}», «{len(refs) + 1}»({slot.other})),')
        refs += [slot.build, slot.options]
    return Given("TECHNIQUES = {\n" + "\n".join(lines) + "\n}", tuple(refs))


def _default(values: dict[tuple[str, str, str], Any], options: type, name: str) -> Any:
    return next(values[key] for kind in options.__mro__ if (key := (kind.__module__, kind.__name__, name)) in values)


def _block_parts(config: Config) -> Given:
    refs = (Ref(f"{_T}.costs", "Work"), Ref(f"{_T}.costs", "Linear"))
    lines = []
    for work in block_parts(config):
        if work.linears:
            linears = "\n".join(f"        «1»({_changed(linear)})," for linear in work.linears)
            lines.append(f"    «0»(slot={work.slot!r}, linears=(\n{linears}\n    )),")
    return Given("BLOCK_PARTS = [\n" + "\n".join(lines) + "\n]", refs)


def _changed(made: Any) -> str:
    """The fields of a dataclass that are not their defaults."""
    fields = [f for f in dataclasses.fields(made) if getattr(made, f.name) != f.default]
    return ", ".join(f"{f.name}={getattr(made, f.name)!r}" for f in fields)


def _docstring(config: Config, recorded: Recorded) -> str:
    made = recorded.made_with
    uses = ", ".join(f"{slot} {choice.use}" for slot, choice in config.techniques.items() if choice.use != "none")
    cpu = _within(made.get("cpu") or "the same instructions")
    about = (
        f"It needs PyTorch and numpy, nothing else: `python FILE`. It asserts the number of parameters "
        f"({recorded.parameters:,}, of which {recorded.trainable:,} are trained) and the loss of the first steps: "
        f"to the bit with torch {_within(made.get('torch'))} on a CPU with {cpu}, threads: "
        f"{_within(made.get('threads'))}; elsewhere the loss of the first step within a stated share of it."
    )
    name = _within(recorded.name) or "untitled"
    return "\n\n".join([
        f"The run {name!r} of TFX Workbench {_within(recorded.version)}, as one program.",
        textwrap.fill(about, 110), textwrap.fill(f"Techniques: {uses}.", 110), _LEGEND + "\n",
    ])


def _within(said: Any) -> str:
    """What a file says, as it may stand in a docstring: nothing that ends it, whoever wrote the file."""
    return "".join(c for c in str(said) if c.isprintable() and c not in '"\\')


def _titles(config: Config) -> dict[str, str]:
    titles = {
        _GIVEN: "the configuration, and what the run recorded", _PROGRAM: "the training",
        f"{OURS}.model.transformer": "the model", f"{OURS}.model.assemble": "how the model is put together",
        f"{OURS}.train.step": "what a step needs", f"{_T}.initial": "initial weights, from (seed, name)",
        f"{OURS}.data.task": "the data, from (seed, step)", f"{OURS}.data.tasks": "the task",
        f"{OURS}.protocol.config": "what fills a slot", f"{OURS}.protocol.sections": "sizes, data, and how it is run",
        _FILLED: "techniques that are looked up", _STAND_INS: "smaller parts",
    }
    for slot, choice in config.techniques.items():
        technique, _ = technique_for(slot, choice)
        titles[technique.module] = f"{slot}: {technique.title} ({technique.paper})"
    return titles


def _heading(title: str) -> str:
    return f"# {'-' * max(4, 106 - len(title))} {title}\n\n" if title else ""
