"""From a checked configuration to what training takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..domain.records import CheckpointProtocol, TrainerConfig
from .algorithms import Family, algorithms, canonical_name
from .allowed import DIAGNOSTICS
from .arms import wrapper_mappings
from .checkpoint_frequency import with_checkpoints_every
from .difference import resolved_id
from .environments import wrapper_arguments
from .loading import checked
from .models import Configuration, ExperimentConfig, Normalization
from .rounding import planned_steps
from .rules import Arm, full_settings


def planned_timesteps(
    configuration: Configuration | Mapping[str, Any], environment_modules: Sequence[str] = ()
) -> int:
    """Training steps that are really trained: rounded up to whole rollouts, as the library does.

    Where rollouts are made of episodes (ARS, `train_freq` in episodes) it is the least.

    Raises:
        ConfigurationError: when the configuration cannot be trained.
    """
    arm = checked(configuration, environment_modules)
    return planned_steps(arm.algorithm, arm.settings, arm.configuration)


def checkpointed_every(config: ExperimentConfig, timesteps: int) -> ExperimentConfig:
    """Let runs save their state so often, unless the file names how often.

    Of a language model the steps are rounded up to whole batches of completions.
    """
    arms = [checked(arm, config.environment_modules) for arm in config.arms.values()]
    return with_checkpoints_every(config, timesteps, arms)


def trainer_config(
    configuration: Configuration | Mapping[str, Any],
    *,
    seed: int,
    experiment: ExperimentConfig | None = None,
    run_dir: Path | None = None,
    attempt: int = 1,
    checkpoints: Path | None = None,
    experiment_name: str | None = None,
) -> TrainerConfig:
    """Everything that one run's training depends on, with the experiment's common settings.

    Raises:
        ConfigurationError: when the configuration cannot be trained.
    """
    modules = experiment.environment_modules if experiment else ()
    arm = checked(configuration, modules)
    normal = arm.configuration
    common: dict[str, Any] = {}
    if experiment is not None:
        common = {
            "torch_threads": experiment.torch_threads,
            "accelerate": experiment.accelerate,
            "evaluation": experiment.protocol,
            "hang_seconds": experiment.hang_seconds,
            "checkpoint": CheckpointProtocol(**experiment.checkpoint.model_dump()),
            "diagnostics": tuple(
                name
                for name in dict.fromkeys(experiment.diagnostics)
                if normal.algorithm in DIAGNOSTICS[name]
            ),
        }
    return TrainerConfig(
        algorithm=normal.algorithm,
        environment=resolved_id(normal, experiment),
        total_timesteps=normal.training_steps,
        seed=seed,
        experiment_name=experiment_name or normal.experiment_name or "run",
        hyperparameters=normal.hyperparameters,
        policy=arm.policy,
        environment_kwargs=normal.environment_kwargs,
        environment_modules=modules,
        n_envs=normal.n_envs,
        vec_env=normal.vec_env,
        wrappers=_wrappers(normal),
        normalize=_normalization(normal),
        device=_device(arm),
        run_dir=run_dir,
        attempt=attempt,
        checkpoints=checkpoints,
        **common,
    )


def processes_of(configuration: Configuration) -> int:
    """Processes that train one run of an arm."""
    algorithm = algorithms()[canonical_name(configuration.algorithm)]
    settings = full_settings(algorithm, configuration.hyperparameters)
    return int(settings.get("processes", 1))


def _wrappers(configuration: Configuration) -> tuple[Mapping[str, Any], ...]:
    return tuple(
        {"name": wrapper["name"], "kwargs": wrapper_arguments(wrapper["kwargs"])}
        for wrapper in wrapper_mappings(configuration)
    )


def _normalization(configuration: Configuration) -> Mapping[str, Any] | None:
    normalize = configuration.normalize
    if isinstance(normalize, Normalization):
        return normalize.model_dump(exclude_unset=True)
    return {} if normalize else None


def _device(arm: Arm) -> str:
    """The processor for what trains there alone: an evolution strategy, and several processes."""
    device = arm.configuration.device
    if arm.algorithm.family is Family.EVOLUTION or arm.settings.get("processes", 1) > 1:
        return "cpu" if device == "auto" else device
    return device
