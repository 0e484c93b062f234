"""Known vulnerabilities in all that the installers carry, by the locks: `python packaging/audit.py [SYSTEM...]`.

Asks the advisories of the Python Package Index over the network, by pip-audit, which is fetched for it by the hashes of
its own lock. Exit code 0: none is known; 1: some are, they are printed; 2: the advisories cannot be reached, which says
nothing of the packages.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from freeze.environment import LOCKS, fetch
from freeze.locks import TARGETS
from product import BUILD

_PIN = re.compile(r"^([\w.-]+)==([^\s+;]+)(?:\+\S+)?", re.MULTILINE)  # without a build such as +cpu
NONE_KNOWN, SOME, NOT_REACHED = 0, 1, 2


def main(argv: list[str]) -> int:
    """See the module's docstring."""
    tool = BUILD / "pip-audit"
    try:
        fetch(LOCKS / "audit.txt", tool)
    except subprocess.CalledProcessError:
        return NOT_REACHED
    return max((_audit(system, tool) for system in argv or [target.name for target in TARGETS]), default=NONE_KNOWN)


def _audit(system: str, tool: Path) -> int:
    pins = _PIN.findall((LOCKS / f"{system}.txt").read_text(encoding="utf-8"))
    asked = BUILD / f"audit-{system}.txt"
    asked.write_text("".join(f"{name}=={version}\n" for name, version in pins), encoding="utf-8")
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(asked), "--disable-pip", "--no-deps",
               "--progress-spinner", "off", "--timeout", "30", "--format", "json"]
    path = os.pathsep.join(filter(None, [str(tool), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        print(f"{system}: no answer.\n{done.stderr[-2000:]}")
        return NOT_REACHED
    unknown = [one["name"] for one in found if "skip_reason" in one]  # pip-audit itself calls that no finding
    known = [(one["name"], each["id"]) for one in found for each in one.get("vulns", [])]
    looked = len(found) - len(unknown)
    print(f"{system}: {looked} of {len(pins)} packages were looked up, vulnerabilities: {len(known)}")
    for name, advisory in known:
        print(f"  {name}: {advisory}")
    if known:
        return SOME
    return NOT_REACHED if unknown or len(found) < len(pins) else NONE_KNOWN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
