"""Byte pairs against a slow encoder; the grammar is the same everywhere; tokens and bytes of the task `text`."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from pathlib import Path

import pytest

from tests.helpers.tiny import tiny_config
from tfx_engine import data
from tfx_engine.data import bpe, grammar
from tfx_engine.data import text as text_module
from tfx_engine.data.corpus import open_corpus
from tfx_engine.protocol.config import Config, parse_config
from tfx_engine.protocol.problems import ConfigError

WORDS = "low lower lowest new newer newest, wide wider widest; größer 123 1234\n\tthe same again: low lower  "
TEXT = 3 * WORDS.encode()


def slowly_learned(text: bytes, vocab: int) -> list[tuple[int, int]]:
    """Count all pairs anew for each join."""
    pieces = [list(piece) for piece in bpe._PIECES.findall(text)]
    joins: list[tuple[int, int]] = []
    while len(joins) < vocab - 256:
        count = Counter(pair for piece in pieces for pair in itertools.pairwise(piece))
        best = min(count, key=lambda pair: (-count[pair], pair), default=None)
        if best is None or count[best] < 2:
            break
        pieces = [bpe._joined(piece, best, 256 + len(joins)) for piece in pieces]
        joins.append(best)
    return joins


@pytest.mark.parametrize("text", [TEXT, b"aaaaaaa aaaa aaaaa " * 2, bytes(range(256)) * 2, b"", b"ab"], ids=range(5))
@pytest.mark.parametrize("vocab", [257, 300, 400])
def test_the_joins_are_those_of_counting_everything_anew(text: bytes, vocab: int) -> None:
    assert bpe.learn(text, vocab) == slowly_learned(text, vocab)


@pytest.mark.parametrize("other", [TEXT, b"", bytes(range(256)), "日本語 and newest words".encode(), b" \n\n  x"])
def test_what_is_encoded_can_be_put_together_again(other: bytes) -> None:
    encoder = bpe.Encoder(bpe.learn(TEXT, 320))
    tokens = encoder.encode(other)
    assert b"".join(encoder.texts[token] for token in tokens) == other
    assert len(tokens) <= len(other)


def test_encoding_the_learned_text_joins_what_learning_joined() -> None:
    joins = bpe.learn(TEXT, 320)
    pieces = [list(piece) for piece in bpe._PIECES.findall(TEXT)]
    for number, pair in enumerate(joins):
        pieces = [bpe._joined(piece, pair, 256 + number) for piece in pieces]
    assert bpe.Encoder(joins).encode(TEXT).tolist() == [token for piece in pieces for token in piece]


def test_the_grammar_is_the_same_on_every_python() -> None:
    text = grammar.write()
    assert hashlib.sha256(text).hexdigest() == "aefc50877dff7679a1efed7783f4a525fbb2348457ce34d089f6db986afb87bb"
    assert grammar.write(1000, seed=1) != grammar.write(1000, seed=2)
    text.decode()


def test_the_grammar_keeps_its_own_rules() -> None:
    paragraphs = grammar.write(100_000).decode().split("\n\n")
    numbers = grammar._NUMBERS
    sums = 0
    for paragraph in paragraphs:
        people = set(paragraph.split(" are at ")[0].split(" and "))
        named = {word.strip(",.“”()") for word in paragraph.split()} & set(grammar._NAMES)
        assert named == people and len(people) == 2
        assert paragraph.count("“") == paragraph.count("”") and paragraph.count("(") == paragraph.count(")")
        for part in paragraph.split(" counts ")[1:]:
            first, second = part.split(", which makes ")[0].split(" and ")
            total = part.split(", which makes ")[1].split(".")[0]
            assert numbers.index(first) + numbers.index(second) == numbers.index(total)
            sums += 1
    assert sums > 100


def test_its_chance_is_even_and_does_not_repeat() -> None:
    chance = grammar.Chance(0)
    drawn = [chance.below(10) for _ in range(20_000)]
    counts = Counter(drawn)
    assert all(abs(counts[i] - 2000) < 200 for i in range(10))
    assert drawn[:1000] != drawn[1000:2000]


def text_config(**options: object) -> Config:
    return tiny_config(data={"task": "text", **options}, model={"vocab": None})


@pytest.mark.parametrize("corpus", ["python", "grammar"])
def test_pieces_of_words_are_learned_from_the_training_part_and_counted_in_the_facts(corpus: str) -> None:
    config = text_config(corpus=corpus, tokenizer="bpe", bpe_vocab=500)
    task = data.make_task(config)
    facts = task.facts()
    text = open_corpus(None, corpus).data.tobytes()
    split = len(text) - facts["held_out_bytes"]
    assert config.vocab == 500 == facts["different_tokens"]
    assert facts["tokenizer_sha256"] == bpe.Encoder(bpe.learn(text[:split], 500)).sha256
    assert facts["bytes_per_token"] == pytest.approx(len(text) / facts["tokens"]) and facts["bytes_per_token"] > 1.8
    inputs_BT, targets_BT = task.batch(0)
    assert inputs_BT[:, 1:].equal(targets_BT[:, :-1]) and inputs_BT.max() < 500
    words = "".join(task.token_text(t) for t in inputs_BT[0].tolist()).replace("␣", " ").replace("⏎", "\n")
    assert words in text[:split].decode()


def test_a_vocabulary_may_be_larger_than_the_tokenizer_needs_and_not_smaller() -> None:
    larger = tiny_config(data={"task": "text", "tokenizer": "bpe", "bpe_vocab": 300}, model={"vocab": 400})
    task = data.make_task(larger)
    assert task.token_text(399) == "#399" and len(task.labels()) == 400
    smaller = tiny_config(data={"task": "text", "tokenizer": "bpe", "bpe_vocab": 300}, model={"vocab": 299})
    (problem,) = data.check(smaller)
    assert problem.sentence().startswith("model.vocab: is 299")
    assert problem.hint == "Choose 300 or more, or leave it out."


def test_a_text_of_which_too_few_pieces_are_left_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "short.txt"
    path.write_bytes(b"abcdefgh" * 40)
    config = text_config(path=str(path), tokenizer="bpe")
    assert not list(data.check(config)), "as bytes it is long enough"
    with pytest.raises(ConfigError) as refused:
        data.make_task(config)
    assert "the shorter part of" in str(refused.value) and "it needs 10" in str(refused.value)


def test_a_long_text_is_only_taken_byte_by_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_module, "_MOST_ENCODED", 1000)
    path = tmp_path / "long.txt"
    path.write_bytes(b"word " * 300)
    (problem,) = data.check(text_config(path=str(path), tokenizer="bpe"))
    assert problem.path == "data.tokenizer" and "'bytes'" in problem.hint
    assert not list(data.check(text_config(path=str(path))))


def test_two_texts_at_once_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"text " * 100)
    (problem,) = data.check(text_config(path=str(tmp_path / "a.txt"), corpus="grammar"))
    assert (problem.code, problem.path) == ("two-texts", "data.corpus")


def test_the_grammar_is_another_corpus_and_the_default_stays_pythons() -> None:
    config, _ = parse_config({})
    assert config.data.corpus == "python" and "pydoc_data" in data.make_task(config).facts()["source"]
    assert "grammar" in data.make_task(text_config(corpus="grammar")).facts()["source"]


def test_fewer_bytes_to_train_on_are_the_first_ones_and_leave_the_held_out_part_as_it_is() -> None:
    whole, few = data.make_task(text_config()), data.make_task(text_config(train_bytes=50))
    assert few.held_out(0)[0].equal(whole.held_out(0)[0])
    assert few.facts()["training_bytes"] == 50 < whole.facts()["training_bytes"]
    beginning = open_corpus(None).data[:50].tobytes().decode()
    for inputs_T, targets_T in zip(*few.batch(3), strict=True):
        window = bytes([*inputs_T.tolist(), int(targets_T[-1])]).decode()
        assert window in beginning
    assert not all(bytes(row.tolist()).decode() in beginning for row in whole.batch(3)[0])


def test_fewer_bytes_than_a_window_are_refused_and_more_than_there_are_mean_all() -> None:
    (problem,) = data.check(text_config(train_bytes=9))
    assert problem.code == "data-too-short" and "it needs 10" in problem.message
    much = data.make_task(text_config(train_bytes=10**12))
    assert much.batch(0)[0].equal(data.make_task(text_config()).batch(0)[0])


def test_an_encoder_learns_from_the_bytes_that_are_trained_on() -> None:
    facts = data.make_task(text_config(tokenizer="bpe", bpe_vocab=280, train_bytes=2000)).facts()
    learned = bpe.learn(open_corpus(None).data[:2000].tobytes(), 280)
    assert facts["tokenizer_sha256"] == bpe.Encoder(learned).sha256 and facts["bytes_per_token"] > 1


def test_the_swapped_corpus_has_small_letters_for_capitals_and_is_as_long() -> None:
    plain, swapped = (open_corpus(None, name).data.tobytes() for name in ("python", "python_swapped"))
    assert swapped.swapcase() == plain != swapped and len(swapped) == len(plain)
    assert "exchanged" in data.make_task(text_config(corpus="python_swapped")).facts()["source"]
