"""How often runs save their state: a language model only between two batches of completions."""

from __future__ import annotations

import math
from collections.abc import Iterable

from .algorithms import Family
from .generations import generation_of, whole_batches
from .models import ExperimentConfig
from .rules import Arm


def with_checkpoints_every(
    config: ExperimentConfig, timesteps: int, arms: Iterable[Arm]
) -> ExperimentConfig:
    """Let runs save so often where the file does not say how often.

    Args:
        config: the experiment.
        timesteps: rounded up to whole batches of completions where an arm is a language model,
            which goes on exactly only between two of them.
        arms: with their settings in full.
    """
    if "frequency" in config.checkpoint.model_fields_set:
        return config
    batch = math.lcm(
        *(
            generation_of(arm.settings).optimizer_steps
            for arm in arms
            if arm.algorithm.family is Family.LANGUAGE
        )
    )
    frequency = whole_batches(timesteps, batch)
    if frequency == config.checkpoint.frequency:
        return config
    plan = config.checkpoint.model_copy(update={"frequency": frequency})
    plan.model_fields_set.discard("frequency")  # a default still, which no file names
    return config.model_copy(update={"checkpoint": plan})
