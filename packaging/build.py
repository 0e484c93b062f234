#!/usr/bin/env python3
"""Make an installer of the program, from a fresh checkout: one command each.

    python packaging/build.py deb                a Debian package
    python packaging/build.py appimage           one file that runs on any Linux
    python packaging/build.py windows            an installer for Windows
    python packaging/build.py macos              a disk image for macOS
    python packaging/build.py freeze             only the frozen program, in build/installers/app
    python packaging/build.py lock [OPTION...]   pinned versions and hashes anew; options go to `uv pip compile`

    --check             install it, use it, take it away again: the smoke test. Before other arguments or after
    --frozen FOLDER     take a frozen program that is there, instead of freezing this checkout

The installer comes to dist/. Everything else goes into build/installers, which may be deleted.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from formats import NAMES, format_of
from product import BUILD, DIST, ROOT, product
from set_up import system_libraries
from set_up.explain import explain
from set_up.progress import CommandFailed, Refusal, Steps, say

SCREEN = {"Xvfb": "xvfb", "xdotool": "xdotool"}  # of the smoke test, on Linux; command -> Debian package
LOG = BUILD / "build.log"


def main(argv: list[str]) -> int:
    """Do what the arguments say. Exit code 1: it failed, and why was said; otherwise that of the smoke test."""
    if argv[:1] == ["lock"]:
        from freeze.locks import write_locks

        return write_locks(argv[1:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=[*NAMES, "freeze"])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--frozen", type=Path)
    args = parser.parse_args(argv)
    BUILD.mkdir(parents=True, exist_ok=True)
    steps = Steps(LOG, total=4 if args.frozen is None else 1)
    try:
        return make(args.what, args.frozen, args.check, steps)
    except CommandFailed as failure:
        print(f"\n{explain(str(failure), LOG)}")
    except subprocess.CalledProcessError as failure:
        print(f"\n{explain(f'{failure.stderr or failure}', LOG)}")
    except Refusal as refusal:
        print(f"\n{refusal}")
    return 1


def make(what: str, frozen: Path | None, check: bool, steps: Steps) -> int:
    """Freeze, put the installer together, and try it where that was asked for."""
    from freeze.program import freeze
    from freeze.slimming import TOOLS

    if frozen is not None and not frozen.is_dir():
        raise Refusal(f"There is no frozen program in {frozen}. `python packaging/build.py freeze` makes one.")
    tools = dict(format_of(what).TOOLS) if what != "freeze" else {}
    if sys.platform.startswith("linux"):
        tools |= (TOOLS if frozen is None else {}) | (SCREEN if check else {})
    find_tools(tools, steps)
    app = frozen or freeze(steps)
    say(f"      {app}: {megabytes(size_of(app))} MB")
    if what == "freeze":
        return 0
    steps.begin(f"the installer ({what})")
    began = time.monotonic()
    installer = format_of(what).build(app, product(), DIST)
    steps.end()
    say(f"      {installer}: {megabytes(installer.stat().st_size)} MB, made in {time.monotonic() - began:.0f} s")
    if not check:
        return 0
    from freeze.environment import PYTHON

    python = PYTHON if PYTHON.exists() else Path(sys.executable)  # with pytest, which this one may not have
    return subprocess.call([str(python), str(ROOT / "packaging" / "smoke.py"), what, str(installer)])


def find_tools(tools: dict[str, str], steps: Steps) -> None:
    """Have what a format calls. As root on Debian it is installed; else raises Refusal with the line to type."""
    import shutil

    missing = sorted({package for command, package in tools.items() if not shutil.which(command)})
    if missing and not system_libraries.apt_install(missing, steps):
        line = system_libraries.apt_line(missing)
        raise Refusal(f"This needs programs that are not here. On Debian or Ubuntu type:\n\n    {line}\n")


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder, links not counted."""
    return sum(p.lstat().st_size for p in folder.rglob("*") if not p.is_symlink() and p.is_file())


def megabytes(size: int) -> str:
    """Bytes as whole millions of them."""
    return f"{size / 1e6:.0f}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
