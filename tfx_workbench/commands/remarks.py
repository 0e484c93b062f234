"""What of a machine is worth a word before anything is run: `doctor` prints it, and the window says it when it opens.

Everything is made of the engine's answer to `doctor`, so that both say the same of the same machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tfx_engine.protocol.engine_python import is_frozen
from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.commands import words
from tfx_workbench.commands.speeds import Check

LITTLE_SPACE = 2**30  # bytes: a long run with everything measured takes some hundred MiB
_HERE = tr_mark("Runs are done on the CPU.")


def remarks(found: Mapping[str, Any]) -> Iterator[Check]:
    """Where runs cannot be kept, or hardly, and which GPU is not used; nothing where all is well."""
    if refusal := found.get("store_refusal"):
        yield Check("store", False, tr_mark("Runs cannot be kept: {refusal}").format(refusal=refusal))
    else:
        space = free_space(found.get("store_free_bytes"))
        if space.ok is False:
            detail = tr_mark("Only {size} are free where runs are kept.").format(size=space.detail)
            yield Check(space.name, False, detail, space.hint)
    yield from unused_gpu(found)


def free_space(free: int | None) -> Check:
    """How much is free in the store."""
    if free is None or free >= LITTLE_SPACE:
        return Check("free space", None if free is None else True, words.size(free))
    return Check("free space", False, words.size(free), tr_mark("Make room, or choose another folder with --store."))


def unused_gpu(found: Mapping[str, Any]) -> Iterator[Check]:
    """An NVIDIA GPU that is there and that torch does not use, and what to do about it."""
    gpu = found.get("unused_gpu")
    if not gpu:
        return
    said = str(gpu.get("said") or "").rstrip(".") or tr_mark("torch does not say why")
    detail, hint = {
        "cpu-build": (tr_mark("{names} is not used: this torch ({torch}) is a build for the CPU."), _other_torch()),
        "old-driver": (
            tr_mark("{names} is not used: its driver {driver} is for CUDA {cuda}, this torch for CUDA {torch_cuda}."),
            tr_mark("Install driver {needs_driver} or newer, or a torch for CUDA {cuda}."),
        ),
        "no-kernels": (
            tr_mark("{names} is not used: it is of generation {capability}, this torch ({torch}) for {built_for}."),
            tr_mark("Install a torch that is built for it: a newer one for a newer GPU, else one for an older CUDA."),
        ),
        "hidden": (tr_mark("{names} is not used: CUDA_VISIBLE_DEVICES hides it."),
                   tr_mark("Unset that variable to use it.")),
    }.get(str(gpu.get("why")), (
        tr_mark("The NVIDIA GPU is not used: {said}."),
        tr_mark("If its driver was just updated, start the machine again; `nvidia-smi` says more."),
    ))
    facts = {**gpu, "names": ", ".join(gpu.get("names") or ()), "said": said, "torch": found.get("torch"),
             "torch_cuda": found.get("torch_cuda")}
    yield Check("gpu", None if gpu.get("why") == "hidden" else False, f"{detail.format(**facts)} {_HERE}",
                hint.format(**facts))


def _other_torch() -> str:
    if is_frozen():
        return tr_mark("Choose a Python whose torch knows it: tfx-workbench engine PYTHON")
    return tr_mark("Type: python3 start.py --torch cuda")
