"""An experiment's answer as a row of a LaTeX table, from the content of its `results.json`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from .text import interval_text, mean_with_deviation, metric_label, number, p_value_text, visible

Document = Mapping[str, Any]

ARMS = ("baseline", "variant")
NOTHING = "--"
SMALLEST_P = 1e-4
"""Below this a p-value is not told in digits."""

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "{''}",
}
_LIGATURE = re.compile("-(?=-)")
"""Two hyphens in a row would become a dash."""
_IN_MATH = {"−": "-", ",": "{,}", "±": r"\pm", "∞": r"\infty"}


def latex_table(document: Document) -> str:
    """A whole table of the package booktabs, with the experiment as its one row."""
    comparison = _mapping(document.get("comparison"))
    metric = escaped(metric_label(_metric(comparison)))
    heads = ["Experiment", "Environment", "Seeds", "Baseline", "Variant", "Difference"]
    heads += [f"{_level(comparison)} interval", "$p$"]
    return "\n".join(
        (
            r"% \usepackage{booktabs}",
            f"% {metric}: mean and standard deviation over seeds",
            "% difference: variant minus baseline; p: permutation test",
            r"\begin{tabular}{llrrrrrr}",
            r"\toprule",
            " & ".join(heads) + r" \\",
            r"\midrule",
            latex_row(document),
            r"\bottomrule",
            r"\end{tabular}",
        )
    )


def latex_row(document: Document) -> str:
    r"""The row alone, ``\\`` included: id, environment, seeds, both arms, effect, interval, p."""
    comparison = _mapping(document.get("comparison"))
    scores = {arm: _scores(document, arm, _metric(comparison)) for arm in ARMS}
    effect = comparison.get("effect")
    cells = [
        escaped(str(document.get("experiment_id") or "")),
        escaped(_environment(document)),
        _seeds(scores),
        *(_mean(scores[arm]) for arm in ARMS),
        NOTHING if effect is None else _math(number(effect, signed=True)),
        _interval(comparison.get("interval")),
        _p_value(comparison.get("p_value")),
    ]
    return " & ".join(cells) + r" \\"


def escaped(text: str) -> str:
    """Text that LaTeX sets as it stands; what cannot be seen is written as an escape."""
    line = " ".join(visible(text).split())
    return _LIGATURE.sub("-{}", "".join(_ESCAPES.get(sign, sign) for sign in line))


def _metric(comparison: Document) -> str:
    return str(comparison.get("metric") or "final_return")


def _scores(document: Document, arm: str, metric: str) -> list[float]:
    """What the verdict rests on: the runs that are analysed, failed ones with what they count."""
    runs = [run for run in document.get("runs") or () if run.get("arm") == arm]
    each = (_score(run, metric) for run in runs if run.get("analysed", True))
    return [value for value in each if value is not None]


def _score(run: Document, metric: str) -> float | None:
    own = run.get(metric) if run.get("status") == "completed" else None
    for value in (run.get("imputed"), own):
        if isinstance(value, int | float) and math.isfinite(value):
            return float(value)
    return None


def _environment(document: Document) -> str:
    arms = _mapping(document.get("arms"))
    names = (str(_mapping(arms.get(arm)).get("environment") or "") for arm in ARMS)
    return ", ".join(name for name in dict.fromkeys(names) if name)


def _seeds(scores: Mapping[str, Sequence[float]]) -> str:
    counts = [len(scores[arm]) for arm in ARMS]
    return str(counts[0]) if counts[0] == counts[1] else f"{counts[0]}/{counts[1]}"


def _mean(scores: Sequence[float]) -> str:
    if not scores:
        return NOTHING
    return _math(mean_with_deviation(fmean(scores), stdev(scores) if len(scores) > 1 else None))


def _interval(interval: Any) -> str:
    if not interval:
        return NOTHING
    low, _, high = interval_text((interval[0], interval[1])).partition(" to ")
    return f"$[{_in_math(low)},\\, {_in_math(high)}]$"


def _p_value(p_value: float | None) -> str:
    if p_value is None:
        return NOTHING
    return f"$< {SMALLEST_P:.4f}$" if p_value < SMALLEST_P else f"${p_value_text(p_value)}$"


def _level(comparison: Document) -> str:
    """Of the interval: in a group-sequential design that of the last look's."""
    looks = comparison.get("looks") or ()
    level = float(looks[-1]["level"]) if looks else 1 - float(comparison.get("alpha") or 0.05)
    return rf"{100 * level:.4g}\,\%"


def _math(text: str) -> str:
    return f"${_in_math(text)}$"


def _in_math(text: str) -> str:
    return "".join(_IN_MATH.get(sign, sign) for sign in text)


def _mapping(value: Any) -> Document:
    return value if isinstance(value, Mapping) else {}
