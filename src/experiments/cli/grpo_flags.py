"""What the flags of `experiments grpo` stand for, as overrides of an experiment file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..config.algorithms import algorithms
from ..config.generations import generation_of
from .arguments import override

ARMS = ("baseline_config", "variant_config")
TINY = "tiny"
OF_LARGER_MODELS: Mapping[str, Any] = {
    "learning_rate": 5e-6,
    "warmup_steps": 0,
    "dtype": "float32",  # a GPU computes in bfloat16 all the same; weights kept in it hardly move
    "gradient_checkpointing": True,
    "num_generations": 8,
    "max_completion_length": 512,
}
"""Hyperparameters that the command begins with where the model is not the tiny one."""
CHECKPOINT_EVERY = 50
"""Optimiser steps between checkpoints where nothing says how many."""
PROMPTS = 8
"""Prompts of a batch where nothing says how many."""


@dataclass(frozen=True)
class GrpoFlags:
    """The flags as they were typed; None for those that were not."""

    task: str | None = None
    model_name: str | None = None
    lr: float | None = None
    group_size: int | None = None
    rollouts_per_step: int | None = None
    train_batch_size: int | None = None
    temperature: float | None = None
    max_length: int | None = None
    checkpoint_interval: int | None = None
    seed: int | None = None
    max_prompts: int | None = None
    processes: int | None = None


def overrides_of(flags: GrpoFlags, document: Mapping[str, Any], *, is_ours: bool) -> list[str]:
    """The overrides that flags stand for, the same in both arms.

    Args:
        flags: as they were typed.
        document: the experiment file, whose values hold where no flag says otherwise.
        is_ours: whether it is the one that comes with the package, which is made for the tiny
            model.
    """
    given = _hyperparameters_of(document)
    settings: dict[str, Any] = {}
    if is_ours and flags.model_name not in (None, TINY):
        settings.update(OF_LARGER_MODELS)
    settings.update(_direct(flags))
    settings.update(_batches(flags, {**given, **settings}, is_ours=is_ours))
    values: dict[str, Any] = {}
    for arm in ARMS:
        values |= {f"{arm}.hyperparameters.{name}": value for name, value in settings.items()}
        if flags.task is not None:
            values[f"{arm}.environment"] = flags.task
    if flags.seed is not None:
        values["seeds"] = [flags.seed]
    if flags.checkpoint_interval is not None:
        values["checkpoint.frequency"] = flags.checkpoint_interval
    elif is_ours:
        values["checkpoint.frequency"] = _whole_batches(CHECKPOINT_EVERY, {**given, **settings})
    return [override(path, value) for path, value in values.items()]


def _whole_batches(steps: int, settings: Mapping[str, Any]) -> int:
    """Optimiser steps, rounded up to whole batches of completions."""
    between = generation_of(settings).optimizer_steps
    return -(-steps // between) * between


def _hyperparameters_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """The baseline's hyperparameters with the library's defaults."""
    defaults = {name: each.default for name, each in algorithms()["GRPO"].parameters.items()}
    arm = document.get("baseline_config")
    own = arm.get("hyperparameters") if isinstance(arm, Mapping) else None
    return {**defaults, **(own if isinstance(own, Mapping) else {})}


def _direct(flags: GrpoFlags) -> dict[str, Any]:
    """Flags that are one hyperparameter each."""
    named = {
        "model_name": flags.model_name,
        "learning_rate": flags.lr,
        "num_generations": flags.group_size,
        "temperature": flags.temperature,
        "max_completion_length": flags.max_length,
        "max_prompts": flags.max_prompts,
        "processes": flags.processes,
    }
    return {name: value for name, value in named.items() if value is not None}


def _batches(flags: GrpoFlags, settings: Mapping[str, Any], *, is_ours: bool) -> dict[str, Any]:
    """Completions of a batch: so many of each of so many prompts, in minibatches of so many."""
    is_larger = settings["model_name"] != TINY
    asked = (flags.group_size, flags.rollouts_per_step, flags.train_batch_size)
    if asked == (None, None, None) and not (is_ours and is_larger) and flags.processes is None:
        return {}
    group = settings["num_generations"]
    completions = (flags.rollouts_per_step or PROMPTS) * group
    whole = completions // settings["processes"]
    return {
        "generation_batch_size": completions,
        "per_device_train_batch_size": flags.train_batch_size or (group if is_larger else whole),
        "steps_per_generation": None,
    }
