"""A `config.json` read key by key. What is wrong with a value is a `Problem`; so is, of another kind, what is lost.

Keys that nobody asked for are lost too, except those that say nothing about the model's mathematics.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.nesting import unfit
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.protocol.toml import read_text

# Of tokenizers, generation, bookkeeping and other heads: they change nothing in what is computed from tokens to logits.
_SILENT = frozenset({
    "_name_or_path", "add_cross_attention", "architectures", "auto_map", "begin_suppress_tokens", "bos_token_id",
    "chunk_size_feed_forward", "cls_token_id", "decoder_start_token_id", "dtype", "eos_token_id", "finetuning_task",
    "gradient_checkpointing", "id2label", "initializer_range", "is_decoder", "is_encoder_decoder", "keys_to_ignore",
    "label2id", "language", "max_length", "model_type", "name", "n_ctx", "num_labels", "output_attentions",
    "output_hidden_states", "pad_token_id", "predict_special_tokens", "prefix", "pretraining_tp", "problem_type",
    "pruned_heads", "quantization_config", "return_dict", "sep_token_id", "task_specific_params", "tokenizer_class",
    "torch_dtype", "transformers_version", "unk_token_id", "use_cache", "vocab_size", "tie_word_embeddings",
})
_SILENT_PREFIXES = ("summary_", "_")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file of ordinary size. Raises `ConfigError` where it cannot be read or is none."""
    text = read_text(path, tr_mark("A Hugging Face configuration is a short JSON file."))
    try:
        data = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:  # ValueError: also a number with thousands of digits
        raise _refused(path, "not-json", tr_mark("is not valid JSON: {error}."), error=str(error)) from None
    if not isinstance(data, dict):
        raise _refused(path, "not-json", tr_mark("holds no JSON object."))
    if problem := unfit(data):
        raise ConfigError([problem])
    return data


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")


def _refused(path: Path, code: str, template: str, **args: Any) -> ConfigError:
    hint = tr_mark("Name the config.json of a model, or the folder in which it lies.")
    return ConfigError([Problem(code=code, path=str(path), template=template, hint_template=hint, args=args)])


class Table:
    """One table of a `config.json`. `problems` and `lost` are shared with the tables in it."""

    def __init__(self, data: Mapping[str, Any], path: str = "", parent: Table | None = None) -> None:
        self._data, self._path = data, path
        self._read: set[str] = set()
        self.problems: list[Problem] = parent.problems if parent else []
        self.lost: list[Problem] = parent.lost if parent else []

    def __contains__(self, key: str) -> bool:
        return self._data.get(key) is not None

    def whole(self, *keys: str, default: int | None) -> Any:
        """A whole number of at least 1, under the first of the keys that is there."""
        return self._value(keys, default, lambda v: isinstance(v, int) and v >= 1, tr_mark("a whole number from 1 on"))

    def count(self, *keys: str, default: int | None) -> Any:
        """A whole number of at least 0."""
        return self._value(keys, default, lambda v: isinstance(v, int) and v >= 0, tr_mark("a whole number from 0 on"))

    def number(self, *keys: str, default: float | None) -> Any:
        """A number, as a float."""
        value = self._value(keys, default, lambda v: isinstance(v, (int, float)), tr_mark("a number"))
        return float(value) if value is not None and abs(value) < 1e300 else value

    def flag(self, *keys: str, default: bool) -> bool:
        """True or false."""
        return bool(self._value(keys, default, lambda v: isinstance(v, bool), tr_mark("true or false"), truth=True))

    def word(self, *keys: str, default: str) -> str:
        """A text."""
        return str(self._value(keys, default, lambda v: isinstance(v, str), tr_mark("a text")))

    def words(self, *keys: str) -> list[Any]:
        """A list; empty where there is none."""
        return list(self._value(keys, [], lambda v: isinstance(v, list), tr_mark("a list")))

    def names(self, key: str) -> list[str]:
        """The keys of the table under a key."""
        return list(self._value((key,), {}, lambda v: isinstance(v, dict), tr_mark("a table")))

    def table(self, *keys: str) -> Table:
        """The table in it; an empty one where there is none."""
        value = self._value(keys, {}, lambda v: isinstance(v, dict), tr_mark("a table"))
        key = next((k for k in keys if k in self), keys[0])
        return Table(value, f"{self._path}{key}.", self)

    def skip(self, *keys: str) -> None:
        """Keys that are looked at elsewhere, or say nothing here."""
        self._read.update(keys)

    def expect(self, key: str, wanted: Any, template: str, default: Any = None) -> None:
        """Lose what a key says, in words, where it is not the only thing that can be expressed."""
        self._read.add(key)
        value = self._data.get(key, default)
        if value is not None and value != wanted:
            self.lose(key, template, value=value)

    def lose(self, key: str, template: str, **args: Any) -> None:
        """Note something that could not be expressed."""
        self.lost.append(Problem(code="not-expressed", path=self._path + key, template=template, args=args))

    def refuse(self, key: str, template: str, **args: Any) -> None:
        """Note something without which there is no configuration."""
        self.problems.append(Problem(code="not-expressible", path=self._path + key, template=template, args=args))

    def unread(self) -> Iterator[Problem]:
        """A remark on every key that means something and that nobody asked for."""
        for key, value in self._data.items():
            silent = key in _SILENT or key.startswith(_SILENT_PREFIXES) or value in (None, False, [], {})
            if key not in self._read and not silent:
                yield Problem(
                    code="not-expressed", path=self._path + key, template="is {value}; this key was not looked at.",
                    args={"value": _short(value)},
                )

    def _value(self, keys: tuple[str, ...], default: Any, fits: Any, wanted: str, truth: bool = False) -> Any:
        self._read.update(keys)
        key = next((k for k in keys if self._data.get(k) is not None), None)
        if key is None:
            return default
        value = self._data[key]
        if fits(value) and (truth or not isinstance(value, bool)):
            return value
        self.problems.append(Problem(
            code="wrong-type", path=self._path + key, template="must be {wanted}, not {value}.",
            args={"wanted": wanted, "value": _short(value)},
        ))
        return default


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 60 else text[:57] + "..."
