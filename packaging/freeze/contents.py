"""What goes into the frozen program, and what stays out."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

from product import ROOT

# Where metadata is asked for at run time, by `doctor`, and by what names the versions of a run.
DISTRIBUTIONS = ("PySide6-Essentials", "shiboken6", "pyqtgraph", "torch", "numpy", "msgspec")

# Imported by nobody here, but a technique of one's own may want any of the standard library. Not these: they are for
# development, need a terminal, or bring libraries of the system for what nobody does in here.
_NOT_OF_THE_LIBRARY = {
    "antigravity", "ensurepip", "idlelib", "lib2to3", "test", "this", "tkinter", "turtle", "turtledemo", "venv",
    "curses", "nis", "ossaudiodev", "readline", "rlcompleter", "spwd",
}  # fmt: skip

_TESTING = ["pytest", "_pytest", "hypothesis", "scipy", "IPython", "matplotlib", "pip", "setuptools", "pkg_resources"]
_QT = ["PySide6", "shiboken6", "pyqtgraph", "tfx_workbench"]
# Nearly all of torch is taken: much of it is imported by names that are put together at run time, its own tests among
# that, and all of its Python is smaller than one of its libraries. These make kernels for GPUs, or write other formats.
_NEVER_USED_OF_TORCH = ["torch.utils.tensorboard", "torch.utils.hipify", "torch._vendor.quack",
                        "torch._inductor.kernel.vendored_templates"]  # fmt: skip
_NOT_INSTALLED = ["torchvision", "tensorboard", "triton", "onnx", "onnxscript", "cutlass", "tvm"]

_UNWANTED = [*_TESTING, *sorted(_NOT_OF_THE_LIBRARY), "_curses", "_curses_panel"]
NOT_IN_THE_WORKBENCH = [*_UNWANTED, "torch", "sympy", "networkx", "fsspec", "mpmath", "OpenGL", "PyQt5", "PyQt6"]
NOT_IN_THE_ENGINE = [*_UNWANTED, *_QT, *_NEVER_USED_OF_TORCH, *_NOT_INSTALLED]


def is_used_of_torch(module: str) -> bool:
    """Whether a module of torch, by its full name, goes into the frozen engine."""
    return not any(module == name or module.startswith(f"{name}.") for name in _NEVER_USED_OF_TORCH)


def _modules_of(package: str) -> list[str]:
    """Every module of one of our packages: many are imported by a name that is put together at run time."""
    names = []
    for file in sorted((ROOT / package).rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def _standard_library() -> list[str]:
    names = sorted(sys.stdlib_module_names - _NOT_OF_THE_LIBRARY)
    return [name for name in names if not name.startswith("_") and importlib.util.find_spec(name)]


WORKBENCH_MODULES = [*_modules_of("tfx_workbench"), *_modules_of("tfx_engine/protocol"),
                     *_modules_of("tfx_engine/runfile"), *_modules_of("tfx_engine/pretrained"),
                     *_modules_of("tfx_engine/client")]  # fmt: skip
ENGINE_MODULES = [*_modules_of("tfx_engine"), *_standard_library(), "pydoc_data.topics"]


def data_files() -> list[tuple[str, str]]:
    """(file, folder in the frozen program) of all files that are not code, and of the engine's code.

    The engine's sources are read where a run is exported as a script. A second copy, apart from everything else that
    was frozen, is for a Python of the user's own (`tfx_engine.protocol.engine_python`).
    """
    resources = ROOT / "resources"
    found = [*_files(ROOT / "tfx_engine", "tfx_engine", with_code=True),
             *_files(ROOT / "tfx_engine", "engine/tfx_engine", with_code=True),
             *_files(resources, "engine/tfx_engine/resources", with_code=True),
             *_files(ROOT / "tfx_workbench", "tfx_workbench", with_code=False),
             *_files(resources, "tfx_engine/resources", with_code=True)]  # fmt: skip
    return [*found, (str(ROOT / "LICENSE"), ".")]


def _files(folder: Path, place: str, with_code: bool) -> Iterator[tuple[str, str]]:
    for file in sorted(folder.rglob("*")):
        if file.is_dir() or "__pycache__" in file.parts or (file.suffix == ".py" and not with_code):
            continue
        yield str(file), str(Path(place) / file.relative_to(folder).parent)


def metadata_of() -> list[tuple[str, str]]:
    """The metadata of the packages whose versions the program tells, as PyInstaller takes it."""
    from PyInstaller.utils.hooks import copy_metadata

    return [entry for name in DISTRIBUTIONS for entry in copy_metadata(name)]
