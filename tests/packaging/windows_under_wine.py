"""The installer for Windows under Wine: `python -m tests.packaging.windows_under_wine`.

It installs, upgrades, refuses and uninstalls for real, with a real registry. The program in it is a stand-in: three
small executables that sleep, and a few files in the layout of the frozen program. Needs `nsis` and `wine` (Debian's
packages of these names). Prints what held; exit code 1 where something did not.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "packaging")]

from formats import windows  # noqa: E402
from product import Product  # noqa: E402
from tests.helpers.frozen_standin import ODD, write_standin  # noqa: E402

SLEEPER = 'Target amd64-unicode\nName "x"\nOutFile "{out}"\nSilentInstall silent\nRequestExecutionLevel user\n' \
          "Section\nSleep 600000\nSectionEnd\n"
HOME = r"C:\users\root\AppData\Local\Programs\TFX Workbench"
IN_PLACE = rf"_?={HOME}".split(" ")  # NSIS wants no quotes around it, and Wine would set them around a blank
CLASSES = r"HKCU\Software\Classes"
RUNNING = 3  # the exit code that says so


class Machine:
    """A Windows of its own, in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = {**os.environ, "WINEPREFIX": str(folder), "WINEDEBUG": "-all", "DISPLAY": "",
                             "WINEDLLOVERRIDES": "mscoree=;mshtml="}
        self.wine("wineboot", "--init")

    def wine(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["wine", *command], env=self._environment, capture_output=True, text=True,
                              errors="replace", timeout=300)

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["wine", *command], env=self._environment, stderr=subprocess.DEVNULL)

    def stop_all(self) -> None:
        subprocess.run(["wineserver", "--kill"], env=self._environment, check=False)
        subprocess.run(["wineserver", "--wait"], env=self._environment, check=False)

    def be(self, version: str) -> None:
        """Say to every program that this is that version of Windows."""
        self.wine("reg", "add", r"HKCU\Software\Wine", "/v", "Version", "/d", version, "/f")

    def path(self, windows_path: str) -> Path:
        return self._folder / "drive_c" / windows_path.removeprefix("C:\\").replace("\\", "/")

    def uninstall(self) -> None:
        """As a user does; it goes on in a copy of itself, and removes its entry in the registry last."""
        self.wine(rf"{HOME}\uninstall.exe", "/S")
        end = time.monotonic() + 60
        while self.value(rf"HKCU\{windows.UNINSTALL_KEY}", "DisplayVersion") and time.monotonic() < end:
            time.sleep(0.2)

    def value(self, key: str, name: str = "") -> str | None:
        """A value of the registry; the default one where `name` is empty."""
        done = self.wine("reg", "query", key, *(["/v", name] if name else ["/ve"]))
        lines = [line.split("REG_SZ", 1) for line in done.stdout.splitlines() if "REG_SZ" in line]
        return lines[0][1].strip() if done.returncode == 0 and lines else None


