"""Try every fault of the table in its full count and print a line for each.

    python -m tests.faults.make_faults [--only ROW ...] [--counts reduced] [--at-once N]

Exits 1 when any trial failed, whose folder is kept and named, or took longer than is promised.
What took too long is judged here alone, on a machine that does nothing else, and by no test.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .command import heed_signals
from .figures import Bench, Figures, Row, carry_out
from .table import ROWS

FAULT_WIDTH = 68


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    heed_signals()
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    print(f"{'fault':{FAULT_WIDTH}} {'tried':>6} {'passed':>6} {'seconds':>8}")
    failures = 0
    with Bench(folder) as bench:
        for row in ROWS:
            if not options.only or row.name in options.only:
                count = row.reduced if options.counts == "reduced" else row.full
                failures += _try_row(row, count, bench, options.at_once)
    if not failures:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make_faults", description=__doc__.splitlines()[0])
    names = [row.name for row in ROWS]
    parser.add_argument("--only", nargs="+", choices=names, metavar="ROW", help=", ".join(names))
    parser.add_argument("--counts", choices=("full", "reduced"), default="full")
    parser.add_argument("--at-once", type=int, default=2, help="trials at the same time")
    return parser


def _try_row(row: Row, count: int, bench: Bench, at_once: int) -> int:
    """Print the row's line, then what failed or came late; returns how many did."""
    if row.trials is None:
        _print_line(row, "not in this version")
        return 0
    if reason := row.why_not():
        _print_line(row, f"skipped: {reason}")
        return 0
    figures = carry_out(row, count, bench, at_once=at_once)
    _print_line(row, _told(row, figures))
    for failure in (*figures.failures, *figures.late):
        print(f"\n{failure}", file=sys.stderr, flush=True)
    return len(figures.failures) + len(figures.late)


def _told(row: Row, figures: Figures) -> str:
    counts = f"{figures.tried:6} {figures.passed:6} {figures.seconds:8.1f}"
    worst = [f"most {what}: {value:.3g}" for what, value in figures.worst.items()]
    return "  ".join((counts, *worst, *([row.note] if row.note else ())))


def _print_line(row: Row, told: str) -> None:
    print(f"{row.fault:{FAULT_WIDTH}} {told}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
