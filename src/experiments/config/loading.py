"""From a file, a mapping or a configuration to a checked one: all problems at once, or none."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ..domain.errors import ConfigurationError, Problem
from .algorithms import all_hyperparameters
from .arms import UNKNOWN, Judgement, judge
from .checkpoint_frequency import with_checkpoints_every
from .environments import import_environment_modules
from .models import Configuration, ExperimentConfig
from .overrides import apply_overrides
from .preparing import ARMS, as_plain, prepare, with_preset
from .problems import at, escaped, from_validation, shown
from .reading import read_document
from .rules import Arm
from .sections import ResourceLimits
from .semantics import experiment_problems, secret_problems

Model = TypeVar("Model", bound=BaseModel)

_UNJUDGED = {"algorithm": UNKNOWN, "environment": UNKNOWN, "training_steps": 1}


def load_experiment_file(
    path: str | os.PathLike[str],
    overrides: Iterable[str] = (),
    *,
    environment_modules: Sequence[str] = (),
) -> ExperimentConfig:
    """Read an experiment file, apply `PATH=VALUE` overrides and check everything.

    `environment_modules` are imported, because they register environments; nothing else is.

    Raises:
        ConfigurationError: with every problem of the file.
        MissingExtraError: when a preset's package is not installed.
    """
    document, problems = read_document(path)
    document, refused = apply_overrides(document, overrides)
    source = escaped(os.fspath(path))
    return _experiment(document, [*problems, *refused], source, environment_modules)


def parse_experiment(
    mapping: Mapping[str, Any],
    *,
    source: str | None = None,
    environment_modules: Sequence[str] = (),
    arms_may_be_equal: bool = False,
) -> ExperimentConfig:
    """Check an experiment given as a mapping; its arms may be mappings or `Configuration`s.

    Raises:
        ConfigurationError: with every problem.
    """
    return _experiment(
        dict(mapping), [], source, environment_modules, arms_may_be_equal=arms_may_be_equal
    )


def with_overrides(
    mapping: Mapping[str, Any],
    overrides: Iterable[str],
    *,
    environment_modules: Sequence[str] = (),
) -> ExperimentConfig:
    """Check an experiment given as a mapping, after `PATH=VALUE` overrides of it.

    Raises:
        ConfigurationError: with every problem.
    """
    document, refused = apply_overrides(dict(mapping), overrides)
    return _experiment(document, refused, None, environment_modules)


def check_configuration(
    configuration: Configuration | Mapping[str, Any], *, environment_modules: Sequence[str] = ()
) -> Configuration:
    """Check one arm by itself and return it in its normal form.

    Raises:
        ConfigurationError: with every problem.
    """
    return checked(configuration, environment_modules).configuration


def checked(
    configuration: Configuration | Mapping[str, Any], environment_modules: Sequence[str] = ()
) -> Arm:
    """As `check_configuration`, with the settings in full.

    Raises:
        ConfigurationError: with every problem.
    """
    import_environment_modules(environment_modules)
    plain = as_plain(configuration)
    if not isinstance(plain, dict):
        raise ConfigurationError(
            [Problem("", "must be a Configuration or an object", shown(plain))]
        )
    problems = list(secret_problems(plain))
    plain, refused = with_preset(plain)
    model, wrong = _validated(Configuration, plain, (), _UNJUDGED)
    judged = judge(model, (), environment_modules)
    problems += [*refused, *_with_hints(wrong), *judged.problems]
    if problems or judged.arm is None:
        raise ConfigurationError(_without_repeats(problems, {}))
    return judged.arm


def check_resource_limits(limits: Mapping[str, Any]) -> dict[str, Any]:
    """Check limits given by themselves and return them as they were given.

    Raises:
        ConfigurationError: with every problem.
    """
    try:
        ResourceLimits.model_validate(dict(limits))
    except ValidationError as error:
        raise ConfigurationError(
            from_validation(error, ResourceLimits, ("resource_limits",))
        ) from None
    return dict(limits)


def _experiment(
    document: dict[str, Any],
    problems: list[Problem],
    source: str | None,
    environment_modules: Sequence[str],
    *,
    arms_may_be_equal: bool = False,
) -> ExperimentConfig:
    import_environment_modules(environment_modules)
    schema = document.get("$schema", "")
    document = {name: value for name, value in document.items() if name != "$schema"}
    problems = [*secret_problems(document), *problems]
    if not isinstance(schema, str):
        problems.append(Problem("/$schema", "must be text", shown(schema)))
    prepared, refused = prepare(document)
    problems += refused
    arms, judged = {}, []
    for key in ARMS:
        arms[key], wrong = _arm(prepared, key, document)
        problems += _with_hints(wrong)
        judged.append(judge(arms[key], (key,), environment_modules))
        problems += judged[-1].problems
    config, wrong = _validated(ExperimentConfig, {**prepared, **arms}, (), {})
    problems += wrong
    config = config.with_environment_modules(tuple(environment_modules))
    problems += experiment_problems(config, *judged, arms_may_be_equal=arms_may_be_equal)
    _raise_if_any(_without_repeats(problems, document), source)
    config = _with_judged_arms(config, judged)
    whole = [each.arm for each in judged if each.arm is not None]
    return with_checkpoints_every(config, config.checkpoint.frequency, whole)


def _arm(
    prepared: Mapping[str, Any], key: str, document: Mapping[str, Any]
) -> tuple[Configuration, list[Problem]]:
    """An arm as far as it can be read, and what is wrong with the rest."""
    if isinstance(prepared.get(key), dict):
        return _validated(Configuration, prepared[key], (key,), _UNJUDGED)
    problems = []
    if key not in document:
        problems.append(Problem(at(key), "is missing", allowed="describe both arms"))
    elif key in prepared:
        problems.append(Problem(at(key), "must be an object", shown(prepared[key])))
    return Configuration(**_UNJUDGED), problems


def _validated(
    model: type[Model], document: dict[str, Any], where: tuple[str, ...], unjudged: dict[str, Any]
) -> tuple[Model, list[Problem]]:
    """The model; where parts are wrong, of the right ones alone, with what is wrong."""
    try:
        return model.model_validate(document), []
    except ValidationError as error:
        problems = from_validation(error, model, where)
        wrong = {str(detail["loc"][0]) for detail in error.errors(include_url=False)}
        right = {name: value for name, value in document.items() if str(name) not in wrong}
        return model.model_validate({**unjudged, **right}), problems


def _with_hints(problems: Iterable[Problem]) -> list[Problem]:
    """Name the right place of a hyperparameter that stands one level too high."""
    hinted = []
    for problem in problems:
        name = problem.pointer.rpartition("/")[2]
        if problem.message == "unknown key" and name in all_hyperparameters():
            problem = Problem(
                problem.pointer, problem.message, allowed=f"move {name!r} into 'hyperparameters'"
            )
        hinted.append(problem)
    return hinted


def _without_repeats(problems: Iterable[Problem], document: Mapping[str, Any]) -> list[Problem]:
    """One problem a place; what the variant inherits is a problem of the baseline alone."""
    kept: dict[str, Problem] = {}
    for problem in problems:
        pointer = problem.pointer
        above = pointer.replace("/variant_config/", "/baseline_config/", 1)
        inherited = above != pointer and above in kept and not _stands(document, pointer)
        if pointer not in kept and not inherited:
            kept[pointer] = problem
    return list(kept.values())


def _stands(document: Any, pointer: str) -> bool:
    """Whether the document itself has something at a place."""
    place = document
    for token in pointer.split("/")[1:]:
        if isinstance(place, list | tuple):
            place = dict(zip(map(str, range(len(place))), place, strict=True))
        if not isinstance(place, Mapping) or token not in place:
            return False
        place = place[token]
    return True


def _raise_if_any(problems: Sequence[Problem], source: str | None) -> None:
    if problems:
        raise ConfigurationError(list(problems), source=source)


def _with_judged_arms(config: ExperimentConfig, judged: Sequence[Judgement]) -> ExperimentConfig:
    arms = dict(zip(ARMS, (entry.configuration for entry in judged), strict=True))
    return config.model_copy(update=arms)
