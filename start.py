#!/usr/bin/env python3
"""Set up and start TFX Workbench: one command on a machine that has Python 3.11 or newer and nothing else.

    python3 start.py [ARGUMENT...]         make .venv, install, open the workbench (arguments go to the program)
    python3 start.py test [ARGUMENT...]    the same environment plus the test tools, then the whole test suite
                                           (arguments, such as a path, go to pytest)

    --torch auto|cpu|cuda                  first argument of either: which build of torch to install;
                                           auto takes CUDA where an NVIDIA GPU is found

Everything goes into the folder .venv beside this file; deleting that folder undoes the set-up. Without a display the
first command runs the five-technique demonstration instead of opening a window, and says so. The second start finds
the stamp of the first one and installs nothing.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
LOG = VENV / "setup.log"
STAMP = VENV / "setup-stamp.json"
REPORT = VENV / "torch-report.json"
WINDOWS = os.name == "nt"
BIN = VENV / ("Scripts" if WINDOWS else "bin")
PYTHON = BIN / ("python.exe" if WINDOWS else "python")

CUDA_BYTES, CPU_BYTES = 3_000_000_000, 200_000_000  # of a torch download, where no better figure is known

QT_PACKAGES = (
    "libegl1 libgl1 libxkbcommon0 libxkbcommon-x11-0 libfontconfig1 libdbus-1-3 libglib2.0-0 libx11-xcb1 "
    "libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-shape0 "
    "libxcb-xkb1"
).split()
TEST_PACKAGES = ["xvfb", "xdotool", *QT_PACKAGES, "fonts-inter"]
SAME_PACKAGE = {"libglib2.0-0": "libglib2.0-0t64", "fonts-inter": "fonts-dejavu-core"}
ODD_PACKAGES = {
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libz.so.1": "zlib1g",
    "libbrotlidec.so.1": "libbrotli1",
}


class Refusal(Exception):
    """The set-up cannot go on; the text says why and what to do."""


class CommandFailed(Exception):
    """A command of the set-up ended with an error; the text is its output."""


class Request(NamedTuple):
    """What was typed."""

    testing: bool
    torch: str  # "auto", "cpu" or "cuda"
    rest: list[str]


def parse(argv: list[str]) -> Request:
    """Split the command line into our own part and what the program or pytest gets."""
    rest, torch, testing = list(argv), "auto", False
    while rest:
        if rest[0] == "--torch":
            torch = rest[1] if len(rest) > 1 else ""
            del rest[:2]
        elif rest[0].startswith("--torch="):
            torch = rest.pop(0).partition("=")[2]
        elif rest[0] == "test" and not testing:
            testing = True
            rest.pop(0)
        else:
            break
    if torch not in ("auto", "cpu", "cuda"):
        raise Refusal(f"--torch takes auto, cpu or cuda, not {torch!r}.")
    return Request(testing, torch, rest)


# ------------------------------------------------------------------------------------------- saying what goes on


class Steps:
    """Runs the commands of the set-up: output into the log, one line of progress onto the screen."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.number = 0
        self.title = self.detail = ""
        self.began = self.spoke = time.monotonic()
        self.on_screen = sys.stdout.isatty()

    def begin(self, title: str) -> None:
        self.number += 1
        self.title, self.detail = title, ""
        self.began = self.spoke = time.monotonic()
        if not self.on_screen:
            say(f"[{self.number}/{self.total}] {title}")

    def end(self) -> None:
        seconds = time.monotonic() - self.began
        if self.on_screen:
            print(f"\r\033[K[{self.number}/{self.total}] {self.title}: done, {seconds:.0f} s", flush=True)

    def run(self, command: list[str | Path], **environment: str) -> None:
        """Run one command to its end. Raises CommandFailed with its output."""
        words = [str(word) for word in command]
        output: list[str] = []
        with LOG.open("a", encoding="utf-8") as log:
            print("$", *words, file=log, flush=True)
            process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT,
                env=child_environment() | environment, text=True, encoding="utf-8", errors="replace",
            )  # fmt: skip
            reader = threading.Thread(target=self._follow, args=(process, log, output), daemon=True)
            reader.start()
            try:
                while reader.is_alive():
                    reader.join(0.2)
                    self._draw()
                code = process.wait()
            finally:
                if process.poll() is None:
                    process.terminate()
                    process.wait()
                reader.join()
        if code:
            raise CommandFailed("".join(output))

    def _follow(self, process: subprocess.Popen[str], log: object, output: list[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if not line.startswith("Progress "):
                output.append(line)
                print(line, end="", file=log, flush=True)  # type: ignore[call-overload]
            self.detail = detail_of(line, self.detail)

    def _draw(self) -> None:
        now = time.monotonic()
        if self.on_screen:
            mark = "|/-\\"[int(now * 5) % 4]
            line = f"[{self.number}/{self.total}] {self.title} {mark} {now - self.began:.0f} s  {self.detail}"
            print("\r\033[K" + line[: shutil.get_terminal_size().columns - 1], end="", flush=True)
        elif now - self.spoke > 15:
            self.spoke = now
            say(f"      {now - self.began:.0f} s  {self.detail}")


def say(text: str) -> None:
    print(text, flush=True)


def detail_of(line: str, before: str) -> str:
    """What an installer is busy with, from one line of its output; `before` where the line does not tell."""
    progress = re.match(r"Progress (\d+) of (\d+)", line)
    if progress and int(progress[2]):
        name = before.split(" (")[0]
        return f"{name} ({int(progress[1]) / 1e6:.0f} of {int(progress[2]) / 1e6:.0f} MB)"
    started = re.match(r"\s*(Collecting|Downloading|Installing collected packages|Building wheel)\b[: ]*(\S*)", line)
    if not started:
        return before
    name = started[2].rsplit("/", 1)[-1].split("-")[0]
    return {"Collecting": "looking at", "Downloading": "downloading"}.get(started[1], "installing") + f" {name}"


def size_in_words(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(size / 1e6, 1):.0f} MB"


# ------------------------------------------------------------------------------------------- the environment


def child_environment() -> dict[str, str]:
    """Our environment without whatever would lead Python or pip out of .venv again."""
    leads_away = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__", "PIP_TARGET", "PIP_PREFIX", "PIP_PYTHON"}
    kept = {name: value for name, value in os.environ.items() if name not in leads_away}
    return kept | {"PIP_USER": "0", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def make_environment(steps: Steps) -> None:
    """A sound .venv of this Python with a pip that reports sizes, whatever was there before."""
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        get_venv_module(steps)
    if not environment_is_sound():
        if VENV.exists() and any(VENV.iterdir()) and not LOG.exists():
            raise Refusal(f"{VENV} exists and was not made by start.py, or not by this Python. Move it away, please.")
        shutil.rmtree(VENV, ignore_errors=True)
        VENV.mkdir(exist_ok=True)
        inside = Path(sys.prefix).resolve() == VENV
        steps.run([getattr(sys, "_base_executable", sys.executable) if inside else sys.executable, "-m", "venv", VENV])
    steps.run([PYTHON, "-m", "pip", "install", "--upgrade", "pip>=24.1"])


def environment_is_sound() -> bool:
    """Whether .venv has a working pip, is of this Python's version and was not moved here."""
    code = "import sys, pip; print(*sys.version_info[:2], sys.prefix)"
    try:
        done = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, env=child_environment())
    except OSError:
        return False
    return done.stdout.strip() == f"{sys.version_info[0]} {sys.version_info[1]} {VENV}"


def get_venv_module(steps: Steps) -> None:
    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    if not shutil.which("apt-get"):
        raise Refusal("This Python comes without the modules venv and ensurepip. Install them, or another Python.")
    VENV.mkdir(exist_ok=True)
    if not apt_install([package], steps):
        raise Refusal(f"Python's venv module is missing. Type:\n\n    {apt_line([package])}\n\nand start again.")


def key_of(pyproject: bytes, python: str, place: str) -> str:
    """What the installed environment depends on, as one hash."""
    return hashlib.sha256(b"\0".join([pyproject, python.encode(), place.encode()])).hexdigest()


def current_key() -> str:
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return key_of((ROOT / "pyproject.toml").read_bytes(), python, str(ROOT))


def read_stamp() -> dict[str, object]:
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) and PYTHON.exists() else {}


def is_enough(stamp: dict[str, object], request: Request, key: str) -> bool:
    """Whether what the stamp describes serves the request: the test environment is the program's and more."""
    extras = ("test",) if request.testing else ("app", "test")
    return (
        stamp.get("key") == key
        and stamp.get("extra") in extras
        and request.torch in ("auto", stamp.get("torch"))
    )


def write_stamp(stamp: dict[str, object]) -> None:
    fresh = STAMP.with_suffix(".new")
    fresh.write_text(json.dumps(stamp), encoding="utf-8")
    fresh.replace(STAMP)


# ------------------------------------------------------------------------------------------- torch


class TorchPlan(NamedTuple):
    """How torch is installed: by pip as it is, or by uv, which knows where each build lies."""

    wanted: str  # "cpu" or "cuda"
    tool: str  # "pip" or "uv"
    backend: str  # for uv
    may_fall_back: bool  # to plain pip, whatever build that takes


def plan_torch(asked: str, gpu: bool, found: str) -> TorchPlan:
    """Plain pip where the build it would take (`found`) is the one that suits this machine, else uv."""
    wanted = asked if asked != "auto" else ("cuda" if gpu else "cpu")
    return TorchPlan(
        wanted=wanted,
        tool="pip" if found == wanted else "uv",
        backend="cpu" if wanted == "cpu" else "auto",
        may_fall_back=asked == "auto",
    )


def build_in(report: dict) -> str | None:
    """'cuda' or 'cpu', the torch build in a report of `pip install --dry-run`; None where there is none to install."""
    versions = {item["metadata"]["name"].lower(): item["metadata"]["version"] for item in report["install"]}
    if "torch" not in versions:
        return None
    local = versions["torch"].partition("+")[2]
    if local:
        return "cuda" if local.startswith("cu") else "cpu"
    return "cuda" if any(name.startswith(("nvidia-", "cuda-")) for name in versions) else "cpu"


def has_nvidia_gpu() -> bool:
    smi = shutil.which("nvidia-smi") or shutil.which("nvidia-smi", path="/usr/lib/wsl/lib")
    if smi:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            listed = subprocess.run([smi, "-L"], capture_output=True, text=True, timeout=20)
            if listed.returncode == 0 and "GPU" in listed.stdout:
                return True
    gpus = Path("/proc/driver/nvidia/gpus")
    return gpus.is_dir() and any(gpus.iterdir())


def torch_requirement() -> str:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return next(line for line in project["dependencies"] if line.startswith("torch"))


def installed_build() -> str | None:
    """'cuda' or 'cpu', the build of torch in .venv, read from its version file (importing it takes seconds)."""
    for file in VENV.glob("[Ll]ib/**/site-packages/torch/version.py"):
        return "cuda" if re.search(r"^cuda\b[^=]*= *['\"]", file.read_text(encoding="utf-8"), re.M) else "cpu"
    return None


def ask_pip(steps: Steps, requirement: str, *options: str) -> dict:
    """What plain pip would install for a requirement, as its own report; nothing is installed."""
    command = [PYTHON, "-m", "pip", "install", "--dry-run", "--retries", "2", "--report", REPORT, *options, requirement]
    steps.run(command)
    return json.loads(REPORT.read_text(encoding="utf-8"))


def install_torch(steps: Steps, asked: str) -> None:
    """Take the build of torch that suits this machine, or the one that was asked for."""
    if asked == "cuda" and sys.platform == "darwin":
        raise Refusal("There is no CUDA build of torch for macOS; leave --torch away.")
    requirement, again = torch_requirement(), []
    steps.begin("which torch suits this machine")
    report = ask_pip(steps, requirement)
    if build_in(report) is None and asked not in ("auto", installed_build()):
        report, again = ask_pip(steps, requirement, "--ignore-installed"), ["--force-reinstall"]
    found = build_in(report)
    steps.end()
    steps.begin("torch")
    if found:
        plan = plan_torch(asked, has_nvidia_gpu(), found)
        if plan.tool == "pip" or not install_with_uv(steps, plan, requirement, bool(again)):
            say(f"      Fetching {announcement(found, download_size(report), plan)}")
            pip_install(steps, *again, requirement)
    steps.end()
    if asked not in ("auto", installed_build()):
        raise Refusal(f"A {asked} build of torch was asked for, and a {installed_build()} build is what came. {seen_in_log()}")


def announcement(found: str, size: int, plan: TorchPlan) -> str:
    text = f"torch, {'CUDA' if found == 'cuda' else 'CPU'} build, about {size_in_words(size)}."
    if found == plan.wanted:
        return text
    if found == "cuda":
        return text + " This machine shows no NVIDIA GPU, but no smaller build could be found; it works on the CPU too."
    return text + " It will not use the GPU of this machine; try `--torch cuda` when the network is better."


def install_with_uv(steps: Steps, plan: TorchPlan, requirement: str, again: bool) -> bool:
    """The build that plain pip does not find. False where that failed and plain pip may do."""
    say(f"      Plain pip would take the wrong build of torch; fetching the {plan.wanted.upper()} build with uv.")
    uv = BIN / ("uv.exe" if WINDOWS else "uv")
    reinstall = ["--reinstall-package", "torch"] if again else []
    try:
        pip_install(steps, "uv")
        steps.run([uv, "pip", "install", "--python", PYTHON, f"--torch-backend={plan.backend}", *reinstall, requirement])
    except CommandFailed as failure:
        if plan.may_fall_back:
            return False
        raise Refusal(f"The {plan.wanted.upper()} build of torch could not be fetched. {explain(str(failure))}") from None
    return True


def pip_install(steps: Steps, *words: str) -> None:
    steps.run([PYTHON, "-m", "pip", "install", "--retries", "2", "--progress-bar", "raw", *words])


def download_size(report: dict) -> int:
    """Bytes that a pip report would fetch, asked from where the files lie; a rule of thumb where that is not known."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        sizes = list(pool.map(file_size, [item["download_info"]["url"] for item in report["install"]]))
    guess = CUDA_BYTES if build_in(report) == "cuda" else CPU_BYTES
    return sum(sizes) if all(sizes) else max(sum(sizes), guess)


def file_size(url: str) -> int:
    """Bytes of the file at an address, 0 where it does not say."""
    import urllib.request

    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=5) as answer:
            return int(answer.headers.get("Content-Length") or 0)
    except (OSError, ValueError):
        return 0


# ------------------------------------------------------------------------------------------- system libraries


def apt_line(packages: list[str]) -> str:
    return "sudo apt-get install -y --no-install-recommends " + " ".join(packages)


def apt_install(packages: list[str], steps: Steps) -> bool:
    """Install Debian packages where we are root, and say so. False where we are not, or where it failed."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    say("      Installing system packages: " + " ".join(packages))
    try:
        steps.run(["apt-get", "update"])
        steps.run(["apt-get", "install", "-y", "--no-install-recommends", *packages], DEBIAN_FRONTEND="noninteractive")
    except CommandFailed:
        return False
    return True


def missing_packages(wanted: list[str], installed: set[str]) -> list[str]:
    """Which Debian packages are not there, under neither of their names."""
    return [name for name in wanted if not {name, SAME_PACKAGE.get(name, name)} & installed]


def installed_packages() -> set[str]:
    command = ["dpkg-query", "-W", "-f", "${db:Status-Abbrev}${Package}\n"]
    lines = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    return {line[3:] for line in lines if line.startswith("ii")}


def package_of(library: str) -> str:
    """The Debian package of a shared library, after the naming rule of Debian's policy."""
    name, _, version = library.partition(".so.")
    name = name.lower().replace("_", "-")
    return ODD_PACKAGES.get(library) or f"{name}{'-' if name[-1].isdigit() else ''}{version.split('.')[0]}"


def libraries_not_found(ldd_output: str) -> list[str]:
    """The libraries that `ldd` names as missing; Qt's own are found later by Qt itself."""
    names = re.findall(r"^\s*(\S+\.so[.\d]*) => not found", ldd_output, re.M)
    return sorted({name for name in names if not name.startswith("libQt6")})


def missing_qt_libraries() -> list[str]:
    """System libraries that Qt needs on this display (or on none) and that are not there; Linux only."""
    qt = next(VENV.glob("lib/python*/site-packages/PySide6/Qt"), None)
    if not sys.platform.startswith("linux") or qt is None or not shutil.which("ldd"):
        return []
    plugins = ["libqoffscreen.so"]
    plugins += ["libqxcb.so"] if os.environ.get("DISPLAY") else []
    plugins += ["libqwayland.so", "libqwayland-generic.so"] if os.environ.get("WAYLAND_DISPLAY") else []
    files = [qt / "lib" / f"libQt6{part}.so.6" for part in ("Core", "Gui", "Widgets", "Network")]
    files += [qt / "plugins" / "platforms" / name for name in plugins]
    command = ["ldd", *map(str, filter(Path.exists, files))]
    return libraries_not_found(subprocess.run(command, capture_output=True, text=True).stdout)


def look_for_qt_libraries(steps: Steps) -> bool:
    """Whether Qt finds every system library; installs them as root on Debian, else says what to type."""
    libraries = missing_qt_libraries()
    if not libraries:
        return True
    if not shutil.which("dpkg-query"):
        say("Qt misses system libraries. Install the packages that provide " + ", ".join(libraries) + ".")
        return False
    packages = sorted({package_of(library) for library in libraries})
    if apt_install(packages, steps) and not missing_qt_libraries():
        return True
    say(f"Qt misses system libraries, the window may not open. Type:\n\n    {apt_line(packages)}\n")
    return False


def look_for_test_packages(steps: Steps) -> None:
    """On Debian and its kin: what the tests need of the system. The suite runs without it and skips what it must."""
    if not shutil.which("dpkg-query"):
        return
    missing = missing_packages(TEST_PACKAGES, installed_packages())
    if missing and not apt_install(missing, steps):
        say(f"Some tests need system packages and are skipped without them. Type:\n\n    {apt_line(missing)}\n")


# ------------------------------------------------------------------------------------------- the whole way


EXPLANATIONS = (
    (
        ("No space left on device", "not enough space", "Disk quota exceeded"),
        "The disk is full. Free some space (the CPU set-up takes about 2 GB, the CUDA one about 10 GB; downloads pass "
        "through the folder that TMPDIR names) and start again.",
    ),
    (
        ("CERTIFICATE_VERIFY_FAILED", "SSLError", "invalid peer certificate"),
        "The package index showed a certificate that this machine does not trust. Behind a company's proxy, let "
        "PIP_CERT name its certificate file; otherwise check the clock of this machine.",
    ),
    (
        ("NewConnectionError", "name resolution", "getaddrinfo failed", "unreachable", "ProxyError", "Connection refused",
         "timed out", "ConnectTimeout", "Max retries", "Connection aborted", "dns error", "error sending request"),
        "The package index could not be reached. Check the network (behind a proxy, set HTTPS_PROXY) and start again; "
        "what was fetched already is kept.",
    ),
    (("Permission denied", "Access is denied"), "A file could not be written. Check who owns this folder, and start again."),
    (
        ("No matching distribution found", "requires a different Python", "Requires-Python", "No solution found"),
        f"A package was not found for Python {sys.version_info[0]}.{sys.version_info[1]} on this system. "
        "Python 3.11, 3.12 and 3.13 are known to work.",
    ),
)  # fmt: skip


def explain(output: str) -> str:
    """What went wrong, in words, from the output of an installer, and where all of it can be read."""
    for signs, words in EXPLANATIONS:
        if any(sign in output for sign in signs):
            return f"{words}\n{seen_in_log()}"
    last = next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "")
    return f"The set-up failed: {last}\n{seen_in_log()}"


