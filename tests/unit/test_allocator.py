"""What a window gives back goes back to the system, where the C library can be told so."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import gc
from pathlib import Path
import numpy as np
from tfx_workbench.app.allocator import settle

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

print(int(settle()))
kept, before = [], resident()
for _ in range(40):
    many = [np.ones(60_000) for _ in range(20)]  # 480 kB each, and something small after every one that stays
    for array in many:
        kept.append(np.ones(40))
    del many, array
gc.collect()
print(resident() - before)
"""


@pytest.mark.skipif("CS_GNU_LIBC_VERSION" not in getattr(os, "confstr_names", {}), reason="no glibc here")
@pytest.mark.parametrize("decided", [False, True])
def test_large_blocks_go_back_and_who_has_decided_is_left_alone(decided):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    if decided:
        environment["MALLOC_ARENA_MAX"] = "2"
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment, check=True)
    taken, grown = map(int, done.stdout.split())
    assert taken == (not decided)
    if taken:
        assert grown < 4 * 2**20
