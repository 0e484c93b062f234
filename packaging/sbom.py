#!/usr/bin/env python3
"""The bill of materials of an installer: every package in it with version and licence, as CycloneDX 1.6 in JSON.

    python packaging/sbom.py linux|windows|macos [-o FILE] [--frozen FOLDER]

Packages come from that system's lock; what only makes and tries the installer is in it with the scope `excluded`.
Licences come from the environment that `build.py` makes, where there is one. With --frozen the libraries that were
copied from Debian's packages are in it too: the AppImage carries them, the Debian package leaves them to the system and
names them in its `Depends`. The same lock gives the same bytes. The file is held against CycloneDX's
own schema before it is written; exit code 1 where it does not fit.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from formats import appimage
from freeze.environment import fetch
from freeze.licences import TOOLS, licence_of
from freeze.locks import LOCKS, TARGETS
from metadata import identity
from product import BUILD, DIST, Product, product

if TYPE_CHECKING:
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component

LIBRARY = BUILD / "sbom"  # where the library for it is put, pinned and by hash, apart from everything else
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.M)
_NAMES = uuid.UUID("6f1ab1f2-6f0f-5a1a-9a53-1d3f0f5a6c11")  # a name space of our own, for serial numbers


def main(argv: list[str]) -> int:
    """Do what the arguments say; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("system", choices=[target.name for target in TARGETS])
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--frozen", type=Path)
    args = parser.parse_args(argv)
    have_library()
    made = product()
    text = write(bill(args.system, made, args.frozen))
    if fault := invalid(text):
        print(f"The bill of materials does not fit CycloneDX's schema: {fault}")
        return 1
    output = args.output or DIST / f"{identity.PROGRAM}-{made.version}-{args.system}.cdx.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, encoding="utf-8")
    print(f"{output}: {text.count(chr(34) + 'bom-ref' + chr(34))} components")
    return 0


def have_library() -> None:
    """Have CycloneDX's library, by the hashes of its lock, where it is not installed already."""
    LIBRARY.mkdir(parents=True, exist_ok=True)
    sys.path.append(str(LIBRARY))
    try:
        import cyclonedx.validation.json  # noqa: F401  asked for by nothing but being there
        import jsonschema  # noqa: F401
    except ImportError:
        fetch(LOCKS / "sbom.txt", LIBRARY)
        importlib.invalidate_caches()


def pins(lock: str) -> dict[str, str]:
    """Name -> version, of a lock's text."""
    return dict(_PIN.findall(lock))


def bill(system: str, made: Product, frozen: Path | None = None) -> Bom:
    """The bill of one system's installer."""
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType

    target = next(target for target in TARGETS if target.name == system)
    lock = (LOCKS / f"{system}.txt").read_text(encoding="utf-8")
    root = Component(name=identity.NAME, version=made.version, type=ComponentType.APPLICATION, bom_ref=identity.PROGRAM,
                     licenses=_licences(identity.LICENSE))
    found = Bom(serial_number=uuid.uuid5(_NAMES, f"{system} {made.version} {lock}"))
    found.metadata.timestamp = datetime.fromtimestamp(made.seconds, UTC)
    found.metadata.component = root
    parts = [*_packages(pins(lock)), _python(target.python), *(_libraries(frozen) if frozen else ())]
    parts += [_runtime()] if system == "linux" else []
    for part in parts:
        found.components.add(part)
    found.register_dependency(root, parts)
    return found


def _packages(versions: Mapping[str, str]) -> Iterator[Component]:
    from cyclonedx.model.component import Component, ComponentScope, ComponentType
    from packageurl import PackageURL

    licences = _known_licences()
    for name, version in versions.items():
        scope = ComponentScope.EXCLUDED if name in TOOLS else ComponentScope.REQUIRED
        yield Component(name=name, version=version, type=ComponentType.LIBRARY, scope=scope, bom_ref=f"pypi:{name}",
                        purl=PackageURL("pypi", None, name, version), licenses=_licences(licences.get(name, "")))


def _python(version: str) -> Component:
    """The interpreter, which is in every installer; the running one tells its patch level where it is that version."""
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    running = sys.version.split()[0]
    exact = running if running.startswith(f"{version}.") else version
    return Component(name="python", version=exact, type=ComponentType.PLATFORM, bom_ref="python",
                     purl=PackageURL("generic", None, "python", exact), licenses=_licences("Python-2.0"))


def _runtime() -> Component:
    """The program with which the AppImage begins; the Debian package has none."""
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    name, version = "type2-runtime", appimage.RELEASE
    sha256 = HashType(alg=HashAlgorithm.SHA_256, content=appimage.PINNED["x86_64"])
    return Component(name=name, version=version, type=ComponentType.APPLICATION, bom_ref=name, hashes=[sha256],
                     purl=PackageURL("github", "AppImage", name, version), description="in the AppImage alone",
                     licenses=_licences(appimage.RUNTIME_LICENCES))


def _libraries(frozen: Path) -> Iterator[Component]:
    """Packages of Debian from which libraries were copied into the frozen program."""
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    if not shutil.which("dpkg-query"):
        return
    names = sorted(file.name for file in (frozen / "_internal").glob("*.so*") if not file.is_symlink())
    owners = _told("dpkg-query", "-S", *(f"*/{name}" for name in names)) if names else ""
    packages = {line.partition(": ")[0] for line in owners.splitlines() if not line.startswith("diversion")}
    for package in sorted(packages):
        name, version, architecture = (_told("dpkg-query", "-W", "-f", "${Package} ${Version} ${Architecture}", package)
                                       .split())
        yield Component(name=name, version=version, type=ComponentType.LIBRARY, bom_ref=f"deb:{name}",
                        purl=PackageURL("deb", "debian", name, version, {"arch": architecture}))


def _told(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout


def _known_licences() -> dict[str, str]:
    """Package -> what its metadata calls its licence, where the environment of the build is there."""
    from freeze.environment import SITE_PACKAGES

    there = importlib.metadata.distributions(path=[str(SITE_PACKAGES)])
    return {distribution.name.lower().replace("_", "-"): licence_of(distribution) for distribution in there}


def _licences(words: str) -> list[Any]:
    """An SPDX expression where it is one, else a name."""
    from cyclonedx.contrib.license.factories import LicenseFactory

    return [LicenseFactory().make_from_string(words)] if words else []


def write(found: Bom) -> str:
    """As JSON."""
    from cyclonedx.output.json import JsonV1Dot6

    return JsonV1Dot6(found).output_as_string(indent=2) + "\n"


def invalid(text: str) -> str:
    """What CycloneDX's schema objects to; empty where nothing."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    return "" if fault is None else str(fault)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
