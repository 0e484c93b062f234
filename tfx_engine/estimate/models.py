"""The table of published models in the documents: `python -m tfx_engine.estimate.models --write`.

Without `--write` it says whether `docs/models.md` is up to date. Every number in it is counted in closed form from the
configuration of that name.
"""

from __future__ import annotations

import itertools
import sys

from tfx_engine.estimate.flops import flops_per_token
from tfx_engine.estimate.parameters import count_parameters
from tfx_engine.pretrained.index import PublishedModel, published_models
from tfx_engine.protocol.cards import resource
from tfx_engine.protocol.config import Config, parse_config
from tfx_engine.protocol.toml import read_toml

_TOP = """\
# Published models

Each is a preset: `resources/presets/models/NAME.toml`, in the menu of presets under its family. Parameters are counted
in closed form and, on torch's meta device, in the assembled model; both are the published whole number, or differ from
it by what the note says. FLOPs are those of a forward pass, a multiply-add being two, attention as the full square of
T tokens. Dropout is left out everywhere.

This table is generated: `python -m tfx_engine.estimate.models --write`.
"""
_HEADING = "| preset | model | width | layers | heads | techniques | T | parameters | FLOPs per token, forward |"
_SHOWN = ("position", "attention", "placement", "norm", "feedforward", "window", "qk_norm", "head")


def load_model(model: PublishedModel) -> Config:
    """The configuration of a published model. Raises ValueError where there is something wrong with it."""
    config, problems = parse_config(read_toml(model.file))
    if problems:
        raise ValueError("\n".join(problem.sentence() for problem in problems))
    return config


def generate_table() -> str:
    """The text of `docs/models.md`."""
    parts = [_TOP]
    for family, models in itertools.groupby(published_models(), key=lambda model: model.family):
        lines = [f"## {family}", "", _HEADING, "| --- | --- |" + " ---: |" * 3 + " --- |" + " ---: |" * 3]
        notes = [""]
        for model in models:
            lines.append(_row(model, load_model(model)))
            if model.note:
                notes.append(f"{model.title}: {model.note}\n")
        parts.append("\n".join([*lines, *notes]).rstrip() + "\n")
    return "\n".join(parts)


def _row(model: PublishedModel, config: Config) -> str:
    m = config.model
    chosen = ", ".join(f"`{config.use(slot)}`" for slot in _SHOWN if config.use(slot) != "none")
    total, forward = count_parameters(config).total, flops_per_token(config).forward
    cells = (f"`{model.name}`", f"{model.title} ({model.source})", m.width, m.layers, m.heads, chosen, m.context,
             f"{total:,}", f"{forward:,.0f}")
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def main(arguments: list[str]) -> int:
    """Write the file, or say whether it is up to date."""
    path, text = resource("presets").parents[1] / "docs" / "models.md", generate_table()
    if "--write" in arguments:
        path.write_text(text, encoding="utf-8")
        return 0
    stale = not path.exists() or path.read_text(encoding="utf-8") != text
    print(f"{path} is {'stale: run this with --write' if stale else 'up to date'}")
    return int(stale)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
