"""How GRPO's batches fit together: completions, prompts and the steps that learn from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..domain.errors import Problem
from .problems import at, shown

Pointer = tuple[str | int, ...]


@dataclass(frozen=True)
class Generation:
    """One batch of completions, as TRL draws and uses it."""

    completions: int
    """Of all processes together."""
    prompts: int
    """Different ones; each is answered `num_generations` times."""
    steps: int
    """Minibatches in which one process goes through its part (TRL's `steps_per_generation`)."""
    optimizer_steps: int
    """Updates that learn from it before the next one is drawn."""


def generation_of(settings: Mapping[str, Any]) -> Generation:
    """The batch that settings ask for; odd remainders are left out (`generation_problems`)."""
    minibatch = settings["per_device_train_batch_size"] * settings["processes"]
    steps = settings["steps_per_generation"]
    if steps is None:
        batch = settings["generation_batch_size"]
        steps = settings["gradient_accumulation_steps"] if batch is None else batch // minibatch
    steps = max(steps, 1)
    updates = steps * settings["num_iterations"] // settings["gradient_accumulation_steps"]
    completions = minibatch * steps
    return Generation(
        completions=completions,
        prompts=max(completions // settings["num_generations"], 1),
        steps=steps,
        optimizer_steps=max(updates, 1),
    )


def whole_batches(steps: int, between: int) -> int:
    """Optimiser steps, rounded up to whole batches of completions of `between` steps each."""
    return -(-steps // between) * between


def generation_problems(settings: Mapping[str, Any], here: Pointer) -> Iterator[Problem]:
    """Batches that cannot be divided as they would have to be."""
    minibatch = settings["per_device_train_batch_size"] * settings["processes"]
    batch, steps = settings["generation_batch_size"], settings["steps_per_generation"]
    if batch is not None and steps is not None:
        pointer = at(*here, "steps_per_generation")
        yield Problem(pointer, "contradicts generation_batch_size", shown(steps), "set one of them")
        return
    if batch is not None and batch % minibatch:
        yield Problem(
            at(*here, "generation_batch_size"),
            f"must be a multiple of per_device_train_batch_size × processes ({minibatch})",
            shown(batch),
        )
        return
    yield from _remainders(generation_of(settings), settings, here)


def _remainders(
    generation: Generation, settings: Mapping[str, Any], here: Pointer
) -> Iterator[Problem]:
    group = settings["num_generations"]
    if generation.completions % group:
        yield Problem(
            at(*here, "num_generations"),
            f"must divide the {generation.completions} completions of a batch "
            "(per_device_train_batch_size × processes × steps_per_generation)",
            shown(group),
        )
    accumulated = settings["gradient_accumulation_steps"]
    if generation.steps * settings["num_iterations"] % accumulated:
        yield Problem(
            at(*here, "gradient_accumulation_steps"),
            f"must divide the {generation.steps * settings['num_iterations']} minibatches that "
            "learn from one batch of completions (steps_per_generation × num_iterations)",
            shown(accumulated),
        )
