"""A stand-in for the frozen program's folder: a few small files in its layout, and nothing that computes."""

from __future__ import annotations

from pathlib import Path

MACHO = bytes.fromhex("cffaedfe") + b"\0" * 60  # the magic number of a 64-bit Mach-O, and nothing behind it
ODD = "price $100 and 'quotes' é.txt"  # a name that scripts stumble over


def write_standin(app: Path, ending: str = "", program: bytes = b"MZ stand-in") -> Path:
    """Write it below `app`: two programs with that ending, libraries, data, folders with dots in their names."""
    for name in ("tfx-workbench", "tfx-engine"):
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / f"{name}{ending}").write_bytes(program)
        (app / f"{name}{ending}").chmod(0o755)
    contents = {
        "base_library.zip": b"PK", "libpython3.12.dylib": MACHO, "torch/lib/libtorch_cpu.dylib": MACHO,
        "torch/version.py": b"", "tfx_engine/resources/catalogue.json": b"{}", "python3.12/lib-dynload/math.so": MACHO,
        "numpy-2.3.4.dist-info/METADATA": b"Name: numpy", f"data/{ODD}": b"$1",
    }
    for name, data in contents.items():
        file = app / "_internal" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return app
