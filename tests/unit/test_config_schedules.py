from __future__ import annotations

from typing import Any

import pytest

from src.experiments.config.schedules import bounds_of, parse_schedule


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (3e-4, 3e-4),
        (1, 1.0),
        ("lin_3e-4", {"schedule": "linear", "initial": 3e-4, "final": 0.0}),
        ("lin_0.1", {"schedule": "linear", "initial": 0.1, "final": 0.0}),
        (
            {"schedule": "linear", "initial": 3e-4},
            {"schedule": "linear", "initial": 3e-4, "final": 0.0},
        ),
        (
            {"schedule": "linear", "initial": 1, "final": 2},
            {"schedule": "linear", "initial": 1.0, "final": 2.0},
        ),
        ({"schedule": "constant", "initial": 3e-4}, 3e-4),
    ],
)
def test_schedules_have_one_normal_form(given: Any, expected: Any) -> None:
    parsed = parse_schedule(given)

    assert parsed == expected
    assert parse_schedule(parsed) == parsed


@pytest.mark.parametrize(
    "given",
    [
        "3e-4",
        "lin_",
        "lin_-1",
        "lin_1e999",
        "lin_3e-4; import os",
        "lambda p: p",
        True,
        None,
        [1],
        {},
        {"initial": 1},
        {"schedule": "cosine", "initial": 1},
        {"schedule": "linear"},
        {"schedule": "linear", "initial": "1"},
        {"schedule": "linear", "initial": 1, "power": 2},
        {"schedule": "constant", "initial": 1, "final": 0},
        float("nan"),
    ],
)
def test_anything_else_is_refused(given: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the messages are shown by the bad files
        parse_schedule(given)


def test_bounds_are_the_ends() -> None:
    assert bounds_of(0.5) == (0.5, 0.5)
    assert bounds_of(parse_schedule("lin_0.5")) == (0.0, 0.5)
