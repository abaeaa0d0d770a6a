"""Judges an arm that trains a language model: its task, its model, and what it has no use for."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..domain.errors import Problem, RefusedError, TrainingError
from ..tasks import TASKS, make_task, try_demonstrations, try_problems
from .generations import generation_problems
from .model_folder import ModelFolderError, check_model_folder, positions_of
from .models import Configuration
from .problems import at, shown
from .rounding import planned_steps
from .rules import Arm

Pointer = tuple[str | int, ...]

ORDINARY_WEIGHT = 0.02
"""The size of a language model's weights: the deviation with which most are initialised."""
BFLOAT16_BITS = 8
"""Of a number in bfloat16, its digits that count."""

TINY = "tiny"
"""The name of the model that is made on the spot."""
TINY_POSITIONS = 4096
"""Tokens that it can look at, prompt and completion together; places are rotations in it, so that
more of them make it no larger."""
WITHOUT_USE = ("n_envs", "vec_env", "wrappers", "normalize", "policy", "preset")
"""Settings of arms that act in environments."""
UNKNOWN_ENVIRONMENT = "?"
"""Stands for a name that the file got wrong."""


def language_problems(
    configuration: Configuration,
    settings: Mapping[str, Any],
    where: Pointer,
    modules: Sequence[str] = (),
) -> Iterator[Problem]:
    """Everything about a language model's arm that training would refuse, or never mean."""
    here = (*where, "hyperparameters")
    yield from _without_use(configuration, where)
    yield from _task_problems(configuration, settings["model_name"], where, modules)
    yield from generation_problems(settings, here)
    yield from _clipping_problems(settings, here)
    yield from _device_problems(configuration, settings["processes"], where)
    yield from _model_problems(settings, here)


def language_warnings(arm: Arm) -> Iterator[str]:
    """What is allowed of a language model's arm, and hardly meant."""
    yield from _rounded_away(arm.settings)
    yield from _never_warm(arm)
    if arm.algorithm.name == "DR_GRPO" and arm.settings["importance_sampling_level"] == "sequence":
        yield (
            "DR_GRPO weighs each completion by its length where importance_sampling_level is "
            '"sequence", because its one ratio counts for every token; the sequence-level '
            "objective (GSPO), and GRPO with this setting, weighs all completions equally: "
            'set "token", or compare within GRPO'
        )


def _rounded_away(settings: Mapping[str, Any]) -> Iterator[str]:
    lost = smallest_change(ORDINARY_WEIGHT)
    if settings["dtype"] == "bfloat16" and 0 < settings["learning_rate"] < lost:
        yield (
            "hardly any weight will change: a step of the optimiser is about as long as "
            f"learning_rate {settings['learning_rate']:g}, and a weight of {ORDINARY_WEIGHT} in "
            f"bfloat16 is rounded back unless it changes by {lost:.1g}; set "
            '"dtype": "float32", with which a GPU still computes in bfloat16'
        )


def _never_warm(arm: Arm) -> Iterator[str]:
    """A learning rate that rises to its value for longer than there is training."""
    settings, planned = arm.settings, planned_steps(arm.algorithm, arm.settings, arm.configuration)
    asked, rate = settings["warmup_steps"], settings["learning_rate"]
    steps = int(asked) if asked >= 1 else math.ceil(planned * asked)  # less is a share of all
    if settings["lr_scheduler_type"] != "constant" and 0 < steps >= planned:
        yield (
            f"learning_rate {rate:g} is never reached: it rises for warmup_steps ({asked:g}), and "
            f"the last of the {planned} steps learns at {rate * (planned - 1) / steps:g}; "
            "set fewer, or train longer"
        )


def smallest_change(weight: float) -> float:
    """Half of what lies between a weight in bfloat16 and the next one; less is rounded away."""
    return float(2.0 ** (math.floor(math.log2(abs(weight))) - BFLOAT16_BITS))


def is_local(model_name: str) -> bool:
    """Whether a model's name is a path, and not that of a hub."""
    return model_name.startswith((".", "/", "~"))


def model_folder(model_name: str) -> Path:
    """The folder that a model's name is the path of."""
    return Path(os.path.expanduser(model_name))  # noqa: PTH111 - without a home it stays as it is


def _without_use(configuration: Configuration, where: Pointer) -> Iterator[Problem]:
    defaults = type(configuration).model_fields
    for name in WITHOUT_USE:
        value = getattr(configuration, name)
        if value != defaults[name].default:
            message = f"{configuration.algorithm} trains a language model and has no use for it"
            yield Problem(at(*where, name), message, shown(value), "leave it out")


def _task_problems(
    configuration: Configuration, model_name: str, where: Pointer, modules: Sequence[str]
) -> Iterator[Problem]:
    name = configuration.environment
    if name == UNKNOWN_ENVIRONMENT:
        return
    try:
        task = make_task(name, configuration.environment_kwargs, modules)
        if name not in TASKS:
            try_problems(task, name)
        if model_name == TINY:
            try_demonstrations(task, name)
    except RefusedError as error:
        is_name = error.place == ("environment",)
        value = shown(name if is_name else configuration.environment_kwargs)
        pointer = at(*where, *error.place)
        yield Problem(pointer, error.message, value, error.allowed, error.suggestion)
    except TrainingError as error:
        yield Problem(at(*where, "environment"), error.what, shown(name), error.remedy)


def _clipping_problems(settings: Mapping[str, Any], here: Pointer) -> Iterator[Problem]:
    """A bound of the ratio (TRL's `delta`) lies beyond the range in which it is not clipped."""
    delta = settings["delta"]
    name = "epsilon" if settings["epsilon_high"] is None else "epsilon_high"
    least = 1 + settings[name]
    if delta is not None and delta <= least:
        yield Problem(
            at(*here, "delta"),
            f"must be greater than {least:g}, which is 1 + {name}: a lower one takes the gradient "
            "of completions that earned more before the clipping does",
            shown(delta),
            "raise it, or leave it out",
        )


def _device_problems(
    configuration: Configuration, processes: int, where: Pointer
) -> Iterator[Problem]:
    if processes > 1 and configuration.device.startswith("cuda"):
        yield Problem(
            at(*where, "device"),
            f"{processes} processes per run train on the CPU only",
            shown(configuration.device),
            'set "device": "cpu", or "processes": 1',
        )


def _model_problems(settings: Mapping[str, Any], here: Pointer) -> Iterator[Problem]:
    """What can be told before a model is loaded; of one on a hub nothing."""
    name = settings["model_name"]
    positions = TINY_POSITIONS if name == TINY else None
    if is_local(name):
        try:
            positions = positions_of(check_model_folder(model_folder(name)))
        except ModelFolderError as error:
            remedy = 'give another folder, the id of a model on a hub, or "tiny"'
            yield Problem(at(*here, "model_name"), str(error), shown(name), remedy)
    budget = settings["max_completion_length"]
    if positions is not None and budget >= positions:
        yield Problem(
            at(*here, "max_completion_length"),
            f"leaves no room for a prompt: the model has a context of {positions} tokens",
            shown(budget),
            f"{positions - 1} less the tokens of the longest prompt, at most",
        )