def main() -> int:
    """Every step; the exit code."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        windows.BUILD = folder / "build"
        old, new = setups(folder)
        machine = Machine(folder / "wine")
        failed = 0
        try:
            for step in STEPS:
                began = time.monotonic()
                faults = step(machine, old, new)
                failed += bool(faults)
                print(f"{'held' if not faults else 'FAILED':7} {step.__doc__} ({time.monotonic() - began:.0f} s)")
                for fault in faults:
                    print(f"        {fault}")
        finally:
            machine.stop_all()
    return 1 if failed else 0


def setups(folder: Path) -> tuple[Path, Path]:
    """Two versions: the new one lacks a file of the old one, and has one more."""
    script = folder / "sleeper.nsi"
    script.write_text(SLEEPER.format(out=folder / "sleeper.exe"), encoding="utf-8")
    subprocess.run(["makensis", "-V1", str(script)], check=True)
    program = (folder / "sleeper.exe").read_bytes()
    made = []
    for version, own in (("0.1.0", "old.txt"), ("0.2.0", "new.txt")):
        app = write_standin(folder / version, ".exe", program)
        (app / "tfx-workbench-gui.exe").write_bytes(program)
        (app / "_internal" / own).write_text(version, encoding="utf-8")
        made.append(windows.build(app, Product(version, 0), folder / "dist"))
    return made[0], made[1]


def check(*expectations: tuple[str, Callable[[], bool]]) -> list[str]:
    """Those that do not hold."""
    return [words for words, holds in expectations if not holds()]


def refuses_old_windows(machine: Machine, old: Path, new: Path) -> list[str]:
    """on Windows 7 it ends with 2 and writes nothing"""
    machine.be("win7")
    code = machine.wine(str(old), "/S").returncode
    machine.be("win10")
    return check((f"it ended with {code}", lambda: code == 2),
                 ("something was written", lambda: not machine.path(HOME).exists()))


def installs(machine: Machine, old: Path, new: Path) -> list[str]:
    """/S installs for one user: files, start menu, .tfx, the list of programs"""
    done = machine.wine(str(old), "/S")
    home, key = machine.path(HOME), rf"HKCU\{windows.UNINSTALL_KEY}"
    menu = machine.path(r"C:\users\root\AppData\Roaming\Microsoft\Windows\Start Menu\Programs\TFX Workbench.lnk")
    command = machine.value(rf"{CLASSES}\TFXWorkbench.Run\shell\open\command")
    return check(
        (f"exit code {done.returncode}: {done.stderr[-200:]}", lambda: done.returncode == 0),
        ("a file is missing", lambda: all((home / name).is_file() for name in (
            "tfx-workbench.exe", "tfx-engine.exe", "tfx-workbench-gui.exe", "uninstall.exe", "_internal/old.txt",
            f"_internal/data/{ODD}", "_internal/torch/lib/libtorch_cpu.dylib"))),
        ("no entry in the start menu", menu.is_file),
        ("the version is not registered", lambda: machine.value(key, "DisplayVersion") == "0.1.0"),
        (".tfx is not ours", lambda: machine.value(rf"{CLASSES}\.tfx") == "TFXWorkbench.Run"),
        (f"opens with {command}", lambda: command == rf'"{HOME}\tfx-workbench-gui.exe" "%1"'),
        ("something is for all users", lambda: machine.value(
            rf"HKLM\{windows.UNINSTALL_KEY}", "DisplayVersion") is None),
    )


def refuses_while_running(machine: Machine, old: Path, new: Path) -> list[str]:
    """while the engine runs, upgrade and uninstaller end with 3 and change nothing"""
    running = machine.start(str(machine.path(HOME) / "tfx-engine.exe"))
    time.sleep(3)
    upgrade = machine.wine(str(new), "/S").returncode
    removal = machine.wine(rf"{HOME}\uninstall.exe", "/S", *IN_PLACE).returncode
    faults = check(
        (f"the upgrade ended with {upgrade}", lambda: upgrade == RUNNING),
        (f"the uninstaller ended with {removal}", lambda: removal == RUNNING),
        ("the old version is damaged", lambda: (machine.path(HOME) / "_internal/old.txt").is_file()),
        ("the program no longer ran", lambda: running.poll() is None),
    )
    machine.stop_all()
    return faults


def upgrades(machine: Machine, old: Path, new: Path) -> list[str]:
    """an upgrade takes away what only the old version had, and keeps the rest of the folder"""
    mine = machine.path(HOME) / "mine.txt"
    mine.write_text("a file of the user's", encoding="utf-8")
    done, inside = machine.wine(str(new), "/S"), machine.path(HOME) / "_internal"
    return check(
        (f"exit code {done.returncode}", lambda: done.returncode == 0),
        ("the old file is still there", lambda: not (inside / "old.txt").exists()),
        ("the new file is not there", (inside / "new.txt").is_file),
        ("a file of the user's is gone", mine.is_file),
        ("the version is the old one", lambda: machine.value(
            rf"HKCU\{windows.UNINSTALL_KEY}", "DisplayVersion") == "0.2.0"),
    )


def keeps_what_others_made(machine: Machine, old: Path, new: Path) -> list[str]:
    """the uninstaller leaves another program's hold on .tfx, and the user's files in the folder"""
    machine.wine("reg", "add", rf"{CLASSES}\.tfx", "/ve", "/d", "Other.Program", "/f")
    machine.uninstall()
    left = sorted(str(path.relative_to(machine.path(HOME))) for path in machine.path(HOME).rglob("*"))
    faults = check(
        (f"left: {left}", lambda: left == ["mine.txt"]),
        ("the other program lost .tfx", lambda: machine.value(rf"{CLASSES}\.tfx") == "Other.Program"),
    )
    machine.wine("reg", "delete", rf"{CLASSES}\.tfx", "/f")
    (machine.path(HOME) / "mine.txt").unlink()
    return faults


def uninstalls(machine: Machine, old: Path, new: Path) -> list[str]:
    """the uninstaller leaves nothing of its own: no folder, no start menu, no key"""
    machine.wine(str(new), "/S")
    machine.uninstall()
    menu = machine.path(r"C:\users\root\AppData\Roaming\Microsoft\Windows\Start Menu\Programs\TFX Workbench.lnk")
    keys = (rf"HKCU\{windows.UNINSTALL_KEY}", rf"{CLASSES}\.tfx", rf"{CLASSES}\TFXWorkbench.Run",
            r"HKCU\Software\Microsoft\Windows\CurrentVersion\App Paths\tfx-workbench.exe")
    return check(
        ("the folder is there", lambda: not machine.path(HOME).exists()),
        ("the start menu has it", lambda: not menu.exists()),
        *((f"{key} is there", lambda key=key: machine.wine("reg", "query", key).returncode != 0) for key in keys),
    )


def goes_where_told(machine: Machine, old: Path, new: Path) -> list[str]:
    """/D=FOLDER installs there, and an upgrade finds it there"""
    place = r"C:\Somewhere else\tfx"
    machine.wine(str(old), "/S", *f"/D={place}".split(" "))
    there = (machine.path(place) / "tfx-workbench.exe").is_file()
    machine.wine(str(new), "/S")
    return check(
        ("not installed there", lambda: there),
        ("the upgrade went elsewhere", (machine.path(place) / "_internal" / "new.txt").is_file),
        ("the upgrade went to both", lambda: not machine.path(HOME).exists()),
    )


STEPS = (refuses_old_windows, installs, refuses_while_running, upgrades, keeps_what_others_made, uninstalls,
         goes_where_told)

if __name__ == "__main__":
    sys.exit(main())
