"""Which policy fits an observation space, and what `policy_kwargs` may hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from pydantic_core import PydanticCustomError

from ..domain.errors import Problem
from .algorithms import Algorithm, Parameter
from .allowed import CLASSES, MOST_LAYERS, RANGES, WIDEST_LAYER
from .fields import finite_number, whole_number
from .problems import at, nearest, shown

Pointer = tuple[str | int, ...]

SMALLEST_IMAGE = 36
"""Pixels a side below which the library's convolutional network has no output."""
LARGEST_FEATURES = 65_536

EXTRACTOR_KEYS = {
    "FlattenExtractor": {},
    "NatureCNN": {"features_dim": "integer", "normalized_image": "boolean"},
    "CombinedExtractor": {"cnn_output_dim": "integer", "normalized_image": "boolean"},
}
OPTIMIZER_NUMBERS = {
    "eps", "weight_decay", "momentum", "alpha", "dampening", "lr_decay", "momentum_decay", "rho",
    "initial_accumulator_value",
}  # fmt: skip
OPTIMIZER_FLAGS = {"amsgrad", "nesterov", "centered", "decoupled_weight_decay"}


def is_image(space: Any) -> bool:
    """Whether the library takes a space for an image: three dimensions of bytes 0 to 255."""
    return (
        isinstance(space, spaces.Box)
        and len(space.shape) == 3
        and space.dtype == np.uint8
        and not np.any(space.low != 0)
        and not np.any(space.high != 255)
    )


def default_policy(algorithm: Algorithm, observation_space: Any) -> str:
    """The policy for an observation space: dictionaries, large images, everything else."""
    wanted = "Mlp"
    if isinstance(observation_space, spaces.Dict):
        wanted = "MultiInput"
    elif is_image(observation_space) and _large(observation_space):
        wanted = "Cnn"
    for name in algorithm.policies:
        if name.startswith(wanted):
            return name
    return next(iter(algorithm.policies))


def _large(space: spaces.Box) -> bool:
    return sorted(space.shape)[1] >= SMALLEST_IMAGE


def policy_problem(
    algorithm: Algorithm, policy: str, observation_space: Any
) -> tuple[str, str] | None:
    """Why a policy cannot read an observation space, with the remedy, or None."""
    if isinstance(observation_space, spaces.Dict):
        if policy.startswith("MultiInput"):
            return None
        return "needs one array, and the environment observes a dictionary", _multi(algorithm)
    if policy.startswith("MultiInput"):
        return "needs a dictionary, and the environment observes one array", "use 'MlpPolicy'"
    if policy.startswith("Cnn") and not is_image(observation_space):
        return "needs images of bytes 0 to 255, and the environment observes none", "leave it out"
    if policy.startswith("Cnn") and not _large(observation_space):
        return f"needs images of at least {SMALLEST_IMAGE} pixels a side", "use 'MlpPolicy'"
    return None


def _multi(algorithm: Algorithm) -> str:
    names = [name for name in algorithm.policies if name.startswith("MultiInput")]
    return f"use {names[0]!r}" if names else "use the wrapper 'FlattenObservation'"


def check_policy_kwargs(
    algorithm: Algorithm, policy: str | None, given: Mapping[str, Any], where: Pointer
) -> tuple[dict[str, Any], list[Problem]]:
    """The policy's settings in their normal form, and what is wrong with the others."""
    parameters = algorithm.policies.get(policy or "") or next(iter(algorithm.policies.values()))
    accepted: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in given.items():
        pointer = (*where, name)
        if name == "use_sde":
            message, allowed = "not a setting of the policy", "set 'use_sde' as a hyperparameter"
            problems.append(Problem(at(*pointer), message, None, allowed))
        elif name not in parameters:
            message = f"the policy of {algorithm.name} has no such setting"
            problems.append(Problem(at(*pointer), message, suggestion=nearest(name, parameters)))
        else:
            try:
                accepted[name] = _normal_form(parameters[name], value, given, parameters)
            except (ValueError, PydanticCustomError) as error:
                suggestion = nearest(value, CLASSES.get(name, ()))
                shown_value = shown(value, name)
                problems.append(
                    Problem(at(*pointer), str(error), shown_value, suggestion=suggestion)
                )
    return accepted, problems


