"""The sections of a configuration besides its techniques: sizes, data, and how it is run."""

from __future__ import annotations

import dataclasses

from tfx_engine.protocol.options import option
from tfx_engine.protocol.tasks import TASKS

_TEN_TIMES = "about ten times a run, within the measuring budget"


def _tasks_with(name: str) -> dict[str, tuple[str, ...]]:
    """The tasks for which that key of `[data]` matters."""
    return {"task": tuple(card.name for card in TASKS.values() if name in card.options)}


@dataclasses.dataclass(frozen=True)
class Model:
    """Sizes of the transformer."""

    width: int = option(
        256, kind="int", label="width", low=1, high=1_000_000,
        help="Width of the residual stream, d: numbers per token between the blocks.",
    )
    layers: int = option(
        6, kind="int", label="layers", low=1, high=10_000,
        help="Blocks, L: attention and feed-forward, one after the other.",
    )
    heads: int = option(
        8, kind="int", label="heads", low=1, high=10_000, help="Attention heads per block, h.",
    )
    head_width: int | None = option(
        None, kind="int", label="head width", low=1, high=100_000, automatic="width / heads",
        help="Width of one head; free of width / heads where it is given.",
    )
    context: int = option(
        256, kind="int", label="context", low=2, high=10_000_000, unit="tokens",
        help="Tokens per sample, T. Digits and sounds come with a length of their own.",
    )
    vocab: int | None = option(
        None, kind="int", label="vocabulary", low=2, high=10_000_000, unit="tokens",
        automatic="256 (bytes), or the tokens of bpe",
        help="Number of different tokens, V.",
    )
    bias: bool = option(
        True, kind="bool", label="biases",
        help="Biases in all linear layers; attention and feed-forward can override it.",
    )


@dataclasses.dataclass(frozen=True)
class Data:
    """What the model learns."""

    task: str = option(
        "text", kind="choice", label="task", choices=tuple(TASKS),
        help=" ".join(f"{card.name}: {card.summary}" for card in TASKS.values()),
    )
    path: str | None = option(
        None, kind="str", label="file or folder", automatic="the corpus", only_when=_tasks_with("path"),
        help="Text of your own: a file, or a folder whose text files are read in the order of their names.",
    )
    corpus: str = option(
        "python", kind="choice", label="corpus", choices=("python", "python_swapped", "grammar"),
        only_when=_tasks_with("corpus"),
        help="Text where no file is given. python: the language reference, which differs a little between versions of "
             "Python. python_swapped: the same with small and capital letters exchanged, to adapt to. grammar: "
             "sentences made by rules, the same everywhere.",
    )
    tokenizer: str = option(
        "bytes", kind="choice", label="tokenizer", choices=("bytes", "bpe"),
        only_when=_tasks_with("tokenizer"),
        help="bytes: every byte is a token. bpe: pieces of words, learned from the training part of the text by "
             "joining the most frequent pair again and again.",
    )
    bpe_vocab: int = option(
        1024, kind="int", label="tokens of bpe", low=257, high=8192, unit="tokens",
        only_when={**_tasks_with("bpe_vocab"), "tokenizer": ("bpe",)},
        help="Different tokens of the tokenizer bpe: the 256 bytes, and joined ones.",
    )
    held_out: float = option(
        0.1, kind="float", label="held out", low=0.01, high=0.5, only_when=_tasks_with("held_out"),
        help="Share of the data kept for the validation loss.",
    )
    train_bytes: int | None = option(
        None, kind="int", label="bytes to train on", low=2, high=2**62, unit="bytes", automatic="all of them",
        only_when=_tasks_with("train_bytes"),
        help="So many bytes of the training part are used, from its beginning; the held-out part stays as it is.",
    )
    symbols: int = option(
        16, kind="int", label="symbols", low=2, high=1_000_000, help="Different symbols in the synthetic tasks.",
        only_when=_tasks_with("symbols"),
    )
    frames: int = option(
        196, kind="int", label="frames", low=1, high=1_000_000, only_when=_tasks_with("frames"),
        help="Frames of a sample of noise. An image of 224 x 224 has 196 patches of 16 x 16.",
    )
    features: int = option(
        768, kind="int", label="numbers of a frame", low=1, high=1_000_000, only_when=_tasks_with("features"),
        help="Numbers of a frame of noise. A patch of 16 x 16 in three colours has 768.",
    )
    classes: int = option(
        1000, kind="int", label="classes", low=2, high=1_000_000, only_when=_tasks_with("classes"),
        help="Classes of noise. ImageNet has 1000.",
    )


