"""Schedules as data: a value that falls linearly while training goes on.

`{"schedule": "linear", "initial": 3e-4, "final": 0}`, `{"schedule": "constant", "initial": 3e-4}`
and rl-zoo's `"lin_3e-4"` are parsed, never evaluated.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from pydantic_core import PydanticCustomError

from .fields import finite_number

FORMS = 'write a number, {"schedule": "linear", "initial": 3e-4, "final": 0} or "lin_3e-4"'
_LINEAR_TEXT = re.compile(r"lin_([0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,3})?)")


def parse_schedule(value: Any) -> float | dict[str, Any]:
    """A number, or `{"schedule": "linear", "initial": …, "final": …}` with both ends as numbers.

    With `remaining` going from 1 to 0 over training the value is
    ``final + remaining * (initial - final)``.

    Raises:
        ValueError: when the value has none of the accepted forms.
    """
    if isinstance(value, str):
        return _linear(_text_initial(value), 0.0)
    if isinstance(value, Mapping):
        return _from_mapping(value)
    return _number(value)


def bounds_of(schedule: float | Mapping[str, Any]) -> tuple[float, float]:
    """The smallest and the largest value that a parsed schedule takes."""
    if isinstance(schedule, Mapping):
        ends = (schedule["initial"], schedule["final"])
        return min(ends), max(ends)
    return schedule, schedule


def _text_initial(text: str) -> float:
    found = _LINEAR_TEXT.fullmatch(text)
    if not found or not math.isfinite(float(found.group(1))):
        raise ValueError(f"is not a schedule; {FORMS}")
    return float(found.group(1))


def _from_mapping(value: Mapping[str, Any]) -> float | dict[str, Any]:
    unknown = sorted(set(value) - {"schedule", "initial", "final"})
    if unknown:
        raise ValueError(f"a schedule has no key {unknown[0]!r}")
    if "initial" not in value:
        raise ValueError("a schedule needs the key 'initial'")
    initial = _number(value["initial"])
    match value.get("schedule"):
        case "linear":
            return _linear(initial, _number(value.get("final", 0.0)))
        case "constant" if "final" not in value:
            return initial
        case "constant":
            raise ValueError("a constant schedule has no 'final'")
        case _:
            raise ValueError("'schedule' must be 'linear' or 'constant'")


def _linear(initial: float, final: float) -> dict[str, Any]:
    return {"schedule": "linear", "initial": initial, "final": final}


def _number(value: Any) -> float:
    try:
        return finite_number(value)
    except PydanticCustomError as error:
        raise ValueError(f"{error.message()}, or a schedule; {FORMS}") from None
