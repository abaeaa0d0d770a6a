"""What the flags of `experiments grpo` stand for, as overrides of an experiment file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import lcm
from typing import Any

from ..config.algorithms import algorithms
from ..config.generations import generation_of, whole_batches
from ..config.language import TINY
from ..config.models import BASELINE
from ..config.preparing import ARMS, prepare
from ..config.problems import at
from ..domain.errors import UsageError
from .arguments import OF_BOTH_ARMS, dashed, override
from .grpo_batches import BatchFlags, are_counts, changed_batches

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
"""Prompts of a larger model's batch where nothing says how many."""
DIRECT: Mapping[str, str] = {
    "model_name": "model_name",
    "lr": "learning_rate",
    "temperature": "temperature",
    "max_length": "max_completion_length",
    "max_prompts": "max_prompts",
}
"""Flags that are one hyperparameter each, and change no other."""
OF_BATCHES: Mapping[str, str] = {
    "group_size": "num_generations",
    "rollouts_per_step": "generation_batch_size",
    "train_batch_size": "per_device_train_batch_size",
    "processes": "processes",
}
"""The hyperparameters that flags about batches name; others follow."""


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

    @property
    def batches(self) -> BatchFlags:
        """Those that are about batches of completions."""
        return BatchFlags(
            self.group_size, self.rollouts_per_step, self.train_batch_size, self.processes
        )


def overrides_of(flags: GrpoFlags, document: Mapping[str, Any], *, is_ours: bool) -> list[str]:
    """The overrides that flags stand for: in each arm what was typed, and what must follow there.

    Args:
        flags: as they were typed.
        document: the experiment file, whose values hold where no flag says otherwise.
        is_ours: whether it is the one that comes with the package, which is made for the tiny
            model.

    Raises:
        UsageError: when flags do not go together; names them.
    """
    prepared, _ = prepare(document)
    values: dict[str, Any] = {}
    between = []
    for arm in ARMS:
        given = _hyperparameters_of(prepared.get(arm))
        settings = _settings(flags, given, is_ours=is_ours)
        values |= {f"{arm}.hyperparameters.{name}": value for name, value in settings.items()}
        if are_counts({**given, **settings}):
            between.append(generation_of({**given, **settings}).optimizer_steps)
        if flags.task is not None:
            values[f"{arm}.environment"] = flags.task
    values = {
        path: value for path, value in values.items() if not _is_inherited(path, values, document)
    }
    if flags.seed is not None:
        values["seeds"] = [flags.seed]
    frequency = _frequency(flags, document, lcm(*between), is_ours=is_ours)
    if frequency is not None:
        values["checkpoint.frequency"] = frequency
    return [override(path, value) for path, value in values.items()]


def flags_at(
    flags: GrpoFlags, overrides: Iterable[str], last: Mapping[str, object]
) -> dict[str, str]:
    """The flag that has set a value, by the value's JSON pointer.

    Args:
        flags: as they were typed.
        overrides: those that win over flags; what they set is theirs.
        last: what further flags have set of both arms, which wins over all.
    """
    hyperparameters = {**DIRECT, **OF_BATCHES}
    of_arms = {"task": "environment"} | {
        flag: f"hyperparameters.{name}" for flag, name in hyperparameters.items()
    }
    places = [(flag, f"{arm}.{path}") for flag, path in of_arms.items() for arm in ARMS]
    places += [("seed", "seeds"), ("checkpoint_interval", "checkpoint.frequency")]
    taken = [each.partition("=")[0].strip(" +-") for each in overrides]
    found = {
        at(*path.split(".")): f"--{dashed(flag)}"
        for flag, path in places
        if getattr(flags, flag) is not None
        and not any(f"{path}.".startswith(f"{other}.") for other in taken)
    }
    return found | {
        at(arm, OF_BOTH_ARMS[flag]): f"--{dashed(flag)}"
        for flag, value in last.items()
        if value is not None
        for arm in ARMS
    }


def _is_inherited(path: str, values: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    """Whether the variant comes to a value by extending the baseline, and need not be told it."""
    arm, _, rest = path.partition(".")
    variant = document.get(ARMS[1])
    if arm != ARMS[1] or not isinstance(variant, Mapping) or variant.get("extends") != BASELINE:
        return False
    own: Any = variant
    for token in rest.split("."):
        if not isinstance(own, Mapping) or token not in own:
            above = f"{ARMS[0]}.{rest}"
            return above in values and values[above] == values[path]
        own = own[token]
    return False


def _settings(flags: GrpoFlags, given: Mapping[str, Any], *, is_ours: bool) -> dict[str, Any]:
    """The hyperparameters of an arm that flags change."""
    settings: dict[str, Any] = {}
    if is_ours and flags.model_name not in (None, TINY):
        group = OF_LARGER_MODELS["num_generations"]
        settings |= {**OF_LARGER_MODELS, "generation_batch_size": PROMPTS * group}
        settings["per_device_train_batch_size"] = group
    settings |= _direct(flags)
    return settings | changed_batches(flags.batches, {**given, **settings})


def _frequency(
    flags: GrpoFlags, document: Mapping[str, Any], between: int, *, is_ours: bool
) -> int | None:
    """Optimiser steps between checkpoints, which lie between batches; None leaves the file's.

    Raises:
        UsageError: when those that were typed lie elsewhere.
    """
    typed = flags.checkpoint_interval
    if typed is not None:
        if typed % between:
            raise UsageError(
                f"--checkpoint-interval {typed}: checkpoints lie between two batches of "
                f"completions, and {between} steps learn from one",
                remedy=f"give a multiple of {between}",
            )
        return typed
    if is_ours:
        return whole_batches(CHECKPOINT_EVERY, between)
    checkpoint = document.get("checkpoint")
    given = checkpoint.get("frequency") if isinstance(checkpoint, Mapping) else None
    if not str(flags.batches) or type(given) is not int or given % between == 0:
        return None
    return whole_batches(given, between)


def _hyperparameters_of(arm: Any) -> dict[str, Any]:
    """An arm's hyperparameters with the library's defaults."""
    defaults = {name: each.default for name, each in algorithms()["GRPO"].parameters.items()}
    own = arm.get("hyperparameters") if isinstance(arm, Mapping) else None
    return {**defaults, **(own if isinstance(own, Mapping) else {})}


def _direct(flags: GrpoFlags) -> dict[str, Any]:
    values = {name: getattr(flags, flag) for flag, name in DIRECT.items()}
    return {name: value for name, value in values.items() if value is not None}
