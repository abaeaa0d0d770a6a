"""The list as lines of text; Rich would take half a second for the table of a thousand."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence

from rich.cells import cell_len, set_cell_size

from .overview import Overview
from .wording import UNKNOWN, moment, printable, shortened

HEADINGS = ("id", "status", "verdict", "runs", "created", "hypothesis")
HYPOTHESIS_CHARACTERS = 60
FEWEST_CHARACTERS = 20
"""A hypothesis that has less room is not worth a column."""
NARROWEST = 40
_GAP = "  "

Row = tuple[str, ...]


def terminal_width() -> int | None:
    """Columns of the terminal; None where lines of any length are as good, as in a pipe."""
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        return max(NARROWEST, shutil.get_terminal_size().columns)
    return None


def overview_lines(
    entries: Sequence[Overview], width: int | None, *, in_full: bool = False
) -> Iterator[str]:
    """A line for each experiment; several where the terminal is too narrow, or all is asked for.

    An id is never cut: it is what other commands are given.
    """
    rows = [_cells(entry) for entry in entries]
    widths = [max(map(cell_len, column)) for column in zip(HEADINGS, *rows, strict=True)]
    room = HYPOTHESIS_CHARACTERS if width is None else width - sum(widths[:-1]) - 5 * len(_GAP)
    if in_full:
        for entry, row in zip(entries, rows, strict=True):
            yield from _in_full(entry, row, width)
    elif room < FEWEST_CHARACTERS:
        for row in rows:
            yield from _on_two_lines(row, widths, width or room)
    else:
        widths[-1] = min(widths[-1], room)
        yield _line(HEADINGS, widths)
        yield _GAP.join("─" * each for each in widths)
        yield from (_line(row, widths) for row in rows)


def _cells(entry: Overview) -> Row:
    return (
        entry.experiment_id,
        printable(entry.status),
        printable(entry.verdict or UNKNOWN),
        f"{entry.runs_done}/{'?' if entry.runs is None else entry.runs}",
        printable(moment(entry.created)),
        shortened(printable(entry.hypothesis or UNKNOWN), HYPOTHESIS_CHARACTERS),
    )


def _line(row: Row, widths: Sequence[int]) -> str:
    cells = (fitted(cell, width) for cell, width in zip(row, widths, strict=True))
    return _GAP.join(cells).rstrip()


def _on_two_lines(row: Row, widths: Sequence[int], width: int) -> Iterator[str]:
    experiment_id, *facts, hypothesis = row
    room = max(width - cell_len(experiment_id) - len(_GAP), 0)
    yield f"{experiment_id}{_GAP}{fitted(hypothesis, room)}".rstrip()
    yield _GAP + _line(tuple(facts), widths[1:-1])


def _in_full(entry: Overview, row: Row, width: int | None) -> Iterator[str]:
    experiment_id, status, verdict, runs, created, _ = row
    yield experiment_id
    told = {
        "hypothesis": printable(entry.hypothesis),
        "comment": printable(entry.comment),
        "tags": ", ".join(map(printable, entry.tags)),
        "trains": printable(
            f"{', '.join(entry.algorithms)} on {', '.join(entry.environments)}"
            if entry.algorithms and entry.environments
            else ""
        ),
        "status": f"{status}, {runs} runs{_not_needed(entry)}, created {created}",
        "verdict": verdict if entry.verdict else "",
        "problem": "; ".join(map(printable, entry.problems)),
    }
    for name, text in told.items():
        if text:
            yield from _wrapped(f"{_GAP}{name:<10}{_GAP}", text, width)


def _not_needed(entry: Overview) -> str:
    return f" ({entry.runs_not_needed} more were not needed)" if entry.runs_not_needed else ""


def _wrapped(heading: str, text: str, width: int | None) -> list[str]:
    if width is None:
        return [heading + text]
    indent = " " * len(heading)
    return textwrap.wrap(text, width, initial_indent=heading, subsequent_indent=indent)


def fitted(text: str, width: int) -> str:
    """`text` in exactly so many columns of a terminal, cut with an ellipsis where it is longer."""
    if cell_len(text) <= width:
        return text + " " * (width - cell_len(text))
    return f"{set_cell_size(text, width - 1)}…" if width > 0 else ""
