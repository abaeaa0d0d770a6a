"""Changes that give a failed run a better chance; each is named, because the run then deviates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..config.algorithms import algorithms
from ..domain.records import TrainerConfig

Adjustment = Callable[[TrainerConfig], tuple[TrainerConfig, str] | None]
"""The changed configuration and what was changed in words; None where nothing can be."""


def smaller_batch(config: TrainerConfig) -> tuple[TrainerConfig, str] | None:
    """Halve the minibatch."""
    return _halve(config, "batch_size")


def less_memory(config: TrainerConfig) -> tuple[TrainerConfig, str] | None:
    """Halve the replay buffer; where there is none, the minibatch."""
    return _halve(config, "buffer_size") or smaller_batch(config)


def longer_timeout(config: TrainerConfig) -> tuple[TrainerConfig, str] | None:
    """Let the run be silent for twice as long before it is taken for one that hangs."""
    if config.hang_seconds is None:
        return None
    changed = replace(config, hang_seconds=2 * config.hang_seconds)
    before, after = config.hang_seconds, 2 * config.hang_seconds
    return changed, f"hang_seconds {after:g} instead of {before:g} after a failure"


def _halve(config: TrainerConfig, name: str) -> tuple[TrainerConfig, str] | None:
    default = algorithms()[config.algorithm].default(name)
    value = config.hyperparameters.get(name, default)
    if not isinstance(value, int) or value < 2:
        return None
    changed = replace(config, hyperparameters={**config.hyperparameters, name: value // 2})
    return changed, f"{name} {value // 2} instead of {value} after a failure"
