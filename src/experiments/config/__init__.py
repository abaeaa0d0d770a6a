"""The experiment file: read once, checked whole, and handed on as frozen models."""

from .audit import Audit, audit
from .difference import resolved_difference
from .environments import resolve_environment
from .loading import check_configuration, load_experiment_file, parse_experiment
from .models import Configuration, ExperimentConfig
from .naming import new_experiment_id
from .resolve import planned_timesteps, trainer_config
from .schema import experiment_schema

__all__ = [
    "Audit",
    "Configuration",
    "ExperimentConfig",
    "audit",
    "check_configuration",
    "experiment_schema",
    "load_experiment_file",
    "new_experiment_id",
    "parse_experiment",
    "planned_timesteps",
    "resolve_environment",
    "resolved_difference",
    "trainer_config",
]
