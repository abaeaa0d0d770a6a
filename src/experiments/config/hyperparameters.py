"""Checks one arm's hyperparameters against the algorithm's signature and brings them into form.

Schedules, action noise, update frequencies and classes stay data; training makes the objects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import PydanticCustomError

from ..domain.errors import Problem
from .algorithms import Algorithm, Parameter
from .allowed import (
    ACTION_NOISE_KEYS,
    CHOICES,
    NEVER_ZERO,
    OWNED_HYPERPARAMETERS,
    POSITIVE,
    RANGES,
)
from .fields import finite_number, whole_number
from .policies import check_policy_kwargs
from .problems import at, nearest, shown
from .schedules import bounds_of, parse_schedule

Pointer = tuple[str | int, ...]


class RefusedError(ValueError):
    """A value has the wrong form; the text says which it must have."""


def check_hyperparameters(
    algorithm: Algorithm, policy: str | None, given: Mapping[str, Any], where: Pointer
) -> tuple[dict[str, Any], list[Problem]]:
    """The hyperparameters in their normal form, and what is wrong with the others."""
    accepted: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in given.items():
        parameter = algorithm.parameters.get(name)
        if parameter is None or name in OWNED_HYPERPARAMETERS:
            problems.append(_unknown(algorithm, name, where))
        elif name == "policy_kwargs" and isinstance(value, Mapping):
            kwargs, found = check_policy_kwargs(algorithm, policy, value, (*where, name))
            problems += found
            accepted[name] = kwargs
        else:
            try:
                accepted[name] = normal_form(parameter, value)
            except ValueError as error:
                given_value = None if value is None else shown(value, name)
                problems.append(Problem(at(*where, name), str(error), given_value))
    return accepted, problems


def _unknown(algorithm: Algorithm, name: str, where: Pointer) -> Problem:
    if name in OWNED_HYPERPARAMETERS:
        return Problem(at(*where, name), "not a hyperparameter", None, OWNED_HYPERPARAMETERS[name])
    names = [known for known in algorithm.parameters if known not in OWNED_HYPERPARAMETERS]
    message, suggestion = f"{algorithm.name} has no such hyperparameter", nearest(name, names)
    allowed = None if suggestion else f"use one of {', '.join(names)}"
    return Problem(at(*where, name), message, allowed=allowed, suggestion=suggestion)


def normal_form(parameter: Parameter, value: Any) -> Any:
    """The value as training takes it.

    Raises:
        ValueError: with what the value must be.
    """
    if value is None:
        if parameter.nullable:
            return None
        raise RefusedError("must not be null")
    reader = _READERS.get(parameter.kind)
    if reader is None:
        raise RefusedError("must be null: it holds a class, which a file cannot name")
    return reader(parameter.name, value)


def _in_range(name: str, value: float) -> None:
    problem = RANGES[name].problem(value)
    if problem is None and value == 0 and name in NEVER_ZERO:
        problem = "must be -1 or at least 1"
    if problem:
        raise RefusedError(problem)


def _whole(name: str, value: Any) -> int:
    number: int = _read(whole_number, value)
    _in_range(name, number)
    return number


def _number(name: str, value: Any) -> float:
    number: float = _read(finite_number, value)
    _in_range(name, number)
    return number


def _read(reader: Callable[[Any], Any], value: Any) -> Any:
    try:
        return reader(value)
    except PydanticCustomError as error:
        raise RefusedError(error.message()) from None


def _boolean(_name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise RefusedError("must be true or false")
    return value


def _text(name: str, value: Any) -> str:
    allowed = CHOICES.get(name)
    if not isinstance(value, str) or not value.strip():
        raise RefusedError("must be text")
    if allowed is not None and value not in allowed:
        raise RefusedError(f"must be one of {', '.join(allowed)}")
    return value


def _schedule(name: str, value: Any) -> float | dict[str, Any]:
    schedule = parse_schedule(value)
    low, high = bounds_of(schedule)
    # a schedule may end at zero, a constant may not stand there
    if not (isinstance(schedule, dict) and low == 0 and high > 0):
        _in_range(name, low)
    _in_range(name, high)
    return schedule


def _automatic(name: str, value: Any) -> float | str:
    if not isinstance(value, str):
        return _number(name, value)
    initial = value.removeprefix("auto_") if name == "ent_coef" else ""
    if value == "auto" or (value.startswith("auto_") and _is_positive(initial)):
        return value
    raise RefusedError(
        "must be a number, 'auto' or 'auto_0.1'"
        if name == "ent_coef"
        else "must be a number or 'auto'"
    )


def _is_positive(text: str) -> bool:
    try:
        return POSITIVE.problem(float(text)) is None and float(text) < float("inf")
    except ValueError:
        return False


def _frequency(_name: str, value: Any) -> int | list[Any]:
    if not isinstance(value, list | tuple):
        return _every(value)
    if len(value) != 2 or value[1] not in {"step", "episode"}:
        raise RefusedError('must be a whole number or [n, "step"] or [n, "episode"]')
    count = _every(value[0])
    return count if value[1] == "step" else [count, "episode"]


def _every(value: Any) -> int:
    try:
        count = _read(whole_number, value)
    except RefusedError:
        raise RefusedError('must be a whole number or [n, "step"] or [n, "episode"]') from None
    if count < 1:
        raise RefusedError("must be at least 1")
    return int(count)


def _noise(_name: str, value: Any) -> dict[str, Any]:
    kind = value.get("type") if isinstance(value, Mapping) else None
    if not isinstance(kind, str) or kind not in ACTION_NOISE_KEYS:
        raise RefusedError(
            'must be null or {"type": "normal", "sigma": 0.1}, type normal or ornstein-uhlenbeck'
        )
    keys = ACTION_NOISE_KEYS[kind]
    unknown = sorted(set(value) - set(keys) - {"type"})
    if unknown:
        raise RefusedError(f"this noise has no key {unknown[0]!r}, only {', '.join(keys)}")
    if "sigma" not in value:
        raise RefusedError("a noise needs its 'sigma'")
    numbers = {key: _read(finite_number, value.get(key, keys[key])) for key in keys}
    if any(numbers[key] <= 0 for key in numbers if key != "mean"):
        raise RefusedError("sigma, theta and dt must be greater than 0")
    return {"type": kind, **numbers}


def _object(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise RefusedError("must be an object")
    allowed = {"handle_timeout_termination"} if name == "replay_buffer_kwargs" else set()
    for key, item in value.items():
        if key not in allowed:
            raise RefusedError(f"has no key {key!r} that a file can set")
        _boolean(key, item)
    return dict(value)


_READERS: Mapping[str, Callable[[str, Any], Any]] = {
    "integer": _whole,
    "number": _number,
    "boolean": _boolean,
    "text": _text,
    "schedule": _schedule,
    "number or text": _automatic,
    "integer or pair": _frequency,
    "ActionNoise": _noise,
    "object": _object,
}