def seen_in_log() -> str:
    return f"The whole output is in {LOG}."


def set_up(request: Request) -> None:
    """Bring .venv to what the request needs; nothing to do where the stamp says so."""
    key, stamp = current_key(), read_stamp()
    if is_enough(stamp, request, key):
        if not stamp.get("qt"):
            write_stamp(stamp | {"qt": look_for_qt_libraries(Steps(0))})
        return
    say(f"Setting up TFX Workbench in {VENV} (the first time takes some minutes).")
    steps = Steps(6 if request.testing else 5)
    extra = "test" if request.testing or stamp.get("extra") == "test" else "app"
    try:
        STAMP.unlink(missing_ok=True)
        steps.begin("a Python environment")
        make_environment(steps)
        steps.end()
        install_torch(steps, request.torch)
        steps.begin("the workbench and its window toolkit")
        pip_install(steps, "-e", f".[{extra}]")
        steps.end()
        steps.begin("system libraries")
        qt = look_for_qt_libraries(steps)
        steps.end()
    except CommandFailed as failure:
        raise Refusal(explain(str(failure))) from None
    write_stamp({"key": key, "extra": extra, "torch": installed_build(), "qt": qt})


def is_headless(environment: dict[str, str], platform: str) -> bool:
    """Whether no window can be seen: Linux without a display, or Qt told to draw into memory."""
    qt = environment.get("QT_QPA_PLATFORM", "").partition(":")[0]
    if qt in ("offscreen", "minimal"):
        return True
    return platform.startswith("linux") and not (
        qt or environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    )


