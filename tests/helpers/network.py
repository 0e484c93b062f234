"""What our processes have to do with a network: nothing.

    python -m tests.helpers.network        what a run, a report and a window ask the kernel for, by strace; a table
"""

from __future__ import annotations

import collections
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil


def family_of(pid: int) -> list[psutil.Process]:
    """A process and all that it has started, directly or not."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def assert_no_network(pid: int) -> int:
    """Neither a listening socket nor any other of a network, in the process and all that it has started.

    Returns how many processes were looked at.
    """
    looked = 0
    for process in family_of(pid):
        try:
            found = process.net_connections(kind="inet")
            words = process.cmdline()
        except psutil.NoSuchProcess:
            continue
        assert not found, f"{words}: {found}"
        looked += 1
    return looked


_CALLS = "socket,socketpair,connect,bind,listen,accept,accept4,sendto,sendmsg"
_CALL = re.compile(r"\b(socket|socketpair|connect|bind|listen|accept4?|sendto|sendmsg)\((.*)")
_FAMILY = re.compile(r"AF_[A-Z0-9]+")


def traced(folder: Path, *arguments: str) -> collections.Counter[str]:
    """The calls of a command and of all that it starts, by name and family of addresses."""
    log = folder / "strace"
    command = ["strace", "-f", "-qq", "-e", f"trace={_CALLS}", "-o", str(log), sys.executable, "-m", "tfx_workbench"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = log.read_text(encoding="utf-8", errors="replace")
    found: collections.Counter[str] = collections.Counter()
    for name, rest in _CALL.findall(text):
        family = _FAMILY.search(rest)
        found[f"{name} {family[0] if family else ''}".strip()] += 1
    return found


def main() -> None:
    """See the module's docstring."""
    from tests.helpers.commandline import write_config

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        config, store = write_config(folder), ["--store", str(folder / "runs")]
        todo = {"run": ("run", str(config), *store), "report": ("report", "tiny", "-o", str(folder / "r.html"), *store),
                "window": (*store, "--headless", "--screenshot", str(folder / "w.png"))}
        print("| command | calls, by the family of addresses |\n| --- | --- |")
        for name, arguments in todo.items():
            found = traced(folder, *arguments)
            print(f"| {name} | {', '.join(f'{call}: {count}' for call, count in sorted(found.items())) or 'none'} |")


if __name__ == "__main__":
    main()
