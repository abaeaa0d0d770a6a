from __future__ import annotations

from pathlib import Path

import pytest

from src.experiments.analysis.looks import plan_looks
from src.experiments.analysis.sequential import follow
from src.experiments.cli.looks_line import looks_line, recorded_looks
from src.experiments.planning.looks_taken import LooksTaken

PLAN = plan_looks(4, 2, 10)
FLAT = [5.0, -3.0, 2.0, 1.0, -4.0, 0.5, 3.0, -1.0, 2.5, -2.0]


@pytest.mark.parametrize(
    ("shift", "seeds", "line"),
    [
        (0.0, 0, "looks: next after 4 of at most 10 seeds per arm, can only stop for futility"),
        (
            50.0,
            4,
            "looks: after 4 p 0.029 · next after 6 of at most 10 seeds per arm, p ≤ 0.018 ends it",
        ),
        (50.0, 6, "looks: after 4 p 0.029 · after 6 p 0.0048 · the arms differ"),
        (0.0, 10, "looks: after 4 p 0.8 · little promise"),
    ],
)
def test_the_line_tells_what_was_seen_and_what_comes_next(
    tmp_path: Path, shift: float, seeds: int, line: str
) -> None:
    looks = LooksTaken(tmp_path / "events.jsonl", "design")
    variant = [value + shift for value in FLAT[::-1]]
    for look in follow(FLAT[:seeds], variant[:seeds], PLAN, seed=1):
        looks.take(look, 0)

    assert looks_line(PLAN.to_dict(), recorded_looks(tmp_path / "events.jsonl", "design")) == line


def test_without_a_plan_there_is_no_line() -> None:
    assert looks_line(None, []) is None


def test_equivalent_arms_are_told() -> None:
    taken = follow(FLAT, FLAT[::-1], PLAN, seed=1, margin=50.0)

    line = looks_line(PLAN.to_dict(), [look.to_dict() for look in taken])

    assert (
        line
        == f"looks: after 4 p 0.8 · after 6 p {taken[-1].p_value:.2g} · the arms are equivalent"
    )
