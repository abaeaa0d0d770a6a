import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from src.experiments.cli.grid import REST, Line, Lines, Row, bar, cut, fits, grid

ROWS = [
    Row(("run", "dim"), [("steps/s", "dim"), ("left", "dim")]),
    Row(("baseline_seed1", ""), [("1,234", ""), ("0:04", "")], bar=((0.5, "cyan"),)),
]


def text(line: Line) -> str:
    return "".join(part for part, _ in line)


def printed(lines: Lines, **settings: object) -> str:
    console = Console(file=io.StringIO(), width=80, **settings)  # type: ignore[arg-type]
    with console.capture() as capture:
        console.print(lines, end="")
    return capture.get()


@pytest.mark.parametrize(
    ("shares", "cells"),
    [
        ([(0.0, "cyan")], [("━━━━━━━━━━", REST)]),
        ([(0.5, "cyan")], [("━━━━━", "cyan"), ("━━━━━", REST)]),
        ([(0.55, "cyan")], [("━━━━━", "cyan"), ("╸", "cyan"), ("━━━━", REST)]),
        ([(1.0, "cyan")], [("━━━━━━━━━━", "cyan")]),
        ([(1.5, "cyan")], [("━━━━━━━━━━", "cyan")]),
        (
            [(0.3, "green"), (0.1, "red"), (0.2, "cyan")],
            [("━━━", "green"), ("━", "red"), ("━━", "cyan"), ("━━━━", REST)],
        ),
        ([(1 / 3, "green"), (1 / 3, "red"), (1 / 3, "cyan")], None),
    ],
)
def test_a_bar_is_as_long_as_its_shares(
    shares: list[tuple[float, str]], cells: list[tuple[str, str]] | None
) -> None:
    drawn = bar(shares, 10)

    assert len(text(drawn)) == 10
    assert cells in (None, drawn)


def test_columns_stand_below_each_other_with_the_bar_in_what_is_left() -> None:
    lines = [text(line) for line in grid(ROWS, 40, widest_name=17, sheds=())]

    assert lines == [
        "run                         steps/s left",
        "baseline_seed1 ━━━━━━━━━━━━   1,234 0:04",
    ]
    assert fits(ROWS, 40, widest_name=17)
    assert not fits(ROWS, 37, widest_name=17)


def test_where_there_is_no_room_the_bar_goes_first_then_figures_then_names() -> None:
    assert text(grid(ROWS, 30, widest_name=17, sheds=(0,))[1]) == "baseline_seed1   1,234 0:04"
    assert text(grid(ROWS, 20, widest_name=17, sheds=(0,))[1]) == "baseline_seed1 0:04"
    assert text(grid(ROWS, 12, widest_name=17, sheds=(0,))[1]) == "baseli… 0:04"


def test_a_line_is_cut_by_columns_not_by_characters() -> None:
    assert text(cut([("ab", ""), ("cd", "")], 4)) == "abcd"
    assert text(cut([("ab", ""), ("cde", "")], 4)) == "abc…"
    assert cell_len(text(cut([("変種変種", "")], 5))) == 5


def test_what_a_bar_has_not_reached_is_left_out_without_colours() -> None:
    lines = Lines([[*bar([(0.5, "cyan")], 6), ("50 %", "")]])

    assert printed(lines, force_terminal=False) == "━━━   50 %\n"
    assert "\x1b[90m━━━" in printed(lines, force_terminal=True, color_system="standard")
    no_colours = printed(lines, force_terminal=True, color_system="standard", no_color=True)
    assert "━━━   50 %" in no_colours


def test_a_stream_without_these_letters_gets_others() -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    console = Console(file=file, width=20, color_system=None)

    console.print(Lines([[("━╸ a · b ± …", "")]]), end="")
    file.flush()

    assert file.buffer.getvalue() == b"-- a - b ~ .\n"  # type: ignore[attr-defined]
