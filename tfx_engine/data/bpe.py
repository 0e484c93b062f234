"""A small byte-pair encoder: the 256 bytes, and pairs of tokens joined into new ones, the most frequent pair first.

The text is first cut into words (with the space before them), numbers, signs and white space; pairs never cross a cut.
So each different word is handled once, however often it occurs, and a pair is looked for only in the words that hold
it. Of equally frequent pairs the one of the smaller tokens is joined, so the result depends on the text alone. It
ends early where no pair occurs twice. After Sennrich and others (2015), arXiv:1508.07909, on bytes as in GPT-2.
"""

from __future__ import annotations

import functools
import hashlib
import heapq
import itertools
import re
from collections import Counter

import numpy as np
import numpy.typing as npt

BYTES = 256
LEARNS_FROM = 4 * 2**20  # bytes at the beginning of the text that it learns from
# Bytes of 0x80 and more belong to letters of other alphabets. No piece is longer than 32 bytes.
_PIECES = re.compile(rb" ?[A-Za-z\x80-\xff]{1,31}| ?[0-9]{1,3}| ?[^\sA-Za-z0-9\x80-\xff]{1,31}|\s{1,32}")
Tokens = npt.NDArray[np.int32]
Pair = tuple[int, int]


class Encoder:
    """Bytes to tokens by a list of joins: join number i makes token 256 + i of two earlier ones."""

    def __init__(self, joins: list[Pair]) -> None:
        self.joins = joins
        self.texts = [bytes([i]) for i in range(BYTES)]
        for left, right in joins:
            self.texts.append(self.texts[left] + self.texts[right])
        self._rank = {pair: i for i, pair in enumerate(joins)}
        self.encode_piece = functools.cache(self._encode_piece)

    def encode(self, text: bytes) -> Tokens:
        """The tokens of a text; their texts put together are the text."""
        pieces = (self.encode_piece(found[0]) for found in _PIECES.finditer(text))
        return np.fromiter(itertools.chain.from_iterable(pieces), np.int32)

    def _encode_piece(self, piece: bytes) -> list[int]:
        tokens = list(piece)
        while len(tokens) > 1:
            pair = min(itertools.pairwise(tokens), key=lambda p: self._rank.get(p, len(self._rank)))
            if pair not in self._rank:
                break
            tokens = _joined(tokens, pair, BYTES + self._rank[pair])
        return tokens

    @property
    def sha256(self) -> str:
        """Hash of the joins, in hexadecimal."""
        return hashlib.sha256(np.array(self.joins, "<i4").tobytes()).hexdigest()


def _joined(tokens: list[int], pair: Pair, new: int) -> list[int]:
    """The tokens with every occurrence of the pair joined, from the left."""
    result: list[int] = []
    i = 0
    while i < len(tokens):
        if i + 1 < len(tokens) and (tokens[i], tokens[i + 1]) == pair:
            result.append(new)
            i += 2
        else:
            result.append(tokens[i])
            i += 1
    return result


class _Words:
    """The different pieces of a text as tokens, how often each occurs, and how often each pair does."""

    def __init__(self, text: bytes) -> None:
        pieces = Counter(_PIECES.findall(text))
        self._words, self._times = [list(piece) for piece in pieces], list(pieces.values())
        self._count: Counter[Pair] = Counter()
        self._holders: dict[Pair, set[int]] = {}  # in which words a pair is, or once was
        for number, word in enumerate(self._words):
            for pair in itertools.pairwise(word):
                self._count[pair] += self._times[number]
                self._holders.setdefault(pair, set()).add(number)
        self._heap = [(-n, pair) for pair, n in self._count.items()]
        heapq.heapify(self._heap)

    def best(self) -> Pair | None:
        """The most frequent pair; None where none occurs twice."""
        while self._heap:
            n, pair = heapq.heappop(self._heap)
            if -n == self._count[pair]:  # else its number has changed since, and the heap has the newer entry too
                return pair if -n > 1 else None
        return None

    def join(self, pair: Pair, new: int) -> None:
        """Make one token of every occurrence of a pair."""
        changed: Counter[Pair] = Counter()
        for number in self._holders.pop(pair):
            before, after = self._words[number], _joined(self._words[number], pair, new)
            self._words[number] = after
            for old in itertools.pairwise(before):
                changed[old] -= self._times[number]
            for fresh in itertools.pairwise(after):
                changed[fresh] += self._times[number]
                if new in fresh:
                    self._holders.setdefault(fresh, set()).add(number)
        for other, difference in changed.items():
            if difference:
                self._count[other] += difference
                heapq.heappush(self._heap, (-self._count[other], other))


def learn(text: bytes, vocab: int) -> list[Pair]:
    """The joins that a text leads to, `vocab` - 256 of them at most."""
    words = _Words(text)
    joins: list[Pair] = []
    while len(joins) < vocab - BYTES and (pair := words.best()) is not None:
        words.join(pair, BYTES + len(joins))
        joins.append(pair)
    return joins


@functools.lru_cache(maxsize=4)
def encoder_for(text: bytes, vocab: int) -> Encoder:
    """The encoder that a text leads to; learned once for each text (by its content) and size."""
    return Encoder(learn(text[:LEARNS_FROM], vocab))
