"""Rows of figures with bars between, cut to a terminal's width and drawn at little cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style

Cell = tuple[str, str]
"""A text and the style in which it is drawn, such as ``green``."""
Line = Sequence[Cell]

REST = "bright_black"
"""Style of what a bar has not reached; left out where there are no colours."""
LEAST_BAR, GOOD_BAR = 6, 10
"""Columns below which a bar says nothing, and little."""
_GAP = 1
_FULL, _HALF = "━", "╸"
_IN_ASCII = str.maketrans({_FULL: "-", _HALF: "-", "·": "-", "–": "-", "…": ".", "±": "~"})


class Lines:
    """Lines of a view for `Console.print` and `Live`; no longer than they were made."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self._lines = tuple(lines)

    def __len__(self) -> int:
        return len(self._lines)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The segments, by hand: Rich's own tables would take a hundredth of a core and more."""
        is_coloured = console.color_system is not None and not console.no_color
        for line in self._lines:
            for text, style in line:
                if style == REST and not is_coloured:
                    text = " " * len(text)
                if options.ascii_only:
                    text = text.translate(_IN_ASCII)
                yield Segment(text, _style(style))
            yield Segment.line()


@dataclass(frozen=True)
class Row:
    """A name, what stands between, and figures; headings are such a row too."""

    name: Cell
    figures: Sequence[Cell]
    """In characters that take one column each."""
    bar: Sequence[tuple[float, str]] = ()
    """Shares of the bar, 0 to 1 together, each with its style; none for a row without a bar."""
    text: Cell | None = None
    """What stands in the bar's place."""


def grid(rows: Sequence[Row], width: int, *, widest_name: int, sheds: Sequence[int]) -> list[Line]:
    """The rows, one below the other, in columns that fit the width.

    Args:
        rows: a row may have fewer figures than another one.
        width: columns of the terminal.
        widest_name: columns after which a name is cut.
        sheds: which figures go, in this order, where there is too little room.
    """
    name_width = min(widest_name, max(cell_len(row.name[0]) for row in rows))
    widths = _widths(rows)
    left_out: set[int] = set()
    for column in sheds:
        if _total(name_width, widths, left_out) <= width:
            break
        left_out.add(column)
    figures_width = _total(0, widths, left_out)
    name_width = max(1, min(name_width, width - figures_width))
    bar_width = width - name_width - figures_width - _GAP
    lines: list[Line] = [
        [
            (_padded(row.name[0], name_width), row.name[1]),
            *(_middle(row, bar_width) if bar_width >= LEAST_BAR else ()),
            *_figures(row, widths, left_out),
        ]
        for row in rows
    ]
    return lines if name_width + figures_width <= width else [cut(line, width) for line in lines]


def fits(rows: Sequence[Row], width: int, *, widest_name: int) -> bool:
    """Whether there is room for every figure and a good bar."""
    name_width = min(widest_name, max(cell_len(row.name[0]) for row in rows))
    return _total(name_width, _widths(rows), set()) + _GAP + GOOD_BAR <= width


def bar(shares: Sequence[tuple[float, str]], width: int) -> list[Cell]:
    """A bar of `width` columns whose shares, 0 to 1 together, have these styles."""
    cells: list[Cell] = []
    drawn, reached = 0, 0.0
    for share, style in shares:
        reached = min(1.0, reached + share)
        columns = int(reached * width + 1e-9) - drawn
        cells.append((_FULL * columns, style))
        drawn += columns
    if drawn < width and shares and reached * width - drawn >= 0.5:
        cells.append((_HALF, shares[-1][1]))
        drawn += 1
    cells.append((_FULL * (width - drawn), REST))
    return [cell for cell in cells if cell[0]]


def cut(line: Line, width: int) -> Line:
    """The line, with an ellipsis at its end where it is longer than `width` columns."""
    if sum(cell_len(text) for text, _ in line) <= width:
        return line
    cells: list[Cell] = []
    room = width - 1
    for text, style in line:
        columns = cell_len(text)
        if columns > room:
            cells.append((set_cell_size(text, room) + "…", style))
            break
        cells.append((text, style))
        room -= columns
    return cells


def _widths(rows: Sequence[Row]) -> list[int]:
    count = max(len(row.figures) for row in rows)
    return [
        max(len(row.figures[column][0]) for row in rows if column < len(row.figures))
        for column in range(count)
    ]


def _total(name_width: int, widths: Sequence[int], left_out: set[int]) -> int:
    figures = [width for column, width in enumerate(widths) if column not in left_out]
    return name_width + sum(figures) + _GAP * len(figures)


def _middle(row: Row, width: int) -> list[Cell]:
    gap = (" " * _GAP, "")
    if row.bar:
        return [gap, *bar(row.bar, width)]
    text, style = row.text or ("", "")
    return [gap, (_padded(text, width), style)]


def _figures(row: Row, widths: Sequence[int], left_out: set[int]) -> list[Cell]:
    return [
        (" " * _GAP + text.rjust(width), style)
        for column, ((text, style), width) in enumerate(zip(row.figures, widths, strict=False))
        if column not in left_out
    ]


def _padded(text: str, width: int) -> str:
    return cut([(text, "")], width)[0][0] if cell_len(text) > width else set_cell_size(text, width)


@cache
def _style(definition: str) -> Style | None:
    return Style.parse(definition) if definition else None
