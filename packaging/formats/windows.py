"""The installer for Windows: NSIS over the frozen program, for one user, without an administrator.

It is put together on any system that has `makensis` (Debian: `nsis`); the frozen program in it must come from Windows.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from formats import Installed
from formats.described import describe
from metadata import identity
from product import BUILD, Product
from set_up.progress import CommandFailed, Refusal

SYSTEM = "win32"
TOOLS = {"makensis": "nsis"}
SCRIPT = Path(__file__).resolve().with_name("installer.nsi")
STUBS = Path("/usr/share/nsis/Stubs")  # of Debian, whose NSIS makes 64-bit installers too
UNINSTALL_KEY = r"Software\Microsoft\Windows\CurrentVersion\Uninstall\TFXWorkbench"
CLASSES = r"Software\Classes"
_GONE_S = 30.0  # an uninstaller goes on in a copy of itself after it has returned


def build(app: Path, product: Product, dist: Path) -> Path:
    """Write `dist/tfx-workbench-VERSION-setup.exe`. Raises Refusal for a program that is not Windows'."""
    programs = [f"{identity.PROGRAM}.exe", f"{identity.ENGINE}.exe"]
    if missing := [name for name in programs if not (app / name).is_file()]:
        raise Refusal(f"The installer for Windows needs a program frozen on Windows: no {missing[0]} in {app}.")
    work = BUILD / "windows"
    work.mkdir(parents=True, exist_ok=True)
    describe("icons", work)
    dist.mkdir(parents=True, exist_ok=True)
    installer = dist / f"{identity.PROGRAM}-{product.version}-setup.exe"
    files = work / "files.nsh"
    files.write_text("\n".join([*install_lines(app), *remove_lines(app)]) + "\n", encoding="utf-8")
    defines = definitions(app, product, installer, files, work / "app.ico")
    command = ["makensis", "-WX", "-V2", "-INPUTCHARSET", "UTF8",
               *(f"-D{name}={value}" for name, value in defines.items()), str(SCRIPT)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise CommandFailed(done.stdout + done.stderr)
    return installer


def definitions(app: Path, product: Product, installer: Path, files: Path, icon: Path) -> dict[str, str]:
    """What `installer.nsi` is told."""
    gui = f"{identity.PROGRAM}-gui.exe"  # the same program, without a console
    window = gui if (app / gui).is_file() else f"{identity.PROGRAM}.exe"
    kilobytes = sum(file.stat().st_size for file in _files(app)) // 1024
    target = {"TARGET": "amd64-unicode"} if (STUBS / "lzma_solid-amd64-unicode").is_file() else {}
    return {
        "VERSION": product.version, "VERSION_QUAD": ".".join(map(str, identity.version_quad(product.version))),
        "NAME": identity.NAME, "PUBLISHER": identity.PUBLISHER, "WINDOW_EXE": window, "ICON": str(icon),
        "RUN_KIND": identity.RUN_KIND, "RUN_SUFFIX": identity.RUN_SUFFIX, "RUN_MIME": identity.RUN_MIME,
        "FILES": str(files), "OUTPUT": str(installer.resolve()), "OUTPUT_NAME": installer.name,
        "KILOBYTES": str(kilobytes), **target,
    }


def install_lines(app: Path) -> Iterator[str]:
    """The macro that brings every file."""
    yield "!macro INSTALL_FILES"
    folder = None
    for file in _files(app):
        place = file.relative_to(app)
        if place.parent != folder:
            folder = place.parent
            yield f'  SetOutPath "{_installed(folder)}"'
        yield f'  File "{file.resolve()}"'  # in which NSIS looks for no variable
    yield "!macroend"


def remove_lines(app: Path) -> Iterator[str]:
    """The macro that takes away the same files, and then their folders, the deepest first."""
    yield "!macro REMOVE_FILES"
    places = [file.relative_to(app) for file in _files(app)]
    for place in places:
        yield f'  Delete "{_installed(place)}"'
    folders = {parent for place in places for parent in place.parents if parent != Path()}
    for folder in sorted(folders, key=lambda path: (-len(path.parts), str(path))):
        yield f'  RMDir "{_installed(folder)}"'
    yield "!macroend"


def _files(app: Path) -> list[Path]:
    return sorted(file for file in app.rglob("*") if file.is_file())


def _installed(place: Path) -> str:
    parts = PurePosixPath(place.as_posix()).parts
    return "\\".join(["$INSTDIR", *map(_quoted, parts)])


def _quoted(text: str) -> str:
    """For a string of NSIS, in which `$` begins a variable."""
    return text.replace("$", "$$")


def install(installer: Path) -> Installed:
    """Install without a question, as a user would with `/S`; where it went stands in the registry."""
    subprocess.run([str(installer), "/S"], check=True)
    folder = Path(_registered("InstallLocation") or "")
    return Installed(folder, folder / f"{identity.PROGRAM}.exe", folder / f"{identity.ENGINE}.exe")


def associated(installed: Installed) -> list[str]:
    """Where the way from a run to the program without a console ends, in the registry of this user."""
    suffix = rf"{CLASSES}\{identity.RUN_SUFFIX}"
    kind = _registered("", suffix)
    if not kind:
        return [rf"HKCU\{suffix} names no kind of file"]
    key = rf"{CLASSES}\{kind}\shell\open\command"
    command = _registered("", key)
    if command == f'"{installed.window}" "%1"':
        return []
    return [rf"HKCU\{key} is {command}, which does not start {installed.window}"]


def uninstall(installed: Installed) -> list[str]:
    """Uninstall without a question; what is left of files, the registry and the start menu."""
    subprocess.run([str(installed.folder / "uninstall.exe"), "/S"], check=True)
    end = time.monotonic() + _GONE_S
    while (left := _left(installed)) and time.monotonic() < end:
        time.sleep(0.5)
    return left


def _left(installed: Installed) -> list[str]:
    menu = Path(os.environ.get("APPDATA", "")) / "Microsoft/Windows/Start Menu/Programs" / f"{identity.NAME}.lnk"
    left = [str(path) for path in (installed.folder, menu) if path.exists()]
    return left + ([UNINSTALL_KEY] if _registered("InstallLocation") else [])


def _registered(name: str, path: str = UNINSTALL_KEY) -> str | None:
    """A value of a key of this user, or of the program's entry among the installed ones; None where there is none."""
    if sys.platform != "win32":
        raise Refusal("The installer for Windows is tried on Windows.")
    import winreg

    try:
        with winreg.OpenKey(winreg.HKEY_CURRENT_USER, path) as key:
            return str(winreg.QueryValueEx(key, name)[0])
    except OSError:
        return None
