"""Batches depend on (seed, step) and nothing else; held-out data stays held out; bad data is refused in words."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.tiny import tiny_config
from tfx_engine import data
from tfx_engine.data import corpus as corpus_module
from tfx_engine.data.corpus import open_corpus
from tfx_engine.data.task import IGNORED
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.problems import ConfigError
from tfx_engine.protocol.tasks import TASKS


def config_for(task: str, path: Path | None = None, **sections) -> Config:
    sections["data"] = {"task": task, "path": str(path) if path else None, **sections.get("data", {})}
    return tiny_config(**{**sections, "model": {"vocab": 256, **sections.get("model", {})}})


def problems_of(config: Config) -> list[str]:
    """Code and sentence of each problem; making the task must fail with the same ones for text."""
    found = list(data.check(config))
    if found and config.data.task == "text":
        with pytest.raises(ConfigError) as caught:
            data.make_task(config)
        assert list(caught.value.problems) == found
    return [f"{p.code} {p.sentence()}" for p in found]


@pytest.mark.parametrize("task", TASKS)
def test_a_batch_has_the_shape_and_the_range_that_a_model_wants(task: str) -> None:
    config, card = config_for(task), TASKS[task]
    inputs, targets = data.make_task(config).batch(0)
    shapes = {"language": ((3, 9), (3, 9)), "answers": ((3, 9), (3, 9, card.answers)),
              "classes": ((3, card.frames, card.features), (3,))}  # fmt: skip
    assert (inputs.shape, targets.shape) == shapes[card.kind]
    assert targets.dtype == torch.int64 and inputs.is_contiguous()
    counts, limit = targets != IGNORED, card.classes or config.vocab
    assert counts.any() and targets[counts].min() >= 0 and targets[counts].max() < limit
    if card.kind == "classes":
        assert inputs.dtype == torch.float32 and -2 < inputs.min() < inputs.max() < 2
    else:
        assert inputs.dtype == torch.int64 and inputs.min() >= 0 and inputs.max() < config.vocab


@pytest.mark.parametrize("task", TASKS)
def test_batches_come_from_seed_and_step_alone(task: str) -> None:
    one = data.make_task(config_for(task, seed=3))
    other = data.make_task(config_for(task, seed=3, techniques={"position": "learned"}, model={"layers": 5}))
    other.batch(99)
    torch.manual_seed(123)
    assert all(torch.equal(a, b) for a, b in zip(one.batch(4), other.batch(4), strict=True))
    assert not torch.equal(one.batch(4)[0], one.batch(5)[0])
    assert not torch.equal(one.batch(4)[0], data.make_task(config_for(task, seed=4)).batch(4)[0])


@pytest.mark.parametrize("task", TASKS)
def test_held_out_batches_are_fixed_distinct_and_counted(task: str) -> None:
    source = data.make_task(config_for(task))
    batches = [source.held_out(i)[0] for i in range(source.held_out_batches)]
    again = data.make_task(config_for(task))
    assert all(torch.equal(batch, again.held_out(i)[0]) for i, batch in enumerate(batches))
    rows = [tuple(row.flatten().tolist()) for batch in batches for row in batch]
    assert len(set(rows)) == len(rows) and 3 * (len(batches) - 1) < len(rows) <= 3 * len(batches)
    assert 1 <= source.evaluated_batches <= source.held_out_batches
    for beyond in (-1, source.held_out_batches):
        with pytest.raises(IndexError):
            source.held_out(beyond)


def test_text_predicts_the_next_byte_of_the_training_part_alone(tmp_path: Path) -> None:
    path = tmp_path / "count.txt"
    path.write_bytes(bytes(i % 100 + 1 for i in range(80)) + bytes(200 - 72 for _ in range(20)).replace(b"\x80", b"~"))
    task = data.make_task(config_for("text", path, data={"held_out": 0.2}))
    seen = set()
    for step in range(60):
        inputs_BT, targets_BT = task.batch(step)
        assert torch.equal(targets_BT, inputs_BT + 1), "the file counts upwards"
        seen |= set(inputs_BT.flatten().tolist()) | set(targets_BT.flatten().tolist())
    assert seen == set(range(1, 81)), "every place of the training part, none of the held-out part"
    held_out = {byte for i in range(task.held_out_batches) for byte in task.held_out(i)[0].flatten().tolist()}
    assert held_out == {ord("~")}


def test_the_smallest_possible_text_works_and_one_byte_less_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "short.txt"
    path.write_bytes(b"a" * 20)
    assert data.make_task(config_for("text", path, data={"held_out": 0.5})).batch(0)[0].shape == (3, 9)
    path.write_bytes(b"a" * 19)
    (sentence,) = problems_of(config_for("text", path, data={"held_out": 0.5}))
    assert sentence.startswith("data-too-short model.context: is 9 tokens")
    assert "has 19 bytes, of which 9 are held out: each part needs 10" in sentence and "at most 8" in sentence
    fitting = config_for("text", path, data={"held_out": 0.5}, model={"context": 8})
    assert problems_of(fitting) == []


def test_pythons_own_reference_is_the_corpus_unless_one_is_given() -> None:
    facts = data.make_task(config_for("text")).facts()
    assert facts["bytes"] > 300_000 and len(facts["sha256"]) == 64 and "pydoc_data" in facts["source"]
    assert 0.09 < facts["held_out_bytes"] / facts["bytes"] < 0.11


def test_the_facts_of_a_file_are_its_size_and_hash(tmp_path: Path) -> None:
    text = "Grüße, 世界!\r\n".encode() * 50
    path = tmp_path / "my text.txt"
    path.write_bytes(text)
    facts = data.make_task(config_for("text", path)).facts()
    assert (facts["bytes"], facts["sha256"]) == (len(text), hashlib.sha256(text).hexdigest())
    assert facts["source"] == str(path)


@pytest.mark.parametrize(("limit", "mapped"), [(2**20, False), (100, True)])
def test_a_large_file_is_mapped_a_small_one_read_and_neither_written(tmp_path, monkeypatch, limit, mapped) -> None:
    monkeypatch.setattr(corpus_module, "_MAPPED_FROM", limit)
    path = tmp_path / "text.txt"
    path.write_bytes(b"hello world " * 20)
    corpus = open_corpus(str(path))
    assert isinstance(corpus.data, np.memmap) == mapped
    assert data.make_task(config_for("text", path)).batch(0)[0].shape == (3, 9)
    corpus.data[0] = 0
    assert path.read_bytes().startswith(b"hello")


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(b"a" * 100)
    first = open_corpus(str(path)).sha256
    path.write_bytes(b"b" * 101)
    assert open_corpus(str(path)).sha256 != first


def test_a_folder_is_read_in_the_order_of_names_without_what_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / ".git").mkdir()
    texts = {"c.txt": b"third", "a.txt": b"first", "b/x.md": b"second"}
    others = {"image.png": b"\x89PNG\0", "latin.txt": b"caf\xe9", "empty.txt": b""}
    hidden = {".hidden": b"no", ".git/config": b"no"}
    for name, content in {**texts, **others, **hidden}.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "nowhere.txt").symlink_to(tmp_path / "missing")
    corpus = open_corpus(str(tmp_path))
    assert corpus.data.tobytes() == b"first\n\nthird\n\nsecond"
    assert "3 of 6 files" in corpus.source


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty-file data.path: {path} is empty."),
        (b"MZ\x90\x00\x03" + b"a" * 100, "not-text data.path: {path} is not text: there is a NUL byte at offset 3."),
        (b"ok\xff" + b"a" * 100, "not-text data.path: {path} is not text: the byte at offset 2 is not UTF-8."),
        ("text".encode("utf-16-le") * 50, "not-text data.path: {path} is not text: there is a NUL byte at offset 1."),
        (b"a" * 100 + b"\xc3", "not-text data.path: {path} is not text: the byte at offset 100 is not UTF-8."),
    ],
    ids=["empty", "binary", "latin-1", "utf-16", "cut character"],
)
def test_a_file_that_is_no_text_is_refused_with_the_place_of_the_fault(tmp_path, content: bytes, words: str) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(content)
    (sentence,) = problems_of(config_for("text", path))
    assert sentence.startswith(words.format(path=path))


def test_a_large_file_is_checked_at_its_beginning_even_where_a_character_is_cut(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(corpus_module, "_SCANNED", 101)
    path = tmp_path / "large.txt"
    path.write_bytes(b"a" * 100 + "ü".encode() + b"b" * 100)
    assert problems_of(config_for("text", path)) == []


def test_a_missing_file_a_device_and_an_unreadable_file_are_refused_in_words(tmp_path: Path) -> None:
    (sentence,) = problems_of(config_for("text", tmp_path / "missing.txt"))
    assert sentence == f"no-such-file data.path: There is no file {tmp_path / 'missing.txt'}. Check the path."
    (sentence,) = problems_of(config_for("text", tmp_path / "a.txt" / "b.txt"))
    assert sentence.startswith("no-such-file")
    (tmp_path / "a.txt").write_text("a")
    (sentence,) = problems_of(config_for("text", tmp_path / "a.txt" / "b.txt"))
    assert sentence.startswith(("unreadable", "no-such-file"))
    (sentence,) = problems_of(config_for("text", tmp_path / ("n" * 5000)))
    assert sentence.startswith(("unreadable", "no-such-file"))
    for path in (tmp_path / "zero\0byte", Path("~nobody-of-this-name/a.txt")):
        (sentence,) = problems_of(config_for("text", path))
        assert sentence.startswith("no-such-file")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_path_without_a_name_is_not_the_folder_that_we_are_in() -> None:
    with pytest.raises(ConfigError) as refused:
        open_corpus("")
    assert "without a name" in str(refused.value)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (sentence,) = problems_of(config_for("text", tmp_path / "pipe"))
    assert sentence.startswith("not-a-file")
    (sentence,) = problems_of(config_for("text", tmp_path))
    assert sentence.startswith("no-text"), "in a folder it is passed over"


@contextlib.contextmanager
def plain_user() -> Iterator[None]:
    """Permissions do not bind the superuser: become nobody for a while."""
    superuser = os.geteuid() == 0
    if superuser:
        os.seteuid(65534)
    try:
        yield
    finally:
        if superuser:
            os.seteuid(0)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="this system has no permissions of that kind")
def test_a_file_without_permission_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "secret.txt"
    path.write_text("secret " * 100)
    path.chmod(0)
    with plain_user():
        (sentence,) = problems_of(config_for("text", path))
    assert sentence.startswith("no-permission data.path: There is no permission to read")


def test_an_empty_folder_and_one_that_is_too_large_are_refused(tmp_path: Path, monkeypatch) -> None:
    (sentence,) = problems_of(config_for("text", tmp_path))
    assert sentence.startswith("no-text")
    (tmp_path / "a.txt").write_text("a" * 200)
    monkeypatch.setattr(corpus_module, "_FOLDER_LIMIT", 100)
    (sentence,) = problems_of(config_for("text", tmp_path))
    assert sentence.startswith("folder-too-large")


def test_text_needs_a_vocabulary_of_all_bytes() -> None:
    (sentence,) = problems_of(config_for("text", model={"vocab": 255}))
    assert sentence.startswith("vocabulary-too-small model.vocab: is 255")
    for vocab in (256, 300):
        assert problems_of(config_for("text", model={"vocab": vocab})) == []


@pytest.mark.parametrize("context", [2, 3, 8, 9])
def test_copy_repeats_its_sequence_and_counts_only_the_repetition(context: int) -> None:
    inputs_BT, targets_BT = data.make_task(config_for("copy", model={"context": context})).batch(0)
    period = (context + 1) // 2
    assert torch.equal(targets_BT == IGNORED, (torch.arange(context) < period - 1).expand(3, -1))
    for t in range(period - 1, context):
        assert torch.equal(targets_BT[:, t], inputs_BT[:, t + 1 - period]), "the answer stands period - 1 tokens back"
    assert torch.equal(inputs_BT[:, period:], targets_BT[:, period - 1 : -1]), "it is also the next token"


@pytest.mark.parametrize(("context", "symbols"), [(3, 2), (9, 5), (40, 4), (31, 100)])
def test_recall_asks_for_values_of_keys_that_were_given(context: int, symbols: int) -> None:
    config = config_for("recall", model={"context": context}, data={"symbols": symbols})
    inputs_BT, targets_BT = data.make_task(config).batch(0)
    pairs = min(symbols, context // 3)
    for inputs, targets in zip(inputs_BT.tolist(), targets_BT.tolist(), strict=True):
        facts = dict(zip(inputs[0 : 2 * pairs : 2], inputs[1 : 2 * pairs : 2], strict=True))
        assert len(facts) == pairs, "no key is given twice"
        assert all(symbols <= value < 2 * symbols for value in facts.values())
        assert targets[: 2 * pairs] == [IGNORED] * (2 * pairs)
        assert targets[2 * pairs :] == [facts[key] for key in inputs[2 * pairs :]]
        assert context > 2 * pairs


@pytest.mark.parametrize(
    ("task", "sections", "words"),
    [
        ("copy", {"data": {"symbols": 257}}, "data.symbols: is 257: the task 'copy' needs 257 tokens"),
        ("recall", {"data": {"symbols": 129}}, "at most 128 symbols, or set model.vocab to 258"),
        ("recall", {"data": {"symbols": 2}, "model": {"vocab": 3}}, "has 3. Set model.vocab to 4 or more."),
        ("recall", {"model": {"context": 2}}, "model.context: is 2 tokens"),
    ],
)
def test_symbols_must_fit_the_vocabulary_and_a_question_the_context(task: str, sections: dict, words: str) -> None:
    (sentence,) = problems_of(config_for(task, **sections))
    assert words in sentence


@pytest.mark.parametrize(("task", "labels"), [("text", {65: "A", 10: "⏎", 32: "␣", 200: "xc8"}), ("copy", {3: "3"}),
                                              ("recall", {1: "k1", 5: "v0"})])  # fmt: skip
def test_tokens_have_short_labels_that_differ(task: str, labels: dict[int, str]) -> None:
    source = data.make_task(config_for(task))
    assert {token: source.token_text(token) for token in labels} == labels
    assert len({source.token_text(token) for token in range(256)}) == 256


def test_a_folder_that_cannot_be_listed_is_not_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        corpus_module._list_folder(tmp_path / "gone")
