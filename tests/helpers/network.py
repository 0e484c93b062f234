"""What our processes have to do with a network: nothing."""

from __future__ import annotations

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
