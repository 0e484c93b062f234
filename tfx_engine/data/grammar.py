"""A corpus made by rules: sentences like English, the same to the byte for every seed on every Python and machine.

What a model can learn from it, from near to far: spelling; which word may follow which; that verbs agree with their
subjects across a relative clause; that quotation marks and brackets close; that a paragraph keeps to the two people
and the place it began with; that sums are right. Chance comes from whole-number arithmetic of our own, because what
`random` draws may change between versions of Python.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

SIZE = 512 * 1024  # bytes, about; it ends with a whole paragraph

_NAMES = ("Anna", "Bruno", "Clara", "David", "Elena", "Felix", "Greta", "Hugo", "Ines", "Jonas", "Karin", "Luis",
          "Mira", "Nils", "Olga", "Pavel", "Rosa", "Simon", "Tara", "Viktor")
_PLACES = ("the harbour", "the old mill", "the library", "the market", "the station", "the garden", "the workshop",
           "the bridge", "the school", "the island", "the kitchen", "the theatre")
_NOUNS = (("dog", "dogs"), ("cat", "cats"), ("bird", "birds"), ("child", "children"), ("woman", "women"),
          ("man", "men"), ("teacher", "teachers"), ("sailor", "sailors"), ("neighbour", "neighbours"),
          ("horse", "horses"), ("baker", "bakers"), ("doctor", "doctors"), ("fox", "foxes"), ("farmer", "farmers"))
_THINGS = (("letter", "letters"), ("lamp", "lamps"), ("book", "books"), ("key", "keys"), ("boat", "boats"),
           ("map", "maps"), ("stone", "stones"), ("clock", "clocks"), ("basket", "baskets"), ("coat", "coats"),
           ("bell", "bells"), ("loaf", "loaves"))
_ADJECTIVES = ("small", "old", "quiet", "green", "heavy", "bright", "tired", "young", "broken", "clever", "grey",
               "warm", "strange", "empty")
_SEES = (("sees", "see"), ("finds", "find"), ("carries", "carry"), ("wants", "want"), ("forgets", "forget"),
         ("keeps", "keep"), ("remembers", "remember"), ("draws", "draw"), ("sells", "sell"), ("hides", "hide"))
_SLEEPS = (("sleeps", "sleep"), ("waits", "wait"), ("sings", "sing"), ("laughs", "laugh"), ("works", "work"),
           ("listens", "listen"), ("rests", "rest"), ("walks", "walk"))
_ADVERBS = ("slowly", "again", "at night", "in the rain", "without a word", "every morning", "for an hour", "alone")
_LINKS = ("because", "while", "although", "before", "after", "until")
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
            "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen")


class Chance:
    """Whole numbers that look random: xorshift64* of Marsaglia (2003) and Vigna (2014)."""

    def __init__(self, seed: int) -> None:
        self._state = (seed * 0x9E3779B97F4A7C15 + 0xD1B54A32D192ED03) % 2**64 or 1

    def below(self, limit: int) -> int:
        """From 0 to limit - 1; nearly each as likely."""
        x = self._state
        x ^= x >> 12
        x ^= (x << 25) % 2**64
        x ^= x >> 27
        self._state = x
        return (x * 0x2545F4914F6CDD1D % 2**64 >> 33) % limit

    def pick(self, choices: Sequence) -> str:
        """One of them; the first are likelier, as words are in a language."""
        return choices[min(self.below(len(choices)), self.below(len(choices)))]


class _Writer:
    """The rules. `n` is the number of a subject: 0 singular, 1 plural."""

    def __init__(self, seed: int) -> None:
        self._chance = Chance(seed)
        self._people: list[str] = []
        self._place = ""

    def paragraph(self) -> str:
        """Some sentences about two people and a place."""
        first = self._chance.pick(_NAMES)
        others = [name for name in _NAMES if name != first]
        self._people, self._place = [first, self._chance.pick(others)], self._chance.pick(_PLACES)
        opening = f"{self._people[0]} and {self._people[1]} are at {self._place}."
        return " ".join([opening, *(self._sentence() for _ in range(3 + self._chance.below(6)))])

    def _sentence(self) -> str:
        makers: tuple[Callable[[], str], ...] = (self._clause, self._linked, self._said, self._sum, self._aside)
        text = makers[min(self._chance.below(5), self._chance.below(5))]()
        return text[0].upper() + text[1:] + ("" if text.endswith(".”") else ".")

    def _clause(self) -> str:
        subject, n = self._subject()
        return f"{subject} {self._predicate(n)}"

    def _linked(self) -> str:
        return f"{self._clause()} {self._chance.pick(_LINKS)} {self._clause()}"

    def _said(self) -> str:
        text = self._clause()
        return f"{self._chance.pick(self._people)} says, “{text[0].upper()}{text[1:]}.”"

    def _sum(self) -> str:
        a, b = self._chance.below(10), self._chance.below(10)
        who = self._chance.pick(self._people)
        return f"{who} counts {_NUMBERS[a]} and {_NUMBERS[b]}, which makes {_NUMBERS[a + b]}"

    def _aside(self) -> str:
        subject, n = self._subject()
        return f"{subject} ({self._clause()}) {self._predicate(n)}"

    def _subject(self) -> tuple[str, int]:
        which = self._chance.below(6)
        if which < 2:
            return self._people[which], 0
        if which == 2:
            return " and ".join(self._people), 1
        text, n = self._group(_NOUNS)
        if self._chance.below(4) == 0:
            text = f"{text} that {self._chance.pick(_SEES)[n]} {self._group(_THINGS)[0]}"
        return text, n

    def _group(self, nouns: Sequence[tuple[str, str]]) -> tuple[str, int]:
        n = self._chance.below(2)
        article = ("the", "a")[self._chance.below(2)] if n == 0 else ("the", "some", "two")[self._chance.below(3)]
        adjective = self._chance.pick(_ADJECTIVES) + " " if self._chance.below(2) else ""
        noun = self._chance.pick(nouns)[n]
        text = f"{adjective}{noun}"
        return (f"an {text}" if article == "a" and text[0] in "aeiou" else f"{article} {text}"), n

    def _predicate(self, n: int) -> str:
        where = f" at {self._place}" if self._chance.below(5) == 0 else ""
        adverb = f" {self._chance.pick(_ADVERBS)}" if self._chance.below(3) == 0 else ""
        if self._chance.below(3) == 0:
            return self._chance.pick(_SLEEPS)[n] + adverb + where
        return f"{self._chance.pick(_SEES)[n]} {self._group(_THINGS)[0]}{adverb}{where}"


@functools.cache
def write(size: int = SIZE, seed: int = 0) -> bytes:
    """About so many bytes of text, in paragraphs with an empty line between them."""
    writer, paragraphs, written = _Writer(seed), [], 0
    while written < size:
        paragraphs.append(writer.paragraph().encode())
        written += len(paragraphs[-1]) + 2
    return b"\n\n".join(paragraphs) + b"\n"
