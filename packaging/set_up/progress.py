"""The steps of the set-up: one command after the other, output into a log, one line of progress on screen."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

LEADS_AWAY = [  # variables that would lead Python or pip out of the environment again
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "__PYVENV_LAUNCHER__",
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_PYTHON",
]
BUSY = {"Collecting": "looking at", "Downloading": "downloading"}


class Refusal(Exception):
    """The set-up cannot go on; the text says why and what to do."""


class CommandFailed(Exception):
    """A command of the set-up ended with an error; the text is its output."""


def child_environment() -> dict[str, str]:
    """Our environment for everything that runs inside the virtual environment."""
    kept = {name: value for name, value in os.environ.items() if name not in LEADS_AWAY}
    kept.update(PIP_USER="0", PIP_NO_INPUT="1", PIP_DISABLE_PIP_VERSION_CHECK="1")
    return kept


def say(text: str) -> None:
    """Print a line, over the line of progress where there is one."""
    if sys.stdout.isatty():
        print("\r" + " " * (shutil.get_terminal_size().columns - 1), end="\r")
    print(text, flush=True)


class Steps:
    """Runs the commands of the set-up and tells what they are at."""

    def __init__(self, log: Path, total: int = 0) -> None:
        self.log = log
        self.total = total
        self.number = 0
        self.title = self.detail = ""
        self.began = self.spoke = time.monotonic()
        self.on_screen = sys.stdout.isatty()

    def begin(self, title: str) -> None:
        """Go on to the next of the steps."""
        self.number += 1
        self.title, self.detail = title, ""
        self.began = self.spoke = time.monotonic()
        if not self.on_screen:
            say(f"[{self.number}/{self.total}] {title}")

    def end(self) -> None:
        """Say that the step is done, and how long it took."""
        done = f"done, {time.monotonic() - self.began:.0f} s"
        say(f"[{self.number}/{self.total}] {self.title}: {done}" if self.on_screen else f"      {done}")

    def run(self, command: list[str], **variables: str) -> None:
        """Run one command to its end. Raises CommandFailed with its output."""
        environment = child_environment()
        environment.update(variables)
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            encoding="utf-8",
            errors="replace",
        )
        output: list[str] = []
        reader = threading.Thread(target=self._follow, args=(process, command, output), daemon=True)
        reader.start()
        try:
            while reader.is_alive():
                reader.join(0.2)
                self._draw()
        finally:
            if sys.exc_info()[0]:
                process.terminate()
            code = process.wait()
        if code:
            raise CommandFailed("".join(output))

    def _follow(self, process: subprocess.Popen[str], command: list[str], output: list[str]) -> None:
        assert process.stdout is not None
        with self.log.open("a", encoding="utf-8") as log, process.stdout:
            print("$", *command, file=log, flush=True)
            for line in process.stdout:
                self.detail = detail_of(line, self.detail)
                if not line.startswith("Progress "):
                    output.append(line)
                    print(line, end="", file=log, flush=True)

    def _draw(self) -> None:
        now = time.monotonic()
        spent = f"{now - self.began:.0f} s  {self.detail}"
        if self.on_screen:
            width = shutil.get_terminal_size().columns - 1
            line = f"[{self.number}/{self.total}] {self.title} {'|/-'[int(now * 5) % 3]} {spent}"
            print("\r" + line[:width].ljust(width), end="", flush=True)
        elif now - self.spoke > 15:
            self.spoke = now
            say(f"      {spent}")


def detail_of(line: str, before: str) -> str:
    """What an installer is busy with, from one line of its output; `before` where the line does not tell."""
    progress = re.match(r"Progress (\d+) of (\d+)", line)
    if progress:
        done, size = (int(number) / 1e6 for number in progress.groups())
        return f"{before.partition(' (')[0]} ({done:.0f} of {size:.0f} MB)"
    if line.startswith("Installing collected packages"):
        return f"installing {line.count(',') + 1} packages"
    started = re.match(r" *(Collecting|Downloading) +(\S+)", line)
    if not started:
        return before
    name = re.split(r"[-<>=!~;\[]", started[2].rsplit("/", 1)[-1])[0]
    return f"{BUSY[started[1]]} {name}"
