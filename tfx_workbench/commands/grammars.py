"""What can be typed after each command: one small function for each."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from tfx_engine.protocol.marker import tr_mark

SORTS = ("created", "name", "status", "steps", "size", "speed", "memory", "loss", "params")


# As `exporting.formats` and `exporting.tables` have them, which are loaded when they are needed; a test compares.
_FORMATS = ("csv", "parquet", "json", "trace", "tensorboard", "script", "bundle")
_TABLES = ("steps", "layers", "memory", "evaluations", "device", "times", "predictions", "audit", "events", "all")


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("configs", nargs="+", metavar="CONFIG", help=tr_mark("a TOML file"))
    _add_set(parser)
    parser.add_argument("--on-disconnect", choices=("stop", "finish"), default="stop",
                        help=tr_mark("what becomes of the runs when this command dies"))
    _add_interleave(parser)


def _check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", help=tr_mark("a TOML file"))
    _add_set(parser)


def _audit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("subject", metavar="CONFIG|RUN", help=tr_mark("a TOML file, or a run that has ended: "
                        "its file keeps what is found"))
    _add_set(parser)


def _estimate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", help=tr_mark("a TOML file"))
    _add_set(parser)
    parser.add_argument("--device-memory", metavar="SIZE",
                        help=tr_mark("whether it fits there: 24GiB, or a device's name such as 'RTX 4090'"))
    parser.add_argument("--instant", action="store_true", help=tr_mark("closed forms alone"))


def _frontier(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", help=tr_mark("a TOML file"))
    _add_set(parser)
    parser.add_argument("--grow", choices=("batch", "context", "layers"), default="batch",
                        help=tr_mark("what becomes as large as fits (batch)"))
    parser.add_argument("--with", dest="techniques", action="append", default=[], metavar="SLOT=TECHNIQUE",
                        help=tr_mark("a technique to look at beside the configuration as it is; may be "
                                     "repeated; left out: those that save memory"))
    parser.add_argument("--device-memory", metavar="SIZE",
                        help=tr_mark("what it must fit into: 24GiB, or a device's name such as 'RTX 4090'"))
    parser.add_argument("--predict-only", action="store_true", help=tr_mark("without the runs that confirm it"))


def _experiment(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help=tr_mark("a name, a number, or a file of "
                        "one's own (.toml); left out: all that ship"))
    parser.add_argument("--all", action="store_true", help=tr_mark("all that ship; --again from the beginning"))
    parser.add_argument("--list", action="store_true", help=tr_mark("what there is, and what came of it here"))
    parser.add_argument("--markdown", action="store_true", help=tr_mark("the same as a table of Markdown"))
    parser.add_argument("--into", metavar="FILE", help=tr_mark("write that table into a file, between its two marks"))
    parser.add_argument("--again", action="store_true", help=tr_mark("forget what was measured of them before"))


def _ablate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", nargs="?", metavar="CONFIG", help=tr_mark("a TOML file: the base"))
    _add_set(parser)
    parser.add_argument("--design", choices=("one-at-a-time", "leave-one-out", "factorial", "sweep"),
                        help=tr_mark("which combinations (one-at-a-time)"))
    parser.add_argument("--over", action="append", default=[], metavar="WHAT=A,B,...",
                        help=tr_mark("what is varied: adapter=lora,dora, or adapter.rank=4,8, or "
                                     "model.width=64..512:log:4; may be repeated"))
    parser.add_argument("--seeds", type=int, metavar="N",
                        help=tr_mark("runs of each configuration, with as many seeds (1)"))
    parser.add_argument("--dry-run", action="store_true", help=tr_mark("the plan alone: runs, minutes, memory"))
    parser.add_argument("--instant", action="store_true",
                        help=tr_mark("predict by closed forms alone: quick, and without the time"))
    parser.add_argument("--resume", metavar="ID", help=tr_mark("go on with an ablation that was begun"))
    parser.add_argument("--again", action="store_true", help=tr_mark("run what failed once more"))
    parser.set_defaults(on_disconnect="stop")
    _add_interleave(parser)


def _techniques(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help=tr_mark("a technique, slot, or slot/technique"))


def _import_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", help=tr_mark("a config.json, or a model's folder"))
    parser.add_argument("-o", "--output", metavar="FILE", help=tr_mark("the configuration (.toml); the weights "
                        "of the folder's checkpoint go beside it (.safetensors)"))
    parser.add_argument("--no-weights", action="store_true", help=tr_mark("only the configuration"))
    parser.add_argument("--force", action="store_true", help=tr_mark("overwrite what is there"))


def _trust(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME",
                        help=tr_mark("a folder with technique files, or an installed package that brings some"))
    parser.add_argument("--forget", action="store_true", help=tr_mark("load them no more"))
    parser.add_argument("--yes", action="store_true", help=tr_mark("do not ask"))


def _engine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("python", nargs="?", metavar="PYTHON",
                        help=tr_mark("a Python with torch, such as /path/to/venv/bin/python"))
    parser.add_argument("--built-in", action="store_true", help=tr_mark("the Python that this program brings"))


def _list_runs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("query", nargs="*", metavar="WORD", help=tr_mark(
        "only runs that all of these find, such as: rotary tag:paper \"loss<2\" -- -status:failed"))
    parser.add_argument("--sort", choices=SORTS, default="created", help=tr_mark("in which order (created)"))
    parser.add_argument("--reverse", action="store_true", help=tr_mark("the other way round"))


def _annotate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help=tr_mark("a path, a file name, a name, or how one begins"))
    parser.add_argument("--name", metavar="NAME", help=tr_mark("call it something else"))
    parser.add_argument("--note", metavar="TEXT", help=tr_mark("replace its note"))
    parser.add_argument("--tag", action="append", default=[], metavar="TAG", help=tr_mark("may be repeated"))
    parser.add_argument("--untag", action="append", default=[], metavar="TAG", help=tr_mark("may be repeated"))


def _compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN", help=tr_mark("the first one is the baseline"))


def _report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN", help=tr_mark("the first one is the baseline"))
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help=tr_mark(
        "the file to write: .html or .pdf; .svg, .png or .csv hold one exhibit"))
    parser.add_argument("--exhibits", metavar="NAME,...", help=tr_mark("only these; left out: all there are"))
    parser.add_argument("--each-run", action="store_true", help=tr_mark(
        "exhibits about a single run for every run, not only for the baseline"))
    parser.add_argument("--title", metavar="TEXT", help=tr_mark("what stands at the top"))
    parser.add_argument("--force", action="store_true", help=tr_mark("replace a file that is there"))
    # For the window: the colours that it shows the runs in, and lines of progress on stderr.
    parser.add_argument("--colours", type=_places, help=argparse.SUPPRESS)
    parser.add_argument("--progress", action="store_true", help=argparse.SUPPRESS)


def _places(text: str) -> list[int]:
    """Places in the palette, with commas between them."""
    return [int(part) for part in text.split(",")]


def _export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN", help=tr_mark(
        "a path, a file name, a name, or how one begins; a bundle may hold several"))
    parser.add_argument("--format", choices=_FORMATS, required=True, help=tr_mark(
        "csv, parquet: a table; json: everything; trace: operators of a profiled step, for Perfetto; "
        "tensorboard: an event file; script: one PyTorch program; bundle: all that another needs to repeat it"))
    parser.add_argument("-o", "--output", metavar="PATH", required=True, help=tr_mark(
        "the file to write ('-': stdout, of csv, json and script); a folder for tensorboard and --table all"))
    parser.add_argument("--table", choices=_TABLES,
                        help=tr_mark("which table of csv and parquet (steps)"))
    parser.add_argument("--force", action="store_true", help=tr_mark("overwrite what is there"))


def _reproduce(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", metavar="BUNDLE", help=tr_mark("a file that `export --format bundle` wrote"))
    parser.add_argument("--check", action="store_true", help=tr_mark("only look whether it is whole"))


def _doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--measure", action="store_true",
                        help=tr_mark("measure now how fast this machine's devices are: some seconds for each"))


def _one_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help=tr_mark("a path, a file name, a name, or how one begins"))


def _rescue(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help=tr_mark("a run file that is damaged or cut off"))
    parser.add_argument("-o", "--output", metavar="FILE", help=tr_mark(
        "the run file to write; left out: beside it, with `-rescued` in its name"))


def _nothing(_parser: argparse.ArgumentParser) -> None:
    pass


def _add_interleave(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--interleave", action="store_true", help=tr_mark(
        "compare fairly: the runs take turns of a few steps, in rounds of new processes; the first is the baseline"))
    parser.add_argument("--precision", metavar="PERCENT", help=tr_mark(
        "with --interleave: stop once every interval is as narrow as +-PERCENT (2%%)"))
    parser.add_argument("--rounds", type=int, metavar="N",
                        help=tr_mark("with --interleave: at most so many rounds (30)"))
    parser.add_argument("--minutes", type=float, metavar="N", help=tr_mark(
        "with --interleave: at most so many minutes (10, where no --rounds are given)"))
    parser.add_argument("--no-control", action="store_true", help=tr_mark(
        "with --interleave: without a second copy of the baseline, which says how large this machine's noise is"))


def _add_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                        help=tr_mark("change a key of the configurations, such as model.layers=2; may be repeated"))


# Every command: what it is for, and what adds its arguments.
GRAMMARS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "run": (tr_mark("run configurations one after the other, without a window"), _run),
    "estimate": (tr_mark("what a configuration will cost, before it is run"), _estimate),
    "check": (tr_mark("every problem of a configuration"), _check),
    "audit": (tr_mark("whether techniques do what they claim"), _audit),
    "techniques": (tr_mark("what there is to choose from"), _techniques),
    "list": (tr_mark("the runs in the store, or those that a search finds"), _list_runs),
    "show": (tr_mark("the figures of one run"), _one_run),
    "compare": (tr_mark("runs against the first of them"), _compare),
    "report": (tr_mark("runs as one HTML or PDF to hand on; one exhibit as SVG, PNG or CSV"), _report),
    "export": (
        tr_mark("a run as a table, JSON, a trace, TensorBoard events, a PyTorch program or a bundle"), _export),
    "reproduce": (tr_mark("run a bundle of somebody else here, and compare"), _reproduce),
    "stop": (tr_mark("stop a run; what was measured is kept"), _one_run),
    "pause": (tr_mark("pause a run"), _one_run),
    "resume": (tr_mark("go on with a paused run"), _one_run),
    "import": (tr_mark("a published model's config.json, and its weights, as a configuration"), _import_model),
    "trust": (tr_mark("techniques of your own: which folders and packages are loaded"), _trust),
    "engine": (tr_mark("in which Python runs are done: one of your own may know your GPU"), _engine),
    "doctor": (tr_mark("what works here, what does not, and what to type"), _doctor),
    "frontier": (tr_mark("the largest batch, context or number of layers that fits, with each technique"), _frontier),
    "rescue": (tr_mark("what can still be read of a damaged run file, as a new one"), _rescue),
    "annotate": (tr_mark("a run's name, note and tags"), _annotate),
    "experiment": (tr_mark("what textbooks claim, tried on this machine"), _experiment),
    "guide": (tr_mark("when to choose what, by what was measured here"), _nothing),
    "ablate": (tr_mark("what each choice does, alone or together: many runs, one table"), _ablate),
}
