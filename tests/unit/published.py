"""Where other people's per-seed results lie, beside this repository and not in it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

PUBLISHED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
needs_published_data = pytest.mark.skipif(
    not PUBLISHED.is_dir(), reason="the published per-seed results are not beside this repository"
)


def rows(name: str) -> list[dict[str, str]]:
    with (PUBLISHED / name).open(newline="") as file:
        return list(csv.DictReader(file))


def half_a_digit(printed: str) -> float:
    """How far a value may lie from a printed number that is its rounding."""
    return 0.5 * 10.0 ** -len(printed.partition(".")[2])
