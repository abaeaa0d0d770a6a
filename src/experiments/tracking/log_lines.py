"""Log lines as data: of the streams, and of the log files."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

MOST_LINES_OF_A_FILE = 10_000
"""A log that is longer is told from its end."""

_LINE = re.compile(
    r"(?P<moment>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,6})?(?:Z|[+-]\d\d:?\d\d)?)"
    r"[\s|-]+\[?(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL)\]?[\s|:-]+(?P<text>.*)"
)


@dataclass(frozen=True)
class LogLine:
    """One text that was logged."""

    timestamp: str | None
    """ISO 8601, UTC, with milliseconds."""
    level: str
    run: str | None
    """Name of the run; None for the experiment as a whole."""
    text: str


def from_epoch(seconds: object) -> str | None:
    """A moment as ISO 8601 in UTC; None for what is no moment."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    try:
        return _iso(datetime.fromtimestamp(seconds, UTC))
    except (ValueError, OverflowError, OSError):
        return None


def read_log(path: Path) -> list[LogLine]:
    """The lines of a log file; what follows a line without a time of its own belongs to it."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return list(deque(_parse(file), maxlen=MOST_LINES_OF_A_FILE))
    except FileNotFoundError:
        return []


def _parse(file: Iterable[str]) -> Iterator[LogLine]:
    current: LogLine | None = None
    texts: list[str] = []
    for line in (part for piece in file for part in piece.splitlines()):
        match = _LINE.fullmatch(line)
        moment = _moment(match["moment"]) if match else None
        if match and moment:
            if current:
                yield replace(current, text="\n".join(texts))
            current = LogLine(moment, match["level"], None, match["text"])
            texts = [match["text"]]
        elif current:
            texts.append(line)
    if current:
        yield replace(current, text="\n".join(texts))


def _moment(text: str) -> str | None:
    try:
        return _iso(datetime.fromisoformat(text.replace(",", ".")))
    except ValueError:
        return None


def _iso(moment: datetime) -> str:
    # a log without a zone is in local time
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
