"""The findings of experiments in words: templates and arguments, so that whoever shows them can translate."""

from __future__ import annotations

import math

from tfx_engine.protocol.experiments import Expectation
from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.analysis.verdict import Finding, Verdict

VERDICTS: dict[Verdict, str] = {
    "holds": tr_mark("holds"), "fails": tr_mark("does not hold"), "unclear": tr_mark("not distinguishable"),
    "unmeasured": tr_mark("not yet measured"),
}
UNKNOWN = "–"
_NAMES = {
    "value": "{of}", "difference": "{of} − {to}", "ratio": "{of} / {to}",
    "share": "({from_} − {of}) / ({from_} − {to})",
}  # fmt: skip


def number(value: float | None) -> str:
    """Three digits that say something, or all of a count: `0.0123`, `12,345`, `2.3e−14`."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if value == round(value) and abs(value) < 1e9:
        return f"{value:,.0f}".replace("-", "−")
    if not 1e-3 <= abs(value) < 1e6:
        return f"{value:.1e}".replace("-", "−")
    return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(value))))}f}".replace("-", "−")


def sentence_arguments(expectation: Expectation, finding: Finding) -> dict[str, str]:
    """What stands in the braces of an expectation's sentence."""
    numbers = {"value": finding.value, "low": finding.low, "high": finding.high, "of": finding.of, "to": finding.to}
    return {**{name: in_unit(value, expectation.unit) for name, value in numbers.items()}, "unit": expectation.unit}


def in_unit(value: float | None, unit: str) -> str:
    """A number in the unit of its expectation: shares as per cent, bytes as MiB, multiples with ×, times as ms."""
    if unit == "MiB" and value is not None:
        return f"{number(value / 2**20)} MiB"
    if unit == "%" and value is not None:
        return f"{number(100 * value)} %"
    if unit in ("×", "ms") and value is not None:
        return f"{number(value)} {unit}"
    return number(value)


def interval(finding: Finding, unit: str = "") -> str:
    """`0.812 [0.790, 0.834]`; of what is exact the number alone."""
    if finding.value is None:
        return UNKNOWN
    if finding.low is None or finding.low == finding.high:
        return in_unit(finding.value, unit)
    return f"{in_unit(finding.value, unit)} [{in_unit(finding.low, unit)}, {in_unit(finding.high, unit)}]"


def spread_of(expectation: Expectation, finding: Finding) -> str:
    """What a sentence lacks that does not say its interval itself: ` (difference 0.8 [0.7, 0.9])`."""
    if expectation.exact or finding.low is None or "{low}" in expectation.says:
        return ""
    if expectation.statistic == "difference":
        return tr_mark(" (difference {interval})").format(interval=interval(finding, expectation.unit))
    if expectation.statistic == "ratio":
        return tr_mark(" (ratio {interval})").format(interval=interval(finding, expectation.unit))
    ends = (in_unit(end, expectation.unit) for end in (finding.low, finding.high))
    return " [{}, {}]".format(*ends)


def with_spread(says: str, expectation: Expectation, finding: Finding) -> str:
    """A sentence with its numbers and their interval; `says`: that of the expectation, translated or not."""
    text = says.format_map(sentence_arguments(expectation, finding))
    end = text[-1] if text.endswith((".", ",", ":")) else ""
    return text[: len(text) - len(end)] + spread_of(expectation, finding) + end


def seeds_of(expectation: Expectation, finding: Finding) -> str:
    """Of how many seeds an interval is; what is exact needs none."""
    if expectation.exact:
        return tr_mark("exact")
    return str(finding.seeds) if finding.seeds else UNKNOWN


def expected(expectation: Expectation) -> str:
    """`≥ 0.6`, `0 ... 0.2`, `= 1`."""
    low, high = expectation.at_least, expectation.at_most
    unit = expectation.unit if expectation.statistic in ("value", "difference") or expectation.unit == "%" else ""
    if low is not None and high is not None:
        return f"= {in_unit(low, unit)}" if low == high else f"{in_unit(low, unit)} … {in_unit(high, unit)}"
    return f"≥ {in_unit(low, unit)}" if low is not None else f"≤ {in_unit(high, unit)}"


def what_is_measured(expectation: Expectation) -> str:
    """The statistic as a formula of variants: `accuracy: sinusoidal − none`."""
    e = expectation
    if e.statistic == "unbeaten":
        return tr_mark("unbeaten: {goal}").format(goal=e.goal.replace("_", " "))
    names = {key: value.replace("_", " ") for key, value in (("of", e.of), ("to", e.to), ("from_", e.from_))}
    if e.statistic in _NAMES:
        formula = _NAMES[e.statistic].format(**names)
    else:
        along = " → ".join(name.replace("_", " ") for name in (e.over[0], e.over[-1]))
        formula = (tr_mark("slope, {along}") if e.statistic == "slope" else tr_mark("least fall, {along}")).format(
            along=along)
    return f"{e.metric}: {formula}"
