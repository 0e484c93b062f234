"""A package for Debian and Ubuntu, put together by `dpkg-deb`.

Everything lies in /usr/lib/tfx-workbench; /usr/bin has links to the two executables. Libraries that PyInstaller took
from this system are left to the system again: the package depends on theirs, in the versions whose symbols are used,
so that security updates reach them. No maintainer scripts: desktop, MIME and icon data bases follow by their own
triggers.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import subprocess
from email.utils import formatdate
from pathlib import Path

from formats import Installed
from formats.deb_depends import depends, leave_to_the_system
from formats.deb_texts import changelog, control, copyright_text, overrides
from formats.described import describe
from metadata.identity import APP_ID, ENGINE, PROGRAM, RUN_MIME, RUN_SUFFIX
from metadata.share import DESKTOP_FILE
from product import BUILD, Product
from set_up.progress import Refusal, say

SYSTEM = "linux"
TOOLS = {"dpkg-deb": "dpkg", "dpkg-shlibdeps": "dpkg-dev", "strip": "binutils", "lintian": "lintian"}
PREFIX = Path("usr/lib") / PROGRAM
PROGRAMS = (PROGRAM, ENGINE)
SHARE, BIN = Path("/usr/share"), Path("/usr/bin")  # of this machine
COMPRESSION = ["-Zxz", "-z1", "--threads-max=2"]  # 178 MB; zstd is nothing to the lintian of Debian 12


def build(app: Path, product: Product, out: Path) -> Path:
    """The package, of a copy of the frozen program."""
    root = BUILD / "deb" / "root"
    shutil.rmtree(root.parent, ignore_errors=True)
    shutil.copytree(app, root / PREFIX, symlinks=True)
    architecture = _output(["dpkg", "--print-architecture"])
    leave_to_the_system(root / PREFIX)
    _links(root)
    describe("share", root / "usr/share")
    _documents(root, product)
    _modes(root)
    debian = root / "DEBIAN"
    debian.mkdir()
    size = sum(p.lstat().st_size for p in root.rglob("*") if p.is_file() and not p.is_symlink())
    text = control(product.version, architecture, -(-size // 1024), depends(root / PREFIX, root.parent))
    (debian / "control").write_text(text, encoding="utf-8")
    debian.chmod(0o755)
    (debian / "md5sums").write_text(_md5sums(root), encoding="utf-8")
    out.mkdir(parents=True, exist_ok=True)
    package = out / f"{PROGRAM}_{product.version}_{architecture}.deb"
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(product.seconds)}
    subprocess.run(["dpkg-deb", "--root-owner-group", *COMPRESSION, "--build", str(root), str(package)],
                   check=True, env=environment, stdout=subprocess.DEVNULL)
    return package


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _links(root: Path) -> None:
    folder = root / "usr/bin"
    folder.mkdir(parents=True)
    for name in PROGRAMS:
        (folder / name).symlink_to(Path("..") / PREFIX.relative_to("usr") / name)


def _documents(root: Path, product: Product) -> None:
    folder = root / "usr/share/doc" / PROGRAM
    folder.mkdir(parents=True)
    (folder / "copyright").write_text(copyright_text(f"/{PREFIX}"), encoding="utf-8")
    text = changelog(product.version, formatdate(product.seconds))
    (folder / "changelog.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    place = root / "usr/share/lintian/overrides"
    place.mkdir(parents=True)
    (place / PROGRAM).write_text(overrides(PREFIX), encoding="utf-8")


def _modes(root: Path) -> None:
    """0755 for folders and executables, 0644 for everything else, whatever the umask was here."""
    for path in [root, *root.rglob("*")]:
        if path.is_symlink():
            continue
        runs = path.is_dir() or path.parent == root / PREFIX or path.name == "torch_shm_manager"
        path.chmod(0o755 if runs and path.suffix != ".txt" and path.name != "LICENSE" else 0o644)


def _md5sums(root: Path) -> str:
    """What `dpkg --verify` compares with."""
    files = sorted(p for p in (root / "usr").rglob("*") if p.is_file() and not p.is_symlink())
    lines = []
    for file in files:
        with file.open("rb") as stream:
            lines.append(f"{hashlib.file_digest(stream, 'md5').hexdigest()}  {file.relative_to(root)}\n")
    return "".join(lines)


# ------------------------------------------------------------------------------------------- for the smoke test


def examine(installer: Path) -> list[str]:
    """The errors that lintian finds."""
    command = ["lintian", "--fail-on", "none", "--tag-display-limit", "0", "--allow-root", str(installer)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return [done.stderr.strip()]
    return [line for line in done.stdout.splitlines() if line.startswith("E:")]


def install(installer: Path) -> Installed:
    """Install it with apt, which fetches what it depends on."""
    command = ["apt-get", "install", "-y", "--no-install-recommends", "--reinstall", "--allow-downgrades"]
    try:
        _apt([*command, str(installer.resolve())])
    except Refusal:  # a machine that knows no package's place yet
        _apt(["apt-get", "update"])
        _apt([*command, str(installer.resolve())])
    return Installed(Path("/") / PREFIX, *(BIN / name for name in PROGRAMS))


def associated(installed: Installed) -> list[str]:
    """Where the way from a run to the program ends: its suffix, its MIME type, the desktop entry, the command."""
    problems = []
    types, openers, entry = SHARE / "mime/globs2", SHARE / "applications/mimeinfo.cache", SHARE / DESKTOP_FILE
    if not shutil.which("update-mime-database"):
        say(f"not looked at, as nothing here keeps it (Debian: shared-mime-info): {types}")
    elif not any(line.split(":")[1:3] == [RUN_MIME, f"*{RUN_SUFFIX}"] for line in _lines(types)):
        problems.append(f"{types} does not say that *{RUN_SUFFIX} is {RUN_MIME}")
    if not shutil.which("update-desktop-database"):
        say(f"not looked at, as nothing here keeps it (Debian: desktop-file-utils): {openers}")
    elif not any(line.startswith(f"{RUN_MIME}=") and entry.name in re.split("[=;]", line) for line in _lines(openers)):
        problems.append(f"{openers} does not say that {entry.name} opens {RUN_MIME}")
    called = {line.removeprefix("Exec=").split()[0] for line in _lines(entry) if line.startswith("Exec=")}
    if {shutil.which(name, path=str(BIN)) for name in called} != {str(installed.workbench)}:
        problems.append(f"{entry} does not start {installed.workbench} but {sorted(called) or 'nothing'}")
    return problems


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


def uninstall(installed: Installed) -> list[str]:
    """Purge it with apt; files and entries of data bases that are left."""
    _apt(["apt-get", "purge", "-y", PROGRAM])
    places = [installed.folder, installed.workbench, installed.engine, SHARE / "doc" / PROGRAM]
    left = [str(place) for place in places if place.exists() or place.is_symlink()]
    for folder in ("applications", "icons", "metainfo", "mime", "man", "lintian"):
        left += map(str, (SHARE / folder).rglob(f"*{APP_ID}*"))
        left += map(str, (SHARE / folder).rglob(f"*{PROGRAM}*"))
    for file in (SHARE / "applications/mimeinfo.cache", SHARE / "mime/globs2"):
        if file.exists() and RUN_MIME in file.read_text(encoding="utf-8"):
            left.append(f"{file}: {RUN_MIME}")
    return left


def _apt(command: list[str]) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise Refusal(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
