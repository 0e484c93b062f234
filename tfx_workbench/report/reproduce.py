"""How to do it again: the configurations in full, and what to type."""

from __future__ import annotations

import re
import shlex

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.toml import dumps
from tfx_workbench.exhibits.runview import RunView
from tfx_workbench.exhibits.text import say
from tfx_workbench.report.document import Block, Code, Paragraph, Section
from tfx_workbench.report.subject import Subject

_NOT_IN_A_NAME = re.compile(r"[^\w.-]+")


def reproduce(subject: Subject) -> Section:
    """Save the configurations under the names that stand over them, then type the lines."""
    names = _file_names(subject)
    files = " ".join(shlex.quote(name) for name in names)
    runs = " ".join(shlex.quote(view.data.path.name) for view in subject.views)
    first = shlex.quote(subject.views[0].data.path.name)
    lines = [f"tfx-workbench run {files}"]
    if len(names) > 1:
        lines.append(f"tfx-workbench compare {runs}")
    lines += [
        f"tfx-workbench report {runs} -o report.html",
        f"tfx-workbench export {first} --format script -o script.py",
        f"tfx-workbench export {runs} --format bundle -o runs.tfxbundle",
        "tfx-workbench reproduce runs.tfxbundle",
    ]
    blocks: list[Block] = [
        Paragraph(say(tr_mark(
            "Save the configurations below under the names over them and type the first line. A run file holds every "
            "sample, so the other lines need no training: differences, this report, the model and its training loop as "
            "a script of plain PyTorch, and everything of the runs in one file to send, which another machine "
            "runs again and compares. Weights and data are the same wherever seed and versions are; times are those of "
            "the machine."))),
        Code(say(tr_mark("What to type")), "\n".join(lines)),
    ]
    blocks += [Code(name, _toml(view)) for name, view in zip(names, subject.views, strict=True)]
    base = subject.baseline
    blocks.append(Code(say(tr_mark("{name} with every key, defaults included"), name=base.label),
                       dumps(base.data.info.config)))
    return Section("reproduce", say(tr_mark("How to reproduce")), tuple(blocks))


def _toml(view: RunView) -> str:
    return view.data.info.config_toml.strip() or dumps(view.data.info.config)


def _file_names(subject: Subject) -> list[str]:
    """A file name for each configuration that no other has."""
    names: list[str] = []
    for view in subject.views:
        plain = _NOT_IN_A_NAME.sub("-", view.label).strip("-.")[:40].lower() or "run"
        name, number = f"{plain}.toml", 2
        while name in names:
            name, number = f"{plain}-{number}.toml", number + 1
        names.append(name)
    return names