def _normal_form(
    parameter: Parameter, value: Any, given: Mapping[str, Any], parameters: Mapping[str, Parameter]
) -> Any:
    name, kind = parameter.name, parameter.kind
    if value is None:
        if parameter.nullable:
            return None
        raise ValueError("must not be null")
    if name in CLASSES:
        return _class_name(name, value)
    if name == "net_arch":
        return _layers_by_network(value, nested="object" in kind)
    if kind == "object":
        extractor = given.get("features_extractor_class")
        if extractor is None:
            extractor = parameters["features_extractor_class"].default
        return _keywords(name, value, str(extractor))
    return _scalar(name, kind, value)


def _scalar(name: str, kind: str, value: Any) -> Any:
    if kind == "boolean":
        if not isinstance(value, bool):
            raise ValueError("must be true or false")
        return value
    number = whole_number(value) if kind == "integer" else finite_number(value)
    problem = RANGES[name].problem(number) if name in RANGES else None
    if problem:
        raise ValueError(problem)
    return number


def _class_name(name: str, value: Any) -> str:
    if not isinstance(value, str) or value not in CLASSES[name]:
        raise ValueError(f"must be one of {', '.join(CLASSES[name])}")
    return value


def _layers_by_network(value: Any, *, nested: bool) -> Any:
    if isinstance(value, Mapping) and nested:
        if not value or not set(value) <= {"pi", "vf", "qf"}:
            raise ValueError('must be a list of layer widths or {"pi": […], "vf": […]}')
        return {name: _layers(layers) for name, layers in value.items()}
    return _layers(value)


def _layers(value: Any) -> list[int]:
    if not isinstance(value, list | tuple) or len(value) > MOST_LAYERS:
        raise ValueError(f"must be a list of at most {MOST_LAYERS} layer widths")
    widths = [whole_number(width) for width in value]
    if any(not 1 <= width <= WIDEST_LAYER for width in widths):
        raise ValueError(f"a layer must be 1 to {WIDEST_LAYER} wide")
    return widths


def _keywords(name: str, value: Any, extractor: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("must be an object")  # noqa: TRY004 - the text becomes a problem
    if name == "lstm_kwargs":
        kinds = {"dropout": "share", "bias": "boolean"}
    elif name == "features_extractor_kwargs":
        kinds = EXTRACTOR_KEYS.get(extractor, {})
    else:
        kinds = dict.fromkeys(OPTIMIZER_NUMBERS, "number") | {"betas": "shares"}
        kinds |= dict.fromkeys(OPTIMIZER_FLAGS, "boolean")
    return {key: _keyword(key, item, kinds) for key, item in value.items()}


def _keyword(key: str, value: Any, kinds: Mapping[str, str]) -> Any:
    match kinds.get(key):
        case "boolean":
            return _scalar(key, "boolean", value)
        case "integer":
            width = whole_number(value)
            if 1 <= width <= LARGEST_FEATURES:
                return width
            raise ValueError(f"{key} must be 1 to {LARGEST_FEATURES}")
        case "number":
            number = finite_number(value)
            if number >= 0:
                return number
            raise ValueError(f"{key} must be at least 0")
        case "share":
            return _share(key, value)
        case "shares" if isinstance(value, list | tuple) and len(value) == 2:
            return [_share(key, item) for item in value]
        case "shares":
            raise ValueError(f"{key} must be a list of 2 numbers")
        case _:
            raise ValueError(f"has no key {key!r} that a file can set")


def _share(key: str, value: Any) -> float:
    number = finite_number(value)
    if 0 <= number < 1:
        return number
    raise ValueError(f"{key} must be at least 0 and less than 1")
