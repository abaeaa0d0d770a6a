"""How numbers, durations and text from files are written for a person."""

from __future__ import annotations

import math
import unicodedata
from typing import Any

from ..durability.files import json_text

UNKNOWN = "–"
"""What stands where a number is not known."""

_JOINERS = "\u200c\u200d"
"""Invisible, but parts of ordinary Persian words and emoji."""


def printable(text: object, *, keep_newlines: bool = False) -> str:
    """`text` with everything that could steer a terminal or reorder a line written as escapes."""
    plain = str(text)
    if plain.isascii() and plain.isprintable():
        return plain
    return "".join(_printable(character, keep_newlines) for character in plain)


def _printable(character: str, keep_newlines: bool) -> str:
    if (character == "\n" and keep_newlines) or character in _JOINERS:
        return character
    category = unicodedata.category(character)
    if category[0] == "C" or category in {"Zl", "Zp"}:
        return character.encode("unicode_escape").decode("ascii")
    return character


def shortened(text: str, limit: int) -> str:
    """`text`, cut at the end where it is longer than `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def setting(value: Any, limit: int = 60) -> str:
    """A configuration value as short JSON."""
    return shortened(printable(json_text(value)), limit)


def duration(seconds: float | None) -> str:
    """Seconds as ``0:07``, ``1:02:03`` or ``2 d 03:04 h``."""
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    minutes, second = divmod(round(max(seconds, 0.0)), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} d {hour:02}:{minute:02} h"
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def whole(number: float | None) -> str:
    """A count with thousands separated: ``10,240``."""
    return UNKNOWN if number is None or not math.isfinite(number) else f"{number:,.0f}"


def rate(per_second: float | None) -> str:
    """A speed in at most six characters: ``1,234`` or ``56.7k``."""
    if per_second is None or not math.isfinite(per_second):
        return UNKNOWN
    if per_second >= 10_000:
        return f"{per_second / 1000:.1f}k"
    return f"{per_second:,.0f}" if per_second >= 10 else f"{per_second:.1f}"


def measured(number: float | None, *, beside: float | None = None) -> str:
    """A return or an effect with about four significant digits, or as many as its neighbour."""
    if number is None:
        return UNKNOWN
    size = abs(number if beside is None else beside)
    if not math.isfinite(number) or size >= 1e7 or 0 < size < 1e-3:
        return f"{number:.3g}"
    digits = 0 if size >= 10_000 else 1 if size >= 100 else 2 if size >= 1 or not size else 4
    return f"{number:,.{digits}f}"


def spread(mean: float | None, deviation: float | None) -> str:
    """A mean with its standard deviation where there is one."""
    if deviation is None:
        return measured(mean)
    return f"{measured(mean)} ± {measured(deviation, beside=mean)}"


def megabytes(mb: float | None) -> str:
    """A size given in MiB: ``512 MiB``, ``1.5 GiB``."""
    if mb is None or not math.isfinite(mb):
        return UNKNOWN
    if mb >= 1024:
        return f"{mb / 1024:,.1f} GiB"
    return f"{mb:.0f} MiB" if mb >= 10 else f"{mb:.1f} MiB"


def plural(count: int, word: str, words: str | None = None) -> str:
    """``1 run``, ``2 runs``."""
    return f"{count:,} {word if count == 1 else words or word + 's'}"


def not_needed(runs: int, steps: float) -> str:
    """How many planned runs a rule has ended an experiment without, and what they took."""
    spent = f", but {whole(steps)} of their steps were trained" if steps else ""
    return f"{plural(runs, 'planned run')} {'was' if runs == 1 else 'were'} not needed{spent}"


def moment(text: object) -> str:
    """An ISO 8601 moment to the minute: ``2030-01-02 03:04``."""
    return str(text)[:16].replace("T", " ") if text else UNKNOWN
