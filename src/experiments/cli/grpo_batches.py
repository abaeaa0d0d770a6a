"""How the flags of `experiments grpo` change batches of completions: by no more than is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..config.generations import Generation, generation_of
from ..domain.errors import UsageError

COUNTS = (
    "num_generations",
    "per_device_train_batch_size",
    "processes",
    "gradient_accumulation_steps",
    "num_iterations",
)
OPTIONAL_COUNTS = ("generation_batch_size", "steps_per_generation")


@dataclass(frozen=True)
class BatchFlags:
    """What the command line says of batches; None where it says nothing."""

    group_size: int | None = None
    rollouts_per_step: int | None = None
    train_batch_size: int | None = None
    processes: int | None = None

    def __str__(self) -> str:
        """As they were typed."""
        return " ".join(
            f"--{name.replace('_', '-')} {value}"
            for name, value in vars(self).items()
            if value is not None
        )


def are_counts(settings: Mapping[str, Any]) -> bool:
    """Whether batches can be computed at all; if not, the file itself is refused."""
    needed = [settings[name] for name in COUNTS]
    given = [settings[name] for name in OPTIONAL_COUNTS if settings[name] is not None]
    return all(type(each) is int and each > 0 for each in (*needed, *given))


def changed_batches(flags: BatchFlags, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters that the flags change, and those that must follow.

    The size of a group changes no number of prompts, and the other way round; neither changes the
    minibatch where that still divides. The size of a minibatch, and the number of processes, leave
    the batch as it is.

    Args:
        flags: as they were typed.
        settings: an arm's hyperparameters in full.

    Raises:
        UsageError: when what was typed cannot be divided.
    """
    if not str(flags) or not are_counts(settings):
        return {}
    before = generation_of(settings)
    group = _chosen(flags.group_size, settings["num_generations"])
    prompts = _chosen(flags.rollouts_per_step, before.prompts)
    is_resized = (flags.group_size, flags.rollouts_per_step) != (None, None)
    changed = {
        "num_generations": group,
        "processes": _chosen(flags.processes, settings["processes"]),
        "generation_batch_size": prompts * group if is_resized else before.completions,
        "steps_per_generation": None,
    }
    after = {**settings, **changed}
    minibatches = (
        [flags.train_batch_size] if flags.train_batch_size else _fitting(before, settings, after)
    )
    for size in minibatches:
        if _divides(size, after):
            return {**changed, "per_device_train_batch_size": size}
    raise UsageError(
        f"{flags}: {_why_not(after, flags.train_batch_size)}", remedy="choose numbers that divide"
    )


def _chosen(typed: int | None, given: int) -> int:
    return given if typed is None else typed


def _fitting(
    before: Generation, given: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[int]:
    """Sizes of a minibatch, those that change least first."""
    together = given["per_device_train_batch_size"] * given["processes"]
    kept = max(together // after["processes"], 1)
    yield kept
    yield max(after["generation_batch_size"] // (after["processes"] * before.steps), 1)
    yield from range(kept - 1, 0, -1)


def _divides(minibatch: int, settings: Mapping[str, Any]) -> bool:
    together = minibatch * settings["processes"]
    steps, rest = divmod(settings["generation_batch_size"], together)
    learned = steps * settings["num_iterations"]
    return bool(rest == 0 and learned % settings["gradient_accumulation_steps"] == 0)


def _why_not(settings: Mapping[str, Any], minibatch: int | None) -> str:
    completions, processes = settings["generation_batch_size"], settings["processes"]
    accumulated, iterations = settings["gradient_accumulation_steps"], settings["num_iterations"]
    size = "any size" if minibatch is None else f"{minibatch}"
    words = f"the {completions} completions of a batch cannot be divided into minibatches of {size}"
    if processes > 1:
        words += f" on each of {processes} processes"
    if accumulated > 1:
        words += f", {accumulated} to a step of the optimiser (num_iterations is {iterations})"
    return words
