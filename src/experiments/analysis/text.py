"""How numbers, durations and foreign text are written where a person reads them."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from datetime import timedelta

METRIC_LABELS = {
    "final_return": "final return",
    "final_mean_reward": "mean return of the final evaluation",
    "auc": "average evaluation return",
}
ABSENT = "–"
MOST_LISTED = 10
"""Things that are told one by one in a sentence."""
_READABLE_WHITESPACE = "\n\t"
_HIDDEN_CATEGORIES = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def number(value: float | None, *, signed: bool = False) -> str:
    """A score in three or four significant digits, such as ``−1,204`` or ``0.0312``."""
    if value is None or math.isnan(value):
        return ABSENT
    return _signed(value, _digits(abs(value)), positive="+" if signed else "")


def mean_with_deviation(mean: float | None, deviation: float | None) -> str:
    """A mean and its standard deviation, such as ``475.2 ± 12.1``; without one, the mean alone."""
    if mean is None or deviation is None or not math.isfinite(mean + deviation):
        return number(mean)
    digits = _digits(max(abs(mean), deviation))
    return f"{_signed(mean, digits)} ± {_signed(deviation, digits)}"


def interval_text(interval: tuple[float, float]) -> str:
    """An interval, such as ``−3.1 to 12.4``."""
    digits = _digits(max(map(abs, interval)))
    return f"{_signed(interval[0], digits)} to {_signed(interval[1], digits)}"


def p_value_text(p_value: float | None) -> str:
    """A p-value with two significant digits, such as ``0.029``; a tiny one as ``< 0.0001``."""
    if p_value is None:
        return ABSENT
    if p_value < 0.0001:
        return "< 0.0001"
    return f"{p_value:.4f}" if p_value < 0.001 else f"{p_value:.2g}"


def p_value_equation(p_value: float) -> str:
    """The same in a sentence: ``p = 0.029``, ``p < 0.0001``."""
    told = p_value_text(p_value)
    return f"p {told}" if told.startswith("<") else f"p = {told}"


def percent(share: float) -> str:
    """A share as a percentage without needless digits, such as ``95 %``."""
    return f"{100 * share:.4g} %"


def duration(seconds: float | None) -> str:
    """Seconds as a person says them, such as ``1 min 24 s``."""
    if seconds is None or not math.isfinite(seconds):
        return ABSENT
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    whole = timedelta(seconds=round(seconds))
    hours, rest = divmod(whole.seconds, 3600)
    hours += 24 * whole.days
    minutes, left = divmod(rest, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {left:02d} s"


def plural(count: int, word: str) -> str:
    """A count with its noun, such as ``1 seed`` or ``5 seeds``."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def listed(items: Sequence[str], separator: str = ", ") -> str:
    """The items in a row; of very many the first, and how many more there are."""
    if len(items) <= MOST_LISTED:
        return separator.join(items)
    return separator.join((*items[:MOST_LISTED], f"and {len(items) - MOST_LISTED} more"))


def metric_label(metric: str) -> str:
    """The metric of a decision rule in words."""
    return METRIC_LABELS.get(metric, metric)


def visible(text: str) -> str:
    """Text whose control characters, also those that turn its direction, are seen, not obeyed."""
    return "".join(
        f"\\u{ord(sign):04x}" if _is_hidden(sign) else sign for sign in text.replace("\r\n", "\n")
    )


def _is_hidden(sign: str) -> bool:
    return sign not in _READABLE_WHITESPACE and unicodedata.category(sign) in _HIDDEN_CATEGORIES


def _digits(size: float) -> str:
    """The format of a number of this size, and of those that stand beside it."""
    if size == 0:
        return ".0f"
    if not 1e-3 <= size < 1e7:
        return ".3g"
    if size >= 1000:
        return ",.0f"
    if size >= 100:
        return ".1f"
    return ".2f" if size >= 1 else f".{2 - math.floor(math.log10(size))}f"


def _signed(value: float, digits: str, positive: str = "") -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    sign = "−" if value < 0 else positive if value > 0 else ""
    return sign + format(abs(value), digits)