def command_for(request: Request, headless: bool) -> list[str]:
    """What is started in .venv once everything is there."""
    if request.testing:
        return ["-m", "pytest", *request.rest] if request.rest else ["-m", "tests.helpers.suite"]
    if headless and not request.rest:
        say("No display here: running the five-technique demonstration without a window.")
        return ["-P", "-m", "tfx_workbench", "--demo", "--headless"]
    return ["-P", "-m", "tfx_workbench", *request.rest]


def start(request: Request) -> int:
    """Become the program (on Windows, wait for it). Returns its exit code."""
    environment = child_environment()
    if request.testing:
        os.chdir(ROOT)
        environment.setdefault("QT_QPA_PLATFORM", "offscreen")
    command = [str(PYTHON), *command_for(request, is_headless(dict(os.environ), sys.platform))]
    if WINDOWS:
        return subprocess.call(command, env=environment)
    os.execve(command[0], command, environment)


def main(argv: list[str]) -> int:
    """Run the command line. Exit code 1: the set-up failed; 130: interrupted; otherwise the program's own."""
    if sys.version_info < OLDEST:
        say(f"TFX Workbench needs Python 3.11 or newer; this is {sys.version.split()[0]}. Try `python3.11 start.py`.")
        return 1
    if argv[:1] in (["-h"], ["--help"]):
        say(str(__doc__))
        return 0
    try:
        request = parse(argv)
        set_up(request)
        if request.testing:
            look_for_test_packages(Steps(0))
        return start(request)
    except Refusal as refusal:
        say(f"\n{refusal}")
        return 1
    except KeyboardInterrupt:
        say("\nInterrupted. Type the same command again to go on.")
        return 130
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        say(f"\n{explain('No space left on device') if full else f'The set-up failed: {error}'}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
