"""Texts that SQLite and JSON can hold, whatever they were made of."""

from __future__ import annotations

from typing import Any

import msgspec


def storable(text: str) -> str:
    """The text in valid Unicode: the stray halves that undecodable file names and output leave become "?"."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def json_text(value: Any) -> str:
    """JSON text; NaN and infinities become null, arrays become lists. Raises TypeError for what is not plain data."""
    try:
        return _json.encode(value).decode()
    except UnicodeEncodeError:
        return _json.encode(_storable_data(value)).decode()


def _encode(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"facts and arguments hold plain data, not {type(value).__name__}")


_json = msgspec.json.Encoder(enc_hook=_encode)


def _storable_data(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {_storable_data(k): _storable_data(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_storable_data(v) for v in value]
    return value
