"""Machines that are not as one would wish, made for one command each: what stands before its argument list.

They need Linux and root, who may make name spaces; `why_not` says why they cannot be made here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

# The last "sh" is $0; the command follows as "$@".
_SHELL = ["sh", "-ec"]


def why_not() -> str:
    """Empty where the situations below can be made."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "only root may make name spaces, on Linux"
    if not (shutil.which("unshare") and shutil.which("setpriv")):
        return "unshare and setpriv (util-linux) are not installed"
    tried = subprocess.run(["unshare", "--mount", "--net", "true"], capture_output=True, text=True)
    return "" if tried.returncode == 0 else f"no name space can be made here: {tried.stderr.strip()}"


def read_only(folder: Path) -> list[str]:
    """`folder` lies on a file system that is mounted for reading."""
    script = f'mount --bind "{folder}" "{folder}"; mount -o remount,ro,bind "{folder}"; exec "$@"'
    return ["unshare", "--mount", *_SHELL, script, "sh"]


def somebody_elses(folder: Path) -> list[str]:
    """`folder` may be read and not written: root without the right to pass over modes is as anybody else."""
    folder.chmod(0o500)
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]


def small_disk(folder: Path, size: str) -> list[str]:
    """`folder` is a disk of its own of that size, such as `2g`, for as long as the command lasts."""
    return ["unshare", "--mount", *_SHELL, f'mount -t tmpfs -o size={size},mode=700 tmpfs "{folder}"; exec "$@"', "sh"]


def without_network() -> list[str]:
    """No interface but a loopback that is down."""
    return ["unshare", "--net"]


def driver(folder: Path, returns: int) -> dict[str, str]:
    """Variables for a machine with a stand-in for NVIDIA's management library: a GPU whose driver is 470.82.01 for CUDA
    11.4, or, where `returns` is not 0, a driver that answers every question with that error. It computes nothing.
    """
    source = folder / "nvml.c"
    source.write_text(_NVML.replace("RETURNS", str(returns)), encoding="utf-8")
    library = folder / "libnvidia-ml.so.1"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    return {"LD_LIBRARY_PATH": str(folder)}


_NVML = """
#include <string.h>
int nvmlInitWithFlags(unsigned flags) { return RETURNS; }
int nvmlInit_v2(void) { return RETURNS; }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) { return code == 18 ? "Driver/library version mismatch" : "Unknown Error"; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) { *handle = (void *) 1; return 0; }
int nvmlDeviceGetName(void *handle, char *name, unsigned size) { strncpy(name, "Stand-in GPU", size); return 0; }
int nvmlSystemGetDriverVersion(char *version, unsigned size) { strncpy(version, "470.82.01", size); return 0; }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = 11040; return 0; }
"""
