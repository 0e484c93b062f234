"""The colours of the window, the plots and the report, by name; one palette for dark and one for light."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Palette:
    """Colours as "#rrggbb". `runs` are told apart by people who do not see red and green alike, too."""

    name: str
    dark: bool
    background: str
    card: str
    raised: str
    line: str
    text: str
    muted: str
    accent: str
    on_accent: str  # text upon the accent
    better: str
    worse: str
    warning: str
    runs: tuple[str, ...]
    categories: Mapping[str, str]
    parts: Mapping[str, str]  # of a training step
    components: Mapping[str, str]  # of a model, by slot

    def colour(self, name: str) -> str:
        """The colour behind a name: "run:2", "category:activations", "part:loss", or a field such as "muted"."""
        kind, _, key = name.partition(":")
        if kind == "run":
            return self.runs[int(key) % len(self.runs)]
        if kind == "part":
            return self.parts.get(key, self.muted)
        if kind == "component":
            return self.components.get(key, self.muted)
        if kind == "category":
            return self.categories.get(key, self.muted)
        value = getattr(self, kind)
        if not isinstance(value, str):
            raise KeyError(name)
        return value


_CATEGORIES = {
    "parameters": "#5B8DEF", "gradients": "#48B8A0", "optimizer": "#A78BDA", "activations": "#F0A35E",
    "adapters": "#E377A8", "temporary": "#7D8799", "other": "#B9A16B",
}
_PARTS = {
    "data": "#B9A16B", "forward": "#5B8DEF", "loss": "#E377A8", "backward": "#F0A35E", "recompute": "#C9794A",
    "optimizer": "#A78BDA", "measure": "#48B8A0", "other": "#7D8799",
}
_COMPONENTS = {
    "embedding": "#A78BDA", "position": "#C9A227", "norm": "#48B8A0", "attention": "#5B8DEF", "mixer": "#5B8DEF",
    "kernel": "#3FA9C9", "mask": "#7FA3B5", "qk_norm": "#7CB8A0", "gate": "#8FA6E8", "sink": "#8C9BD0",
    "feedforward": "#F0A35E", "placement": "#B5836A", "residual": "#B9A16B", "head": "#E377A8", "loss": "#D65F6F",
    "adapter": "#E5579B", "optimizer": "#8E6CC9", "compiled": "#4FA3A5", "autograd": "#7D8799", "data": "#A9A48F",
    "idle": "#565F6E",
}

DARK = Palette(
    name="dark", dark=True,
    background="#14171C", card="#1B1F26", raised="#232832", line="#2C333E",
    text="#E7EAF0", muted="#98A2B3", accent="#6AA5FF", on_accent="#0B1220",
    better="#4CC38A", worse="#FF7A70", warning="#F5B84B",
    runs=("#5B9DFF", "#F2994A", "#3FBF8F", "#C77DFF", "#E5C04A", "#F26D9B", "#4FC6E0", "#A9B665"),
    categories=_CATEGORIES, parts=_PARTS, components=_COMPONENTS,
)
LIGHT = Palette(
    name="light", dark=False,
    background="#F3F5F8", card="#FFFFFF", raised="#F1F3F7", line="#DCE1E8",
    text="#1A1F29", muted="#5B6678", accent="#2463D6", on_accent="#FFFFFF",
    better="#177A4C", worse="#C0362C", warning="#946300",
    runs=("#2463D6", "#B85600", "#128060", "#8A3FC7", "#8A6D00", "#B8265F", "#0E7490", "#5B6B12"),
    categories=_CATEGORIES, parts=_PARTS, components=_COMPONENTS,
)
