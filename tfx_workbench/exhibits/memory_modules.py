"""Whose memory it is at the peak: by component with its technique, layer by layer, and the tensors of one layer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfx_engine.protocol.components import COMPONENTS
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.metrics import CATEGORIES, CATEGORY_DEFINITIONS
from tfx_workbench.exhibits.by_step import NO_RUN, about
from tfx_workbench.exhibits.exhibit import Axis, Bars, Column, Definition, Exhibit, LegendEntry, Plot, Table
from tfx_workbench.exhibits.format import UNKNOWN, byte_scale, percent, size
from tfx_workbench.exhibits.kind import Choice, Choices, ExhibitType
from tfx_workbench.exhibits.memory import why_no_split
from tfx_workbench.exhibits.runview import RunView, focused
from tfx_workbench.exhibits.text import Text, Words, say
from tfx_workbench.exhibits.within_step import CATEGORY_NAMES
from tfx_workbench.runs.summary import highest_probe

if TYPE_CHECKING:
    from tfx_engine.runfile.rows import MemoryBlock, ModuleMemory

_TITLE = tr_mark("Memory by module")
_VIEW = Choice("view", tr_mark("what is shown"), (
    ("component", tr_mark("by component")), ("layer", tr_mark("by layer")), ("tensor", tr_mark("largest tensors")),
))
_ALL = say(tr_mark("back to all layers"))
_DEFINITIONS = (
    Definition(say(tr_mark("whose memory")), say(tr_mark(
        "A tensor belongs to the module at work when it was made: in its forward pass, in the gradient of what it did "
        "there, or when that runs again. Weights, gradients and optimizer state belong to who holds the weight. All "
        "rows add up to the peak, to the byte."))),
    *(Definition(say(CATEGORY_NAMES[c]), say(CATEGORY_DEFINITIONS[c])) for c in CATEGORIES),
)
_ROWS, _ROOM = 12, 1.3
_BLOCK = re.compile(r"blocks\.(\d+)(?:\.|$)")


def memory_modules(runs: Sequence[RunView], choices: Choices) -> Exhibit:
    """The chosen view of the highest split of the focused run."""
    run = focused(runs)
    if run is None:
        return Exhibit("memory_modules", say(_TITLE), empty=NO_RUN, definitions=_DEFINITIONS)
    probe = highest_probe(run.data.memory_probes)
    modules = run.data.memory_modules(probe.step) if probe is not None else []
    if not modules:
        empty = why_no_split(run) if probe is None else say(tr_mark("This run's file does not say whose memory it is."))
        return Exhibit("memory_modules", say(_TITLE), empty=empty, definitions=_DEFINITIONS)
    view, layer = choices.get("view"), choices.get("layer", "")
    if view == "component":
        return _by_component(run, runs, modules)
    if view == "layer" and layer not in {_layer(m.module, m.slot) for m in modules}:
        table = _by_layer(modules)
    else:
        table = _tensors(run.data.memory_blocks(), layer if view == "layer" else "", modules)
    return Exhibit("memory_modules", say(_TITLE), sentence=_sentence(run, runs, modules), tables=(table,),
                   notes=_notes(table.key == "layers"),
                   definitions=_DEFINITIONS)


# ---------------------------------------------------------------------------------------------- by component


def _by_component(run: RunView, runs: Sequence[RunView], modules: Sequence[ModuleMemory]) -> Exhibit:
    sums = _summed(modules, lambda m: m.slot)
    ordered = sorted(sums, key=lambda slot: -sum(sums[slot].values()))
    shown, rest = ordered[:_ROWS], ordered[_ROWS:]
    rows: list[tuple[Words, dict[str, int]]] = [(_named(run, slot), sums[slot]) for slot in shown]
    if rest:
        together = {c: sum(sums[slot][c] for slot in rest) for c in CATEGORIES}
        rows.append((say(tr_mark("{count} more"), count=len(rest)), together))
    used = [c for c in CATEGORIES if any(sizes[c] for _, sizes in rows)]
    return Exhibit(
        "memory_modules", say(_TITLE), sentence=_sentence(run, runs, modules), plots=(_bars(rows[::-1], used),),
        legend=tuple(LegendEntry(say(CATEGORY_NAMES[c]), f"category:{c}", "area") for c in used),
        definitions=_DEFINITIONS,
    )


def _bars(rows: list[tuple[Words, dict[str, int]]], used: list[str]) -> Plot:
    """One bar for each row, the first lowest, divided by category."""
    values = np.array([[sizes[c] for c in used] for _, sizes in rows], dtype=np.float64)
    scale = byte_scale(float(values.sum(axis=1).max()))
    ends = values.cumsum(axis=1) / scale.size
    labels, totals = tuple(name for name, _ in rows), ends[:, -1]
    layers = [
        Bars(f"category {c}", labels, ends[:, i] - values[:, i] / scale.size, ends[:, i],
             (f"category:{c}",) * len(rows), label=say(CATEGORY_NAMES[c]))
        for i, c in enumerate(used)
    ]
    texts = tuple(size(total * scale.size) for total in totals)
    layers.append(Bars("totals", labels, totals, totals, ("text",) * len(rows), texts))
    x = Axis(say(tr_mark("at the peak")), scale.unit, low=0.0, high=float(max(totals.max(), 1e-9)) * _ROOM)
    y = Axis(low=-0.5, high=len(rows) - 0.5, ticks=tuple((float(i), name) for i, name in enumerate(labels)))
    return Plot("component", x, y, tuple(layers))


def _named(run: RunView, slot: str) -> Text:
    """A component with the technique that does it, where that says more."""
    use = run.data.info.config["techniques"].get(slot, {}).get("use", "")
    name = say(COMPONENTS.get(slot, slot))
    return say("{name} ({use})", name=name, use=use) if use and use != slot else name


# ---------------------------------------------------------------------------------------------- layers and tensors


def _layer(module: str, slot: str) -> str:
    """The key of the layer that a module is in; of what is in none, its slot."""
    block = _BLOCK.match(module)
    return f"blocks.{block[1]}" if block else module.partition(".")[0] or f"slot:{slot}"


def _layer_name(layer: str) -> Words:
    block = _BLOCK.match(layer)
    if block:
        return say(tr_mark("block {number}"), number=int(block[1]) + 1)
    if layer.startswith("slot:"):
        slot = layer.removeprefix("slot:")
        return say(COMPONENTS.get(slot, slot))
    return layer.replace("_", " ")


def _by_layer(modules: Sequence[ModuleMemory]) -> Table:
    sums = _summed(modules, lambda m: _layer(m.module, m.slot))
    used = [c for c in CATEGORIES if any(sizes[c] for sizes in sums.values())]
    columns = (Column(say(tr_mark("layer")), number=False), Column(say(tr_mark("at the peak"))),
               *(Column(say(CATEGORY_NAMES[c])) for c in used))
    keys = sorted(sums, key=_in_order)
    rows = tuple(
        (_layer_name(key), size(sum(sums[key].values())), *(size(sums[key][c]) if sums[key][c] else UNKNOWN
                                                           for c in used))
        for key in keys
    )
    return Table("layers", columns, rows, chooses="layer", keys=tuple(keys))


def _in_order(layer: str) -> tuple[int, int, str]:
    """Embedding and positions, the blocks by number, what follows them, what is in no module."""
    block = _BLOCK.match(layer)
    if block:
        return 1, int(block[1]), ""
    first = ("embedding", "position", "embedding_norm", "dropout")
    return (0, first.index(layer), "") if layer in first else (3 if layer.startswith("slot:") else 2, 0, layer)


def _tensors(blocks: Sequence[MemoryBlock], layer: str, modules: Sequence[ModuleMemory]) -> Table:
    """The largest tensors, of one layer or of all; of a layer the first row leads back."""
    columns = (
        Column(say(tr_mark("module")), number=False), Column(say(tr_mark("size"))),
        Column(say(tr_mark("category")), number=False), Column(say(tr_mark("shape")), number=False),
        Column(say(tr_mark("what it is")), number=False),
    )
    mine = [b for b in blocks if not layer or _layer(b.module, b.slot) == layer]
    rows: list[tuple[Words, ...]] = [
        (_short(b.module, b.slot, layer), size(b.bytes), say(CATEGORY_NAMES[b.category]), _shape(b), _what(b))
        for b in mine
    ]
    if not layer:
        return Table("tensors", columns, tuple(rows))
    if not rows:  # as of a live run: its modules are known, its tensors not yet
        rows = [(_short(m.module, m.slot, layer), size(m.bytes), "", "", "") for m in modules
                if _layer(m.module, m.slot) == layer]
    whole = sum(m.bytes for m in modules if _layer(m.module, m.slot) == layer)
    head: tuple[Words, ...] = (say(tr_mark("← {layer}: {back}"), layer=_layer_name(layer), back=_ALL), size(whole), "",
                               "", "")
    return Table("tensors", columns, (head, *rows), chooses="layer", keys=("",) + (layer,) * len(rows))


def _short(module: str, slot: str, layer: str) -> Words:
    """The module's name within its layer, or with the number of its block."""
    if layer and module.startswith(f"{layer}."):
        return module.removeprefix(f"{layer}.")
    name = _BLOCK.sub(lambda m: f"{int(m[1]) + 1} ", module).strip()
    return name or say(COMPONENTS.get(slot, slot))


