"""The resolved difference between two arms: the library's defaults are filled in on both sides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..domain.errors import RefusedError
from ..domain.verdicts import Difference
from .algorithms import is_language
from .allowed import OWNED_HYPERPARAMETERS
from .arms import Judgement, judge, wrapper_mappings
from .environments import find_environment
from .models import Configuration, ExperimentConfig, Normalization
from .policies import default_policy


@dataclass(frozen=True)
class _Setting:
    value: Any
    is_default: bool = False
    chosen: bool = True
    """Whether the arm states it itself, or every arm has it."""


def resolved_difference(baseline: Configuration, variant: Configuration) -> tuple[Difference, ...]:
    """Every setting in which two arms differ, names of runs and seeds left out."""
    return difference_of(judge(baseline), judge(variant))


def difference_of(baseline: Judgement, variant: Judgement) -> tuple[Difference, ...]:
    """As `resolved_difference`, for arms that were judged already."""
    first, second = _settings(baseline), _settings(variant)
    differences = []
    for pointer in dict.fromkeys([*first, *second]):
        left, right = first.get(pointer), second.get(pointer)
        if (left or right) is None or (left and right and left.value == right.value):
            continue
        # an argument that the other algorithm does not know counts only where it was set
        if (left is None or right is None) and not (left or right).chosen:  # type: ignore[union-attr]
            continue
        differences.append(
            Difference(
                pointer=pointer,
                baseline=left.value if left else None,
                variant=right.value if right else None,
                baseline_is_default=left.is_default if left else False,
                variant_is_default=right.is_default if right else False,
            )
        )
    return tuple(differences)


def resolved_id(configuration: Configuration, config: ExperimentConfig | None = None) -> str:
    """The environment that really runs; the id as written where it is unknown, or a task."""
    if is_language(configuration.algorithm):
        return configuration.environment
    modules = config.environment_modules if config else ()
    try:
        return find_environment(configuration.environment, modules)
    except RefusedError:
        return configuration.environment.rpartition(":")[2]


def _settings(judged: Judgement) -> dict[str, _Setting]:
    configuration = judged.configuration
    return {
        "/algorithm": _Setting(configuration.algorithm),
        "/environment": _Setting(resolved_id(configuration)),
        **{
            f"/environment_kwargs/{name}": _Setting(value)
            for name, value in configuration.environment_kwargs.items()
        },
        "/n_envs": _Setting(configuration.n_envs, configuration.n_envs == 1),
        "/vec_env": _Setting(configuration.vec_env, configuration.vec_env == "dummy"),
        "/wrappers": _Setting(list(wrapper_mappings(configuration)), not configuration.wrappers),
        **_normalization(configuration),
        **_policy(judged),
        **_hyperparameters(judged),
        "/training_steps": _Setting(configuration.training_steps),
        "/device": _Setting(configuration.device, configuration.device == "auto"),
    }


def _normalization(configuration: Configuration) -> dict[str, _Setting]:
    normalize = configuration.normalize
    if normalize is False:
        return {"/normalize": _Setting(False, is_default=True)}
    details = normalize if isinstance(normalize, Normalization) else Normalization()
    defaults = Normalization().model_dump()
    return {"/normalize": _Setting(True)} | {
        f"/normalize/{name}": _Setting(value, value == defaults[name], value != defaults[name])
        for name, value in details.model_dump().items()
    }


def _policy(judged: Judgement) -> dict[str, _Setting]:
    if judged.arm is None:
        return {}
    arm, default = judged.arm, judged.arm.policy
    if arm.spaces is not None:
        default = default_policy(arm.algorithm, arm.spaces.observation)
    return {"/policy": _Setting(arm.policy, arm.policy == default)}


def _hyperparameters(judged: Judgement) -> dict[str, _Setting]:
    arm = judged.arm
    if arm is None:
        return {}
    given: Mapping[str, Any] = judged.configuration.hyperparameters
    found = {}
    for name, parameter in arm.algorithm.parameters.items():
        if name in OWNED_HYPERPARAMETERS or name == "policy_kwargs":
            continue
        value = arm.settings[name]
        found[f"/hyperparameters/{name}"] = _Setting(
            value, value == parameter.default, name in given
        )
    kwargs = given.get("policy_kwargs") or {}
    for name, parameter in (arm.algorithm.policies.get(arm.policy) or {}).items():
        if name == "use_sde":
            continue
        value = kwargs.get(name, parameter.default)
        found[f"/hyperparameters/policy_kwargs/{name}"] = _Setting(
            value, value == parameter.default, name in kwargs
        )
    return found
