"""What must hold between one arm's settings, and what is allowed but hardly meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces

from ..domain.errors import Problem
from .algorithms import Algorithm, Family, algorithms
from .environments import Spaces
from .memory import buffer_bytes, in_words, machine_bytes
from .models import Configuration, Normalization
from .policies import policy_problem
from .problems import at, nearest, shown
from .rounding import counts_episodes, planned_steps, rollout_steps

Pointer = tuple[str | int, ...]


@dataclass(frozen=True)
class Arm:
    """An arm with everything that its settings are judged by."""

    configuration: Configuration
    algorithm: Algorithm
    settings: Mapping[str, Any]
    """Hyperparameters with the library's defaults filled in."""
    where: Pointer
    policy: str
    spaces: Spaces | None
    """None where the environment is unknown or cannot be built."""


def full_settings(algorithm: Algorithm, hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters with the library's defaults filled in."""
    defaults = {name: entry.default for name, entry in algorithm.parameters.items()}
    return {**defaults, **hyperparameters}


def arm_problems(arm: Arm) -> Iterator[Problem]:
    """Everything about an arm that the library would refuse, or take and never mean."""
    yield from _setting_problems(arm)
    if arm.spaces is not None:
        yield from _action_problems(arm, arm.spaces.action)
        yield from _observation_problems(arm, arm.spaces.observation)
        yield from _memory_problems(arm, arm.spaces)


def _setting_problems(arm: Arm) -> Iterator[Problem]:
    settings, here = arm.settings, (*arm.where, "hyperparameters")
    rollout = (settings.get("n_steps") or 0) * arm.configuration.n_envs
    if arm.algorithm.family is Family.ON_POLICY and settings.get("normalize_advantage"):
        message = "must be at least 2, because advantages are normalised"
        if rollout < 2:
            yield Problem(at(*here, "n_steps"), message, "1", "or raise 'n_envs'")
        if settings.get("batch_size") == 1:
            yield Problem(at(*here, "batch_size"), message, "1")
    if counts_episodes(settings.get("train_freq")) and arm.configuration.n_envs > 1:
        yield Problem(
            at(*here, "train_freq"),
            "episodes cannot be counted over several environments",
            shown(settings["train_freq"]),
            'use [n, "step"], or n_envs 1',
        )
    timeouts = (settings.get("replay_buffer_kwargs") or {}).get("handle_timeout_termination", True)
    if settings.get("optimize_memory_usage") and timeouts:
        yield Problem(
            at(*here, "optimize_memory_usage"),
            "the library cannot do this while it handles time limits",
            "true",
            'set "replay_buffer_kwargs": {"handle_timeout_termination": false}',
        )
    yield from _order_problems(arm, here)


def _order_problems(arm: Arm, here: Pointer) -> Iterator[Problem]:
    settings = arm.settings
    n_top, n_delta = settings.get("n_top"), settings.get("n_delta")
    if n_top and n_delta and n_top > n_delta:
        message = f"must not exceed n_delta ({n_delta})"
        yield Problem(at(*here, "n_top"), message, shown(n_top))
    dropped = settings.get("top_quantiles_to_drop_per_net")
    quantiles = (settings.get("policy_kwargs") or {}).get("n_quantiles", 25)
    if dropped is not None and dropped >= quantiles:
        message = f"must be less than n_quantiles ({quantiles})"
        yield Problem(at(*here, "top_quantiles_to_drop_per_net"), message, shown(dropped))


def _action_problems(arm: Arm, action_space: Any) -> Iterator[Problem]:
    kind, name = type(action_space).__name__, arm.algorithm.name
    environment = arm.configuration.environment
    if kind not in arm.algorithm.action_spaces:
        fitting = [entry.name for entry in algorithms().values() if kind in entry.action_spaces]
        yield Problem(
            at(*arm.where, "algorithm"),
            f"{name} needs {' or '.join(arm.algorithm.action_spaces)} actions, "
            f"and {environment} has {kind}",
            shown(name),
            f"use {', '.join(fitting)}" if fitting else "no algorithm here can act there",
        )
    elif isinstance(action_space, spaces.Box):
        if not np.all(np.isfinite(action_space.low)) or not np.all(np.isfinite(action_space.high)):
            message = f"the actions of {environment} have no finite bounds"
            yield Problem(at(*arm.where, "environment"), message, shown(environment))
    elif arm.settings.get("use_sde"):
        pointer = at(*arm.where, "hyperparameters", "use_sde")
        message = f"needs Box actions, and {environment} has {kind}"
        yield Problem(pointer, message, "true", "leave it out")


def _observation_problems(arm: Arm, space: Any) -> Iterator[Problem]:
    environment = arm.configuration.environment
    parts = list(space.spaces.values()) if isinstance(space, spaces.Dict) else [space]
    known = spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary
    if not all(isinstance(part, known) for part in parts):
        message = f"{environment} observes {type(space).__name__}, which no policy here can read"
        remedy = "use the wrapper 'FlattenObservation'"
        yield Problem(at(*arm.where, "environment"), message, shown(environment), remedy)
        return
    policy = arm.policy
    if policy in arm.algorithm.policies:
        found = policy_problem(arm.algorithm, policy, space)
        if found:
            yield Problem(at(*arm.where, "policy"), found[0], shown(policy), found[1])
    if _normalizes_observations(arm.configuration) and not all(
        isinstance(part, spaces.Box) for part in parts
    ):
        message = f"observations of {environment} are not numbers that can be normalised"
        yield Problem(at(*arm.where, "normalize"), message, None, 'use {"norm_obs": false}')
    several = isinstance(space, spaces.Dict) and arm.algorithm.family is Family.OFF_POLICY
    if several and (arm.settings.get("n_steps") or 1) > 1:
        pointer = at(*arm.where, "hyperparameters", "n_steps")
        yield Problem(pointer, "must be 1 where observations are a dictionary")


def _normalizes_observations(configuration: Configuration) -> bool:
    normalize = configuration.normalize
    return normalize.norm_obs if isinstance(normalize, Normalization) else normalize


def policy_name_problem(algorithm: Algorithm, policy: str, where: Pointer) -> Problem | None:
    """An unknown policy, with the nearest of the algorithm's own."""
    if policy in algorithm.policies:
        return None
    names = list(algorithm.policies)
    message = f"{algorithm.name} has no such policy, only {', '.join(names)}"
    return Problem(at(*where, "policy"), message, shown(policy), None, nearest(policy, names))


def _memory_problems(arm: Arm, found: Spaces) -> Iterator[Problem]:
    size = buffer_of(arm, found)
    if size <= machine_bytes():
        return
    name = "buffer_size" if arm.algorithm.family is Family.OFF_POLICY else "n_steps"
    yield Problem(
        at(*arm.where, "hyperparameters", name),
        f"the buffer would take about {in_words(size)}, more than this machine's memory",
        shown(arm.settings[name]),
        "make it smaller",
    )


def buffer_of(arm: Arm, found: Spaces) -> int:
    """Bytes of the arm's full buffer."""
    both = (found.observation, found.action)
    return buffer_bytes(arm.algorithm, both, dict(arm.settings), arm.configuration.n_envs)


def arm_warnings(arm: Arm, evaluation_frequency: int) -> Iterator[str]:
    """What is allowed, and hardly meant."""
    settings, configuration = arm.settings, arm.configuration
    name = f"{arm.where[0]}".removesuffix("_config") if arm.where else "configuration"
    planned = planned_steps(arm.algorithm, settings, configuration)
    rollout, batch = (
        rollout_steps(arm.algorithm, settings, configuration),
        settings.get("batch_size"),
    )
    if arm.algorithm.family is Family.ON_POLICY and batch and rollout and rollout % batch:
        yield (
            f"{name}: batch_size {batch} does not divide the rollout of {rollout} steps "
            f"(n_steps × n_envs); the last batch of each epoch has {rollout % batch}"
        )
    starts = settings.get("learning_starts") or 0
    if arm.algorithm.family is Family.OFF_POLICY and starts >= planned:
        yield f"{name}: learning_starts {starts} is beyond the end of training; nothing is learned"
    if planned > 2 * configuration.training_steps:
        yield (
            f"{name}: {configuration.training_steps} steps were asked for, but one rollout has "
            f"{rollout}; {planned} are trained"
        )
    if evaluation_frequency > planned:
        yield (
            f"{name}: evaluated only at the end, because evaluation.frequency "
            f"{evaluation_frequency} exceeds its {planned} steps"
        )
