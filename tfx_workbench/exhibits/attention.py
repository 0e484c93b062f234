"""Attention maps: every layer and head of one sample at one captured step, and one of them large with its tokens."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.exhibits.by_step import NO_RUN, about, why_missing
from tfx_workbench.exhibits.exhibit import Definition, Exhibit, Images
from tfx_workbench.exhibits.format import number
from tfx_workbench.exhibits.kind import Choices, ExhibitType
from tfx_workbench.exhibits.runview import RunView, focused
from tfx_workbench.exhibits.text import Text, Words, say

if TYPE_CHECKING:
    from tfx_engine.runfile.rows import AttentionCapture

_TITLE = tr_mark("Attention")
_DEFINITIONS = (
    Definition(say(tr_mark("attention map")), say(tr_mark(
        "Softmax weights of one sample: each row is a query token, each column a key token; a row sums to 1, beside an "
        "attention sink to less."))),
    Definition(say(tr_mark("entropy")), say(tr_mark(
        "Mean over the queries of −Σ w log2 w, in bits: 0 looks at one token, log2 T at all alike."))),
    Definition(say(tr_mark("first-token mass")), say(tr_mark("Mean weight that the queries give to the first token."))),
    Definition(say(tr_mark("mean distance")), say(tr_mark(
        "Mean over the queries of Σ w |query − key|, in tokens."))),
)


def attention(runs: Sequence[RunView], choices: Choices) -> Exhibit:
    """The maps of the focused run at the chosen "capture", by its number, else the newest; "layer" and "head"."""
    run = focused(runs)
    if run is None:
        return Exhibit("attention", say(_TITLE), empty=NO_RUN, definitions=_DEFINITIONS)
    captures = whole_captures(run)
    if not captures:
        return Exhibit("attention", say(_TITLE), empty=_why_none(run), definitions=_DEFINITIONS)
    index = chosen_capture(choices, captures)
    at = captures[index]
    until = captures[index + 1].step if index + 1 < len(captures) else math.inf
    maps = tuple(run.data.attention(at.capture, layer) for layer in at.layers)
    row = chosen(choices, "layer", len(maps), 0)
    head = chosen(choices, "head", len(maps[row]), 0)
    fine = _probe_of(run, at.layers[row], head, at.step, until)
    large = maps[row][head] if fine is None else run.data.attention(fine.capture, at.layers[row])[0]
    weights, pool = np.asarray(large, dtype=np.float32), (fine or at).pool
    images = Images(
        key=f"{run.data.path} {at.capture}", maps=maps, layer_names=tuple(_layer_name(layer) for layer in at.layers),
        layer=row, head=head, large=weights, tokens=_tokens(run, fine or at), pool=at.pool, large_pool=pool,
    )
    sentence = say(
        tr_mark("{layer} · head {head} · step {step}"),
        layer=images.layer_names[row], head=head + 1, step=f"{(fine or at).step:,}",
    )
    return Exhibit(
        "attention", say(_TITLE), sentence=about(run, runs, sentence), images=images, notes=(in_words(weights, pool),),
        definitions=_DEFINITIONS,
    )


def whole_captures(run: RunView) -> list[AttentionCapture]:
    """The captures of all heads, in the order of their steps."""
    return [c for c in run.data.attention_captures if c.head is None and c.layers]


def chosen_capture(choices: Choices, captures: Sequence[AttentionCapture]) -> int:
    """The index of the capture whose number is chosen, or of the one before where it is not held; else the last."""
    text = choices.get("capture", "")
    if not text.isdecimal():
        return len(captures) - 1
    return max(0, bisect.bisect_right([one.capture for one in captures], int(text)) - 1)


def chosen(choices: Choices, name: str, count: int, default: int) -> int:
    """A choice that is an index below `count`; the default where it is none."""
    text = choices.get(name, "")
    return min(int(text), count - 1) if text.isdecimal() and count else default


def _layer_name(layer: int) -> Text:
    return say(tr_mark("layer {number}"), number=layer + 1)


def _why_none(run: RunView) -> Words:
    if not run.data.info.config["run"].get("probes", True):
        return say(tr_mark("This run measured nothing but the clock: tick “measure everything” to see its attention."))
    if run.data.is_live:
        return say(tr_mark("Waiting for the first captured step."))
    return why_missing([run], "attention", say(tr_mark("No attention map was captured in this run.")))


def _probe_of(run: RunView, layer: int, head: int, first: int, until: float) -> AttentionCapture | None:
    """The newest capture of that head alone, in full resolution, from the step `first` on and before `until`."""
    for capture in reversed(run.data.attention_captures):
        if capture.head == head and layer in capture.layers and first <= capture.step < until:
            return capture
    return None


def _tokens(run: RunView, at: AttentionCapture) -> tuple[str, ...]:
    """The texts of the sample's tokens; their numbers where the run does not say how they are written."""
    texts = run.data.facts.get("token_text") or ()
    ids = run.data.attention_tokens(at.capture)
    numbers = [] if ids is None else np.asarray(ids, dtype=np.int64).tolist()
    return tuple(str(texts[i]) if 0 <= i < len(texts) else str(i) for i in numbers)


def in_words(weights_QK: np.ndarray, pool: int) -> Text:
    """Entropy, first-token mass and mean distance of one map; of squares of `pool` weights, what they allow to say."""
    mass_QK = np.nan_to_num(np.asarray(weights_QK, dtype=np.float64)) * pool
    total_Q = mass_QK.sum(axis=1)
    mass_QK = mass_QK[total_Q > 0] / total_Q[total_Q > 0, None]
    if not mass_QK.size:
        return say(tr_mark("no weight was read"))
    with np.errstate(divide="ignore", invalid="ignore"):
        bits_QK = np.where(mass_QK > 0, -mass_QK * np.log2(mass_QK), 0.0)
    queries = np.flatnonzero(total_Q > 0)[:, None]
    distance = float((mass_QK * np.abs(queries - np.arange(mass_QK.shape[1]))).sum(axis=1).mean()) * pool
    args = {
        "entropy": number(float(bits_QK.sum(axis=1).mean()), 3), "first": number(float(mass_QK[:, 0].mean()), 2),
        "distance": number(distance, 2), "pool": pool,
    }
    if pool == 1:
        return say(tr_mark("entropy {entropy} bit · first-token mass {first} · mean distance {distance}"), **args)
    return say(tr_mark(
        "entropy ≥ {entropy} bit · mass of the first {pool} tokens {first} · mean distance ≈ {distance} · "
        "a pixel is the mean of {pool} × {pool} weights"), **args)


EXHIBIT = ExhibitType(
    name="attention", title=_TITLE, function=attention, order=50, shortcut="Ctrl+5",
    needs=frozenset({"info", "attention"}), paper="one",
)
