"""What batches and optimiser steps show, and the metrics that a row of the journal makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...domain import metric_names as names
from ...tasks import CALLS, FAILED_CALLS
from ..backend import Metrics


@dataclass
class Batch:
    """One batch of completions, of all processes together."""

    returns: np.ndarray
    """Shape (completions,)."""
    advantages: np.ndarray
    """Shape (completions,)."""
    group: int
    """Completions of one prompt, which stand side by side."""
    facts: Sequence[Mapping[str, float]] = ()
    """What the task tells of each dialogue, by name; the names may differ."""


@dataclass(frozen=True)
class Step:
    """The newest step of the optimiser."""

    loss: float
    kl_in_loss: float
    logs: Mapping[str, float]
    """What TRL says of it; what it does not know is absent."""


@dataclass
class Window:
    """What was seen since a row was written last, of all batches and steps."""

    returns: list[float] = field(default_factory=list)
    """Of each completion; likewise the following."""
    advantages: list[float] = field(default_factory=list)
    facts: dict[str, list[float]] = field(default_factory=dict)
    """By name; of each dialogue that has it."""
    losses: list[float] = field(default_factory=list)
    """Of each optimiser step; likewise the following."""
    kl: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)

    def add_batch(self, batch: Batch) -> None:
        """Take a batch of completions in."""
        self.returns += batch.returns.tolist()
        self.advantages += batch.advantages.tolist()
        for facts in batch.facts:
            for name, value in facts.items():
                self.facts.setdefault(name, []).append(float(value))

    def add_step(self, step: Step) -> None:
        """Take a step of the optimiser in."""
        self.losses.append(step.loss)
        for values, name in ((self.kl, "kl"), (self.norms, "grad_norm")):
            if name in step.logs:
                values.append(step.logs[name])


def kl_of_rollouts(kl: Sequence[float]) -> Metrics:
    """The divergences of optimiser steps, by which a row tells how far the model is."""
    if not kl:
        return {}
    return {
        names.ROLLOUT_KL["mean"]: float(np.mean(kl)),
        names.ROLLOUT_KL["std"]: float(np.std(kl)),
        names.ROLLOUT_KL["max"]: max(kl),
    }


def of_epoch(window: Window) -> Metrics:
    """The steps of the optimiser since the last row."""
    metrics: Metrics = {}
    for told, values in ((names.EPOCH_LOSS, window.losses), (names.EPOCH_KL, window.kl)):
        if values:
            metrics[told["mean"]] = float(np.mean(values))
            metrics[told["std"]] = float(np.std(values))
    if window.norms:
        metrics[names.EPOCH_GRAD_NORM["mean"]] = float(np.mean(window.norms))
        metrics[names.EPOCH_GRAD_NORM["max"]] = max(window.norms)
    return metrics


def components(step: Step) -> Metrics:
    """The parts of Dr. GRPO's loss, which they add up to; what has no weight is absent.

    Where entropy has a weight, TRL tells the loss without it as `policy_loss`, the divergence
    included; the bonus is the (negative) rest.
    """
    bonus = step.loss - step.logs.get("policy_loss", step.loss)
    parts: Metrics = {names.DR_COMPONENT["policy"]: step.loss - bonus - step.kl_in_loss}
    if "kl" in step.logs:
        parts[names.DR_COMPONENT["kl"]] = step.kl_in_loss
    if "policy_loss" in step.logs:
        parts[names.DR_COMPONENT["entropy"]] = bonus
    return parts


def skewness(values: np.ndarray) -> float:
    """The third standardised moment of a sample, biased; 0 where all values are equal."""
    centred = values - values.mean()
    deviation = float(np.sqrt((centred**2).mean()))
    # what rounding leaves of equal values is no spread
    if deviation <= 1e-9 * max(1.0, float(np.abs(values).max())):
        return 0.0
    return float((centred**3).mean() / deviation**3)


def batch_returns(batch: Batch) -> Metrics:
    """The newest batch by itself."""
    returns = batch.returns
    groups = returns.reshape(-1, batch.group)
    return {
        names.BATCH_RETURNS["mean"]: float(returns.mean()),
        names.BATCH_RETURNS["std"]: float(returns.std()),
        names.BATCH_RETURNS["min"]: float(returns.min()),
        names.BATCH_RETURNS["max"]: float(returns.max()),
        names.BATCH_RETURNS["median"]: float(np.median(returns)),
        names.BATCH_RETURNS["group_std_mean"]: float(groups.std(axis=1).mean()),
        names.BATCH_RETURNS["groups_alike"]: float((np.ptp(groups, axis=1) == 0).mean()),
    }


def task_facts(told: Mapping[str, Sequence[float]]) -> Metrics:
    """What a task told of its dialogues: means, and of its calls the share that failed."""
    metrics: Metrics = {names.TASK_FACT.format(name): float(np.mean(told[name])) for name in told}
    calls = sum(told.get(CALLS, ()))
    if calls and FAILED_CALLS in told:
        metrics[names.FAILED_CALLS_SHARE] = sum(told[FAILED_CALLS]) / calls
    return metrics
