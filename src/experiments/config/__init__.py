"""The experiment file: read once, checked whole, and handed on as frozen models.

Names are imported when they are asked for: a training process needs the tables of this room, and
should not wait for its models.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .auditing import Audit, audit
    from .difference import resolved_difference
    from .environments import resolve_environment
    from .loading import (
        check_configuration,
        check_resource_limits,
        load_experiment_file,
        parse_experiment,
        with_overrides,
    )
    from .models import Configuration, ExperimentConfig
    from .naming import new_experiment_id
    from .registrations import check_registrations
    from .resolve import checkpointed_every, planned_timesteps, processes_of, trainer_config
    from .schema import experiment_schema

__all__ = [
    "Audit",
    "Configuration",
    "ExperimentConfig",
    "audit",
    "check_configuration",
    "check_registrations",
    "check_resource_limits",
    "checkpointed_every",
    "experiment_schema",
    "load_experiment_file",
    "new_experiment_id",
    "parse_experiment",
    "planned_timesteps",
    "processes_of",
    "resolve_environment",
    "resolved_difference",
    "trainer_config",
    "with_overrides",
]

_MODULES = {
    "Audit": "auditing",
    "Configuration": "models",
    "ExperimentConfig": "models",
    "audit": "auditing",
    "check_configuration": "loading",
    "check_registrations": "registrations",
    "check_resource_limits": "loading",
    "checkpointed_every": "resolve",
    "experiment_schema": "schema",
    "load_experiment_file": "loading",
    "new_experiment_id": "naming",
    "parse_experiment": "loading",
    "planned_timesteps": "resolve",
    "processes_of": "resolve",
    "resolve_environment": "environments",
    "resolved_difference": "difference",
    "trainer_config": "resolve",
    "with_overrides": "loading",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_MODULES[name]}", __name__), name)
    globals()[name] = value
    return value