@dataclasses.dataclass(frozen=True)
class Run:
    """How it is run and measured."""

    batch: int = option(
        8, kind="int", label="batch", low=1, high=1_000_000, unit="samples", help="Samples per step, B.",
    )
    warmup_steps: int = option(
        3, kind="int", label="warm-up steps", low=0, high=1_000_000, unit="steps",
        help="Steps before measuring starts; they train, but do not count in statistics.",
    )
    measure_steps: int = option(
        30, kind="int", label="measured steps", low=1, high=1_000_000_000, unit="steps", help="Steps that count.",
    )
    device: str = option(
        "auto", kind="str", label="device",
        help="auto, cpu, cuda, cuda:1, mps, xpu. auto takes the fastest there is.",
    )
    store: str | None = option(
        None, kind="str", label="store", automatic="the library", help="Folder of the run file.",
    )
    start_from: str | None = option(
        None, kind="str", label="start from", automatic="random weights",
        help="Weights to begin with: a .safetensors file that a run saved, or that run's own file.",
    )
    save_weights: bool = option(
        False, kind="bool", label="save the weights",
        help="At the end, write the weights beside the run file, as .safetensors; adapters are merged into them.",
    )
    probes: bool = option(
        True, kind="bool", label="measure everything", help="Off: nothing but the clock and the loss.",
    )
    probe_budget_percent: float = option(
        1.0, kind="float", label="measuring budget", low=0.1, high=100.0, unit="%",
        help="What measuring may cost of the time of the measured steps. Where it would cost more, gradient norms are "
             "read at fewer steps, and what is taken automatically comes less often; the first of a kind always comes.",
    )
    audit: bool = option(
        True, kind="bool", label="audit the techniques",
        help="At the end, prove on copies of the model that each technique does what its page says. Measuring switched "
             "off switches this off too.",
    )
    attention_every: int | None = option(
        None, kind="int", label="attention maps every", low=1, high=1_000_000_000, unit="steps",
        automatic=_TEN_TIMES, help="Steps between captures of the attention maps.",
    )
    memory_every: int | None = option(
        None, kind="int", label="memory split every", low=1, high=1_000_000_000, unit="steps", automatic=_TEN_TIMES,
        help="Steps between splits of the peak memory into categories; "
             "such a step does not count in the time statistics.",
    )
    validate_every: int | None = option(
        None, kind="int", label="held-out loss every", low=1, high=1_000_000_000, unit="steps", automatic=_TEN_TIMES,
        help="Steps between evaluations on the held-out data.",
    )
    profile: bool = option(
        True, kind="bool", label="profile some steps",
        help="After the measured steps, a few more that say where time goes, by part of the step and by component. "
             "They change no weight and count in no statistics.",
    )
    snapshot: bool = option(
        False, kind="bool", label="allocator snapshot",
        help="On CUDA: after the measured steps, write what the allocator holds and did in one step beside the run "
             "file, for PyTorch's memory viewer.",
    )
    on_nan: str = option(
        "continue", kind="choice", label="when the loss is not a number", choices=("continue", "stop", "find"),
        help="continue: say so and go on. stop: end the run there. find: look at every step before its update, say "
             "where it began, and end the run there; on a GPU the host waits for every step then. On the CPU it is "
             "always said where it began.",
    )
    threads: int | None = option(
        None, kind="int", label="CPU threads", low=1, high=4096, automatic="torch's choice",
        help="Threads of torch on the CPU.",
    )


SECTIONS: dict[str, type] = {"model": Model, "data": Data, "run": Run}
