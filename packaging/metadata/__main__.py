"""The commands of this folder.

    python packaging/metadata share FOLDER    everything that lies below /usr/share
    python packaging/metadata icons FOLDER    app.ico for Windows, app.icns for macOS
    python packaging/metadata check           what the validators say; those that are not installed are named
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]  # this folder's own modules, and the commands' grammars


def main(argv: list[str]) -> int:
    """Do what the arguments say. Exit code 1: a validator objects; 2: the arguments make no sense."""
    match argv:
        case ["share", folder]:
            from metadata.share import write_share

            files = write_share(Path(folder))
            print(f"{len(files)} files in {folder}")
        case ["icons", folder]:
            from metadata.icons import write_icns, write_ico

            Path(folder).mkdir(parents=True, exist_ok=True)
            print(write_ico(Path(folder) / "app.ico"), write_icns(Path(folder) / "app.icns"), sep="\n")
        case ["check"]:
            return check()
        case _:
            print(__doc__)
            return 2
    return 0


def check() -> int:
    """Ask the validators, and print what each said."""
    from metadata.checking import verdicts
    from metadata.share import write_share

    with tempfile.TemporaryDirectory() as folder:
        write_share(Path(folder))
        found = list(verdicts(Path(folder)))
    for verdict in found:
        mark = {True: "ok", False: "NOT OK", None: "is not installed"}[verdict.ok]
        print(f"{verdict.tool} {verdict.file}: {mark}")
        if verdict.ok is False:
            print(verdict.words)
    return 1 if any(verdict.ok is False for verdict in found) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
