"""What a Debian package says of itself."""

from __future__ import annotations

from pathlib import Path

from metadata.identity import NAME, PROGRAM, PUBLISHER

MAINTAINER = f"{PUBLISHER} <noreply@tfxworkbench.github.io>"
_DESCRIPTION = """\
 Toggle the techniques of a transformer, press Run, and watch real training
 steps on your own device: memory, throughput, gradient norms and attention
 maps, live, for every configuration. Then compare, with stated errors.
 .
 The window, the engine and a build of PyTorch for the CPU are inside, so that
 it works without a network. To use a GPU, choose a Python of your own that has
 a PyTorch for it.
"""


def control(version: str, architecture: str, kibibytes: int, depends: str) -> str:
    """The `control` file."""
    return (
        f"Package: {PROGRAM}\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: {MAINTAINER}\n"
        f"Installed-Size: {kibibytes}\nDepends: {depends}\nRecommends: fonts-inter | fonts-dejavu-core\n"
        "Suggests: python3, g++\n"
        f"Section: science\nPriority: optional\nDescription: workbench for the techniques of transformers\n"
        f"{_DESCRIPTION}"
    )


def changelog(version: str, date: str) -> str:
    """In Debian's format."""
    return f"{PROGRAM} ({version}) stable; urgency=medium\n\n  * Release {version}.\n\n -- {MAINTAINER}  {date}\n"


def copyright_text(prefix: str) -> str:
    """Ours is the Apache licence; of everything that is carried the texts lie beside the program."""
    return f"""\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: {NAME}
Comment: The package carries a frozen Python, PyTorch, Qt and other libraries, each under
 its own licence. {prefix}/THIRD-PARTY.txt names every one of them, with the texts.

Files: *
Copyright: 2026 {PUBLISHER}
License: Apache-2.0
 On Debian systems the text of the Apache License, version 2.0, is in
 /usr/share/common-licenses/Apache-2.0.
"""


def overrides(prefix: Path) -> str:
    """What lintian objects to and is meant, each with its reason."""
    return "".join(f"# {reason}\n{PROGRAM}: {tag} [{prefix}/{files}]\n" for reason, tag, files in _MEANT)


_MEANT = (
    ("Its wheel was patched after linking; stripping would move what was patched.", "unstripped-binary-or-object",
     "_internal/numpy*"),
    ("Python's own copy, which its module of the standard library is tested with.", "embedded-library expat",
     "_internal/python3.*/lib-dynload/pyexpat.*"),
    ("Debian's Python, which calls the system's expat; the words by which a copy is known are of its own module.",
     "embedded-library expat", "_internal/libpython3.*"),
    ("These call the interpreter and nothing of the C library.", "library-not-linked-against-libc",
     "_internal/python3.*/lib-dynload/*"),
    ("It only gathers torch's other libraries.", "library-not-linked-against-libc", "_internal/torch/lib/libtorch.so"),
)
