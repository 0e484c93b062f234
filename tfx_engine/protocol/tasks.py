"""The tasks as data: what kind each is, and which keys of `[data]` matter for it. What they do is in `tfx_engine.data`.

| kind | inputs | targets | logits |
| --- | --- | --- | --- |
| language | tokens [B, T], int64 | tokens [B, T], int64 | [B, T, V] |
| answers | tokens [B, T], int64 | A tokens for each, [B, T, A] | [B, T, A, V] |
| classes | frames of F numbers [B, T, F], float32 | classes [B], int64 | [B, C] |
"""

from __future__ import annotations

import msgspec

from tfx_engine.protocol.marker import tr_mark

# Each kind, and what is said of a technique that is not for it.
NOT_FOR: dict[str, str] = {
    "language": tr_mark("it is not for tasks that give tokens and ask for one at each of them."),
    "answers": tr_mark("it is not for tasks that ask for several answers at each token."),
    "classes": tr_mark("it is not for tasks that give frames of numbers and ask for one class."),
}
KINDS = tuple(NOT_FOR)


class TaskCard(msgspec.Struct, frozen=True, kw_only=True):
    """One task. `options`: the keys of `[data]`, besides the task itself, that change anything for it."""

    name: str
    title: str
    summary: str
    options: tuple[str, ...]
    kind: str = "language"
    next_token: bool = False  # the answer is the next token of the input, so a model must not see what follows
    accuracy: bool = True  # its answers are right or wrong, so a share of right ones says something
    answers: int = 1  # at every token
    classes: int = 0
    frames: int = 0  # a sample's, where its length is not free
    features: int = 0  # numbers of one frame


TASKS: dict[str, TaskCard] = {card.name: card for card in (
    TaskCard(
        name="text", title=tr_mark("Text"), summary=tr_mark("predict the next byte, or piece of a word."),
        options=("path", "corpus", "tokenizer", "bpe_vocab", "held_out", "train_bytes"), next_token=True,
        accuracy=False,
    ),
    TaskCard(
        name="copy", title=tr_mark("Copy"), summary=tr_mark("repeat a random sequence."), options=("symbols",),
        next_token=True,
    ),
    TaskCard(
        name="reverse", title=tr_mark("Reverse"), summary=tr_mark("say a random sequence backwards."),
        options=("symbols",),
    ),
    TaskCard(
        name="induction", title=tr_mark("Induction"), options=("symbols",), next_token=True,
        summary=tr_mark("go on with a sequence that repeats after an unknown number of symbols."),
    ),
    TaskCard(
        name="recall", title=tr_mark("Recall"), summary=tr_mark("look up the value of a key seen before."),
        options=("symbols",),
    ),
    TaskCard(
        name="multi_lag", title=tr_mark("Several lags"), options=("symbols",), kind="answers", answers=4,
        summary=tr_mark("name the symbols 1, 3, 6 and 10 places back, all four at once."),
    ),
    TaskCard(
        name="digits", title=tr_mark("Digits"), options=("held_out",), kind="classes", classes=10, frames=16,
        features=4, summary=tr_mark("tell handwritten digits apart: images of 8 × 8 in 16 patches."),
    ),
    TaskCard(
        name="audio", title=tr_mark("Sounds"), options=(), kind="classes", classes=8, frames=32, features=64,
        summary=tr_mark("tell eight kinds of tones apart: spectra of 32 moments."),
    ),
    TaskCard(
        name="noise", title=tr_mark("Noise in frames"), options=("frames", "features", "classes"), kind="classes",
        classes=1000, frames=196, features=768, accuracy=False,  # where the configuration says nothing else
        summary=tr_mark("random frames of any size and number, with a random class: nothing to learn."),
    ),
)}


def card_of(task: str, frames: int, features: int, classes: int) -> TaskCard:
    """The card of a task, with the sizes that the configuration gives where they are its to give."""
    card = TASKS[task]
    if "frames" not in card.options:
        return card
    return msgspec.structs.replace(card, frames=frames, features=features, classes=classes)


CLASSIFICATION = tuple(name for name, card in TASKS.items() if card.kind == "classes")