def _shape(block: MemoryBlock) -> str:
    if block.shape is None:
        return UNKNOWN
    return f"{' × '.join(f'{n:,}' for n in block.shape)} {block.dtype}".strip()


def _what(block: MemoryBlock) -> Words:
    if block.name:
        return block.name
    made = block.operator.removeprefix("aten::").lstrip("_")
    return say(tr_mark("made by {operator}"), operator=made) if made else ""


# ---------------------------------------------------------------------------------------------- words


def _summed(modules: Iterable[ModuleMemory], key: Callable[[ModuleMemory], str]) -> dict[str, dict[str, int]]:
    sums: dict[str, dict[str, int]] = {}
    for module in modules:
        sizes = sums.setdefault(key(module), dict.fromkeys(CATEGORIES, 0))
        for category, amount in module.at_peak.items():
            sizes[category] += amount
    return sums


def _sentence(run: RunView, runs: Sequence[RunView], modules: Sequence[ModuleMemory]) -> Text:
    sums = _summed(modules, lambda m: m.slot)
    whole = sum(m.bytes for m in modules)
    largest = max(sums, key=lambda slot: sum(sums[slot].values()))
    share = percent(100 * sum(sums[largest].values()) / max(1, whole), 2)
    return about(run, runs, say(tr_mark("peak {peak}"), peak=size(whole)),
                 say(tr_mark("{name} {share}"), name=say(COMPONENTS.get(largest, largest)), share=share))


def _notes(can_open: bool) -> tuple[Words, ...]:
    return (say(tr_mark("click a layer to see its largest tensors")),) if can_open else ()


EXHIBIT = ExhibitType(
    name="memory_modules", title=_TITLE, function=memory_modules, order=71, needs=frozenset({"info", "memory"}),
    choices=(_VIEW,), paper="one",
)
