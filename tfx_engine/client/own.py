"""Has another process load the user's techniques and write down what they are: this one loads no code of theirs."""

from __future__ import annotations

import subprocess

import msgspec

from tfx_engine.protocol.launch import child_environment, module_argv
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.trust import load_trusted, own_catalogue

_PATIENCE_S = 300.0  # importing torch from a cold disk takes its time


class OwnTechnique(msgspec.Struct, frozen=True):
    """One technique of the user's own."""

    name: str
    slot: str
    title: str
    origin: str


class OwnFound(msgspec.Struct, frozen=True):
    """What was loaded, and what could not be, in words."""

    techniques: tuple[OwnTechnique, ...] = ()
    faults: tuple[str, ...] = ()


def is_written_down() -> bool:
    """Whether the catalogue knows everything that is trusted, as its sources are now."""
    trusted = load_trusted()
    return not trusted or own_catalogue(trusted) is not None


def write_down() -> OwnFound:
    """Load what is trusted, in another process, and wait for what it found."""
    argv = [*module_argv("tfx_engine"), "own", "--json"]
    try:
        done = subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL, timeout=_PATIENCE_S,
                              env=child_environment())
        return msgspec.json.decode(done.stdout.splitlines()[-1] if done.stdout else b"", type=OwnFound)
    except (subprocess.TimeoutExpired, OSError, msgspec.DecodeError) as error:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] if "done" in locals() else []
        words = tr_mark("Your techniques could not be loaded: {reason}")
        return OwnFound(faults=(words.format(reason=last[0] if last else error),))
