"""Judges one arm: names, hyperparameters, environment, policy, and how they fit together."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..domain.errors import Problem, RefusedError
from .algorithms import Algorithm, Family, algorithms, canonical_name
from .allowed import OWNED_ENVIRONMENT_KWARGS, WRAPPERS
from .environments import Spaces, find_environment, spaces_of
from .hyperparameters import check_hyperparameters
from .language import language_problems
from .models import Configuration, Wrapper
from .policies import default_policy
from .problems import at, nearest, shown
from .rules import Arm, arm_problems, full_settings, policy_name_problem

Pointer = tuple[str | int, ...]

UNKNOWN = "?"
"""Stands for a required name that the file got wrong; what depends on it is not judged."""


@dataclass(frozen=True)
class Judgement:
    """An arm in its normal form, and everything that is wrong with it."""

    configuration: Configuration
    problems: tuple[Problem, ...]
    arm: Arm | None
    """None where the algorithm is unknown."""


def judge(
    configuration: Configuration, where: Pointer = (), environment_modules: Sequence[str] = ()
) -> Judgement:
    """Check one arm as far as its known parts allow; nothing is imported or evaluated for it."""
    algorithm, unknown = _algorithm(configuration, where)
    if algorithm is not None and algorithm.family is Family.LANGUAGE:
        return _judge_language(configuration, algorithm, where, environment_modules)
    found, problems = _environment(configuration, where, environment_modules)
    problems += unknown
    if algorithm is None:
        return Judgement(configuration, tuple(problems), None)
    policy = configuration.policy
    if policy is not None:
        problem = policy_name_problem(algorithm, policy, where)
        problems += [problem] if problem else []
    elif found is not None:
        policy = default_policy(algorithm, found.observation)
    accepted, refused = check_hyperparameters(
        algorithm, policy, configuration.hyperparameters, (*where, "hyperparameters")
    )
    normal = configuration.model_copy(
        update={"algorithm": algorithm.name, "hyperparameters": accepted}
    )
    settings = full_settings(algorithm, accepted)
    arm = Arm(normal, algorithm, settings, where, policy or next(iter(algorithm.policies)), found)
    return Judgement(normal, (*problems, *refused, *arm_problems(arm)), arm)


def _judge_language(
    configuration: Configuration, algorithm: Algorithm, where: Pointer, modules: Sequence[str]
) -> Judgement:
    """As `judge`, for a language model and its task."""
    accepted, refused = check_hyperparameters(
        algorithm, None, configuration.hyperparameters, (*where, "hyperparameters")
    )
    normal = configuration.model_copy(
        update={"algorithm": algorithm.name, "hyperparameters": accepted}
    )
    settings, policy = full_settings(algorithm, accepted), next(iter(algorithm.policies))
    arm = Arm(normal, algorithm, settings, where, policy, None)
    return Judgement(normal, (*refused, *language_problems(normal, settings, where, modules)), arm)


def _algorithm(
    configuration: Configuration, where: Pointer
) -> tuple[Algorithm | None, list[Problem]]:
    name = canonical_name(configuration.algorithm)
    if name in algorithms():
        return algorithms()[name], []
    if name == UNKNOWN:
        return None, []
    pointer, known = at(*where, "algorithm"), list(algorithms())
    remedy = f"use one of {', '.join(known)}"
    problem = Problem(pointer, "unknown algorithm", shown(name), remedy, nearest(name, known))
    return None, [problem]


def _environment(
    configuration: Configuration, where: Pointer, modules: Sequence[str]
) -> tuple[Spaces | None, list[Problem]]:
    problems = [*_kwargs_problems(configuration, where), *_wrapper_problems(configuration, where)]
    if configuration.environment == UNKNOWN:
        return None, problems
    try:
        resolved = find_environment(configuration.environment, modules)
        if problems:
            return None, problems
        wrappers = wrapper_mappings(configuration)
        return spaces_of(resolved, configuration.environment_kwargs, wrappers), problems
    except RefusedError as error:
        return None, [*problems, _refusal(error, configuration, where)]


def _refusal(error: RefusedError, configuration: Configuration, where: Pointer) -> Problem:
    place = error.place
    value: Any = configuration.environment
    if place[0] == "wrappers":
        value = wrapper_mappings(configuration)[int(place[1])]["name"]
    elif error.message.startswith("cannot be built") and configuration.environment_kwargs:
        place, value = ("environment_kwargs",), configuration.environment_kwargs
    pointer = at(*where, *place)
    return Problem(pointer, error.message, shown(value), error.allowed, error.suggestion)


def _kwargs_problems(configuration: Configuration, where: Pointer) -> Iterator[Problem]:
    for name, remedy in OWNED_ENVIRONMENT_KWARGS.items():
        if name in configuration.environment_kwargs:
            pointer = at(*where, "environment_kwargs", name)
            yield Problem(pointer, "cannot be set", None, remedy)
    if not _is_data(configuration.environment_kwargs):
        yield Problem(at(*where, "environment_kwargs"), "must hold plain JSON data")


def _wrapper_problems(configuration: Configuration, where: Pointer) -> Iterator[Problem]:
    for index, wrapper in enumerate(wrapper_mappings(configuration)):
        name = wrapper["name"]
        if not _is_data(wrapper["kwargs"]):
            yield Problem(at(*where, "wrappers", index), "must hold plain JSON data")
        if name not in WRAPPERS:
            pointer = at(*where, "wrappers", index)
            remedy = f"use one of {', '.join(WRAPPERS)}"
            suggestion = nearest(name, WRAPPERS)
            yield Problem(pointer, "not an allowed wrapper", shown(name), remedy, suggestion)


def _is_data(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def wrapper_mappings(configuration: Configuration) -> tuple[dict[str, Any], ...]:
    """The wrappers in one form: ``{"name": …, "kwargs": {…}}``."""
    return tuple(
        wrapper.model_dump() if isinstance(wrapper, Wrapper) else {"name": wrapper, "kwargs": {}}
        for wrapper in configuration.wrappers
    )
