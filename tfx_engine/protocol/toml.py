"""Configurations as TOML text: reading with every fault as a `Problem`, writing one line per technique."""

from __future__ import annotations

import copy
import os
import select
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.nesting import DEEPEST, unfit
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.protocol.written import written, written_key

_LARGEST = 2**20  # bytes of a configuration; a device such as /dev/zero never ends
_PATIENCE_S = 10.0  # for whoever writes into a pipe


def read_toml(path: str | Path) -> dict[str, Any]:
    """The table in a TOML file. Raises `ConfigError` where it cannot be read or is not TOML."""
    return loads(read_text(path), str(path))


_TOML = tr_mark("A configuration is a short TOML file.")


def read_text(path: str | Path, hint: str = _TOML) -> str:
    """The text of a configuration, from a file or a pipe. Raises `ConfigError` where it cannot be read.

    `hint`: what it should have been, where it is no text or too large.
    """
    path = Path(path)
    try:
        content = _read(path)
    except FileNotFoundError:
        raise _refused(path, "no-such-file", tr_mark("there is no such file."), tr_mark("Check the path.")) from None
    except IsADirectoryError:
        folder = tr_mark("Name a configuration file in it.")
        raise _refused(path, "not-a-file", tr_mark("is a folder."), folder) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise _refused(path, "unreadable", tr_mark("cannot be read: {error}."), error=reason) from None
    if len(content) > _LARGEST:
        raise _refused(path, "too-large", tr_mark("is larger than {mib} MiB."), hint, mib=_LARGEST // 2**20)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _refused(path, "not-text", tr_mark("is not a text file in UTF-8."), hint) from None


def _read(path: Path) -> bytes:
    """At most one byte more than a configuration may have."""
    if not stat.S_ISFIFO(path.stat().st_mode):
        with path.open("rb") as file:
            return file.read(_LARGEST + 1)
    # Opened so, a pipe into which nobody writes does not hold us for ever.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        content = b""
        while len(content) <= _LARGEST:
            if not select.select([descriptor], [], [], _PATIENCE_S)[0]:
                raise OSError(f"it is a pipe, and nothing came out of it for {_PATIENCE_S:g} s")
            more = os.read(descriptor, 65536)
            if not more:
                break
            content += more
        return content
    finally:
        os.close(descriptor)


def loads(text: str, origin: str = "configuration") -> dict[str, Any]:
    """The table in a TOML text. Raises `ConfigError` with line and column where it is not TOML."""
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also a number with thousands of digits
        template = tr_mark("is not valid TOML: {error}.")
        raise _refused(origin, "not-toml", template, tr_mark("Mend that line."), error=str(error)) from None
    if problem := unfit(data):
        raise ConfigError([problem])
    return data


def independent_of_folder(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The same with data and weights that lie in that folder, where the file of `data` is, under their whole path."""
    for section, key in (("data", "path"), ("run", "start_from")):
        table = data.get(section)
        path = table.get(key) if isinstance(table, dict) else None
        # os.path, unlike Path, says no to what is too long to be a path.
        if isinstance(table, dict) and isinstance(path, str) and path and os.path.exists(folder / path):  # noqa: PTH110
            data = {**data, section: {**table, key: str((folder / path).absolute())}}
    return data


def _refused(path: str | Path, code: str, template: str, hint: str = "", **args: Any) -> ConfigError:
    return ConfigError([Problem(code=code, path=str(path), template=template, hint_template=hint, args=args)])


def dumps(data: Mapping[str, Any]) -> str:
    """TOML text of a configuration dict; null values are left out, as TOML has none."""
    plain = [_line(k, v) for k, v in data.items() if v is not None and not isinstance(v, Mapping)]
    tables = [_section(k, v) for k, v in data.items() if isinstance(v, Mapping)]
    return "\n\n".join(filter(None, ["\n".join(plain), *tables])) + "\n"


def _section(name: str, table: Mapping[str, Any]) -> str:
    return "\n".join([f"[{written_key(name)}]", *(_line(k, v) for k, v in table.items() if v is not None)])


def _line(key: str, value: Any) -> str:
    return f"{written_key(key)} = {written(value)}"


def apply_settings(data: dict[str, Any], settings: list[str]) -> dict[str, Any]:
    """`--set a.b=v`: a copy of `data` with each dotted key set; the value is TOML, or a bare word taken as text."""
    result = copy.deepcopy(data)
    for setting in settings:
        key, equals, text = setting.partition("=")
        parts = [part.strip() for part in key.split(".")]
        if not equals or not all(parts) or len(parts) > DEEPEST:
            raise _refused("--set", "bad-setting", tr_mark("{setting!r} is not of the form key=value."),
                           tr_mark("Example: --set model.layers=2"), setting=setting)
        try:
            value = tomllib.loads(f"v = {text.strip()}")["v"]
        except (ValueError, RecursionError):  # not TOML: a bare word
            value = text.strip()
        _put(result, parts, value, setting)
    if problem := unfit(result):
        raise ConfigError([problem])
    return result


def _put(table: dict[str, Any], path: list[str], value: Any, setting: str) -> None:
    for i, part in enumerate(path[:-1]):
        inner = table.setdefault(part, {})
        if isinstance(inner, str) and path[0] == "techniques" and i == 1:
            inner = table[part] = {"use": inner}
        if not isinstance(inner, dict):
            raise _refused("--set", "bad-setting", tr_mark("{setting!r}: {part!r} is a value, not a table."),
                           setting=setting, part=part)
        table = inner
    table[path[-1]] = value
