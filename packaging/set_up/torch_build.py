"""Which build of torch suits this machine, and how to get it.

Plain pip takes a CUDA build of several gigabytes on Linux even where there is no GPU, and a CPU build on
Windows even where there is one. So pip is asked first what it would take. Where that does not suit, `uv`
fetches the other build.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import NamedTuple

from set_up.explain import explain
from set_up.progress import CommandFailed, Refusal, Steps, say

CUDA_BYTES, CPU_BYTES = 3_000_000_000, 200_000_000  # of a download, where no better figure is known
CUDA_ROOM = 10_000_000_000  # bytes of disk that a CUDA set-up takes, with the files on their way
QUIET_RETRIES = ["--retries", "2", "--progress-bar", "raw"]


class Plan(NamedTuple):
    """How torch is installed: by pip as it is, or by uv, which knows where each build lies."""

    wanted: str  # "cpu" or "cuda"
    tool: str  # "pip" or "uv"
    backend: str  # for uv
    may_fall_back: bool  # to plain pip, whatever build that takes


def plan(asked: str, gpu: bool, found: str) -> Plan:
    """Plain pip where the build it would take (`found`) is the one that suits this machine, else uv."""
    wanted = asked if asked != "auto" else ("cuda" if gpu else "cpu")
    return Plan(
        wanted=wanted,
        tool="pip" if found == wanted else "uv",
        backend="cpu" if wanted == "cpu" else "auto",
        may_fall_back=asked == "auto",
    )


def build_in(report: dict) -> str | None:
    """'cuda' or 'cpu', the build in a report of `pip install --dry-run`; None where torch is installed."""
    versions = {item["metadata"]["name"].lower(): item["metadata"]["version"] for item in report["install"]}
    if "torch" not in versions:
        return None
    local = versions["torch"].partition("+")[2]
    if local:
        return "cuda" if local.startswith("cu") else "cpu"
    return "cuda" if any(name.startswith(("nvidia-", "cuda-")) for name in versions) else "cpu"


def installed_build(site_packages: Path) -> str | None:
    """'cuda', 'cpu' or None, read from torch's version file: importing torch takes seconds."""
    file = site_packages / "torch" / "version.py"
    if not file.exists():
        return None
    return "cuda" if re.search(r"^cuda\b[^=]*= *['\"]", file.read_text(encoding="utf-8"), re.M) else "cpu"


def requirement_in(pyproject: str) -> str:
    """The line of pyproject.toml that says which versions of torch will do."""
    import tomllib  # not there before Python 3.11, and start.py must get as far as saying so

    dependencies = tomllib.loads(pyproject)["project"]["dependencies"]
    return next(line for line in dependencies if line.startswith("torch"))


def has_nvidia_gpu() -> bool:
    """Whether the NVIDIA driver lists a GPU."""
    smi = shutil.which("nvidia-smi") or shutil.which("nvidia-smi", path="/usr/lib/wsl/lib")
    if smi:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            listed = subprocess.run([smi, "-L"], capture_output=True, text=True, timeout=20)
            if listed.returncode == 0 and "GPU" in listed.stdout:
                return True
    gpus = Path("/proc/driver/nvidia/gpus")
    return gpus.is_dir() and any(gpus.iterdir())


def has_room(folder: Path) -> bool:
    """Whether a CUDA build fits onto the disk of that folder; True where nobody can say."""
    try:
        return shutil.disk_usage(folder).free >= CUDA_ROOM
    except OSError:
        return True


def install(steps: Steps, python: Path, requirement: str, asked: str) -> None:
    """Two steps: find out which build suits this machine, and install it."""
    if asked == "cuda" and sys.platform == "darwin":
        raise Refusal("There is no CUDA build of torch for macOS; leave --torch away.")
    steps.begin("which torch suits this machine")
    report = ask_pip(steps, python, requirement)
    steps.end()
    steps.begin("torch")
    found = build_in(report)
    if found:
        gpu = has_nvidia_gpu()
        roomy = asked != "auto" or not gpu or has_room(python.parent)
        if not roomy:
            say(f"      There is an NVIDIA GPU, but its build of torch takes about {in_words(CUDA_ROOM)} of disk: "
                "taking the CPU one.\n      For the other, make room and type `python3 start.py --torch cuda`.")
        chosen = plan(asked, gpu and roomy, found)
        if chosen.tool == "pip" or not install_with_uv(steps, python, chosen, requirement):
            say("      " + announcement(found, chosen.wanted, download_size(report)))
            steps.run([str(python), "-m", "pip", "install", *QUIET_RETRIES, requirement])
    steps.end()


def ask_pip(steps: Steps, python: Path, requirement: str) -> dict:
    """What plain pip would install for a requirement, as its own report; nothing is installed."""
    file = steps.log.with_name("torch-report.json")
    command = [str(python), "-m", "pip", "install", "--dry-run", *QUIET_RETRIES]
    steps.run([*command, "--report", str(file), requirement])
    return json.loads(file.read_text(encoding="utf-8"))


def install_with_uv(steps: Steps, python: Path, chosen: Plan, requirement: str) -> bool:
    """The build that plain pip does not find. False where that failed and plain pip may do."""
    name = "CPU" if chosen.wanted == "cpu" else "CUDA"
    size = CPU_BYTES if chosen.wanted == "cpu" else CUDA_BYTES
    say(f"      Plain pip would take another build; fetching the {name} one with uv, about {in_words(size)}.")
    options = ["--python", str(python), f"--torch-backend={chosen.backend}"]
    try:
        steps.run([str(python), "-m", "pip", "install", *QUIET_RETRIES, "uv"])
        steps.run([str(python), "-m", "uv", "pip", "install", *options, requirement])
    except CommandFailed as failure:
        if chosen.may_fall_back:
            return False
        why = explain(str(failure), steps.log)
        raise Refusal(f"The {name} build of torch could not be fetched. {why}") from None
    return True


def announcement(found: str, wanted: str, size: int) -> str:
    """What is about to be fetched, its size, and why where it is not what suits."""
    text = f"Fetching the {'CUDA' if found == 'cuda' else 'CPU'} build, about {in_words(size)}."
    if found == wanted:
        return text
    if found == "cuda":
        return text + " It is made for NVIDIA GPUs but works without; the smaller one could not be fetched."
    return text + " It will not use the GPU of this machine; try `--torch cuda` another time."


def in_words(size: int) -> str:
    """Bytes for people."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(size / 1e6, 1):.0f} MB"


def download_size(report: dict) -> int:
    """Bytes that a report would fetch, asked from where the files lie; where unknown, a rule of thumb."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        sizes = list(pool.map(file_size, [item["download_info"]["url"] for item in report["install"]]))
    guess = CUDA_BYTES if build_in(report) == "cuda" else CPU_BYTES
    return sum(sizes) if all(sizes) else max(sum(sizes), guess)


def file_size(url: str) -> int:
    """Bytes of the file at an address, 0 where it does not say."""
    question = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(question, timeout=5) as answer:
            return int(answer.headers.get("Content-Length") or 0)
    except (OSError, ValueError):
        return 0
