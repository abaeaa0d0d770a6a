"""The metrics of a journal row, under the names that every algorithm shares."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ...domain import metric_names as names
from ...domain.units import GIB
from ...tasks import CALLS, FAILED_CALLS
from ..backend import Metrics

PREFIX = "trl/"
"""TRL's own values keep their names behind it."""
_TOLD_ELSEWHERE = {"loss", "grad_norm", "learning_rate", "kl", "epoch", "step_time", "num_tokens"}
_OURS = ("reward", "rewards/")


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


@dataclass
class Record:
    """What was seen since a row was written last."""

    returns: list[float] = field(default_factory=list)
    kl: list[float] = field(default_factory=list)
    """Of each optimiser step."""


class MetricsRecorder:
    """Collects what batches and optimiser steps show; absent is what the algorithm lacks.

    Args:
        is_dr_grpo: whether it is Dr. GRPO that trains.
        extra: values that stay the same, such as those of several processes.
    """

    def __init__(self, *, is_dr_grpo: bool, extra: Mapping[str, float]) -> None:
        self._is_dr_grpo = is_dr_grpo
        self._extra = dict(extra)
        self.batches = 0
        self.rollouts = 0
        self.steps = 0
        self.best_mean: float | None = None
        self.invalid_losses = 0
        self._batch: Batch | None = None
        self._losses: list[float] = []
        """Of each optimiser step since the batch was drawn; likewise the following."""
        self._kl: list[float] = []
        self._norms: list[float] = []
        self._kl_in_loss = 0.0
        """Of the last optimiser step."""
        self._library: Metrics = {}
        self._learning_rate: float | None = None
        self._record = Record()

    def note_batch(self, batch: Batch) -> None:
        """Count a batch of completions that was drawn and rewarded."""
        self.batches += 1
        self.rollouts += len(batch.returns)
        mean = float(batch.returns.mean())
        self.best_mean = mean if self.best_mean is None else max(mean, self.best_mean)
        self._batch = batch
        self._record.returns += batch.returns.tolist()
        self._losses, self._kl, self._norms = [], [], []

    def note_step(self, step: int, loss: float, logs: Mapping[str, Any], kl_in_loss: float) -> None:
        """Take down an optimiser step.

        Args:
            step: its number.
            loss: of its minibatches together.
            logs: what TRL says of it.
            kl_in_loss: how much of the loss is the divergence from the reference model.
        """
        self.steps = step
        self._kl_in_loss = kl_in_loss
        self._losses.append(loss)
        self.invalid_losses += not math.isfinite(loss)
        if logs.get("grad_norm") is not None:
            self._norms.append(float(logs["grad_norm"]))
        if logs.get("kl") is not None:
            self._kl.append(float(logs["kl"]))
            self._record.kl.append(self._kl[-1])
        self._learning_rate = logs.get("learning_rate")
        self._library |= {
            f"{PREFIX}{name}": float(value)
            for name, value in logs.items()
            if value is not None and name not in _TOLD_ELSEWHERE and not name.startswith(_OURS)
        }

    def capture(self) -> dict[str, Any]:
        """What is counted over the whole run, as plain data; called between two batches."""
        return {
            "batches": self.batches,
            "rollouts": self.rollouts,
            "steps": self.steps,
            "best_mean": self.best_mean,
            "invalid_losses": self.invalid_losses,
            "returns": list(self._record.returns),
            "kl": list(self._record.kl),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on counting from there."""
        self.batches, self.rollouts = state["batches"], state["rollouts"]
        self.steps, self.best_mean = state["steps"], state["best_mean"]
        self.invalid_losses = state["invalid_losses"]
        self._record = Record(list(state["returns"]), list(state["kl"]))

    def collect(self) -> Metrics:
        """The metrics since the last call."""
        record, self._record = self._record, Record()
        return {
            **self._returns(record.returns),
            **self._kl_of_rollouts(record.kl),
            **self._of_batch(),
            names.TOTAL_ROLLOUTS: self.rollouts,
            names.BATCH_STEP: self.batches,
            **self._of_steps(),
            **self._library,
            **self._extra,
            **_memory(),
        }

    def final(self) -> Metrics:
        """What the journal's last record says of the whole run."""
        metrics: Metrics = {
            names.FINAL_STEPS: self.steps,
            names.FINAL_BATCHES: self.batches,
            names.FINAL_ROLLOUTS: self.rollouts,
        }
        if self.best_mean is not None:
            metrics[names.FINAL_BEST_MEAN_RETURN] = self.best_mean
        return metrics

    def _returns(self, returns: Sequence[float]) -> Metrics:
        if not returns or self.best_mean is None:
            return {}
        array = np.array(returns)
        return {
            names.RETURNS["sum"]: float(array.sum()),
            names.RETURNS["mean"]: float(array.mean()),
            names.RETURNS["std"]: float(array.std()),
            names.RETURNS["max"]: float(array.max()),
            names.RETURNS["min"]: float(array.min()),
            names.RETURNS["best_mean"]: self.best_mean,
        }

    def _kl_of_rollouts(self, kl: Sequence[float]) -> Metrics:
        if not kl:
            return {}
        return {
            names.ROLLOUT_KL["mean"]: float(np.mean(kl)),
            names.ROLLOUT_KL["std"]: float(np.std(kl)),
            names.ROLLOUT_KL["max"]: max(kl),
        }

    def _of_batch(self) -> Metrics:
        if self._batch is None:
            return {}
        advantages = self._batch.advantages
        metrics = {
            names.ADVANTAGES["mean"]: float(advantages.mean()),
            names.ADVANTAGES["std"]: float(advantages.std()),
            **_batch_returns(self._batch),
            **_task_facts(self._batch.facts),
        }
        if self._is_dr_grpo:
            metrics[names.DR_GRPO_ADVANTAGES["variance"]] = float(advantages.var())
            metrics[names.DR_GRPO_ADVANTAGES["skewness"]] = skewness(advantages)
        return metrics

    def _of_steps(self) -> Metrics:
        if not self._losses:
            return {}
        metrics: Metrics = {
            names.STEP_LOSS: self._losses[-1],
            names.EPOCH_LOSS["mean"]: float(np.mean(self._losses)),
            names.EPOCH_LOSS["std"]: float(np.std(self._losses)),
            names.INVALID_LOSS_COUNT: self.invalid_losses,
        }
        if self._kl:
            metrics[names.STEP_KL] = self._kl[-1]
            metrics[names.EPOCH_KL["mean"]] = float(np.mean(self._kl))
            metrics[names.EPOCH_KL["std"]] = float(np.std(self._kl))
        if self._norms:
            metrics[names.STEP_GRAD_NORM] = self._norms[-1]
            metrics[names.EPOCH_GRAD_NORM["mean"]] = float(np.mean(self._norms))
            metrics[names.EPOCH_GRAD_NORM["max"]] = max(self._norms)
        if self._learning_rate is not None:
            metrics[names.STEP_LEARNING_RATE] = float(self._learning_rate)
        return {**metrics, **self._components()}

    def _components(self) -> Metrics:
        """The parts of Dr. GRPO's loss; with no weight on the divergence it has one part."""
        if not self._is_dr_grpo:
            return {}
        parts = {names.DR_COMPONENT["policy"]: self._losses[-1] - self._kl_in_loss}
        return parts | ({names.DR_COMPONENT["kl"]: self._kl_in_loss} if self._kl else {})


def skewness(values: np.ndarray) -> float:
    """The third standardised moment of a sample, biased; 0 where all values are equal."""
    centred = values - values.mean()
    deviation = float(np.sqrt((centred**2).mean()))
    # what rounding leaves of equal values is no spread
    if deviation <= 1e-9 * max(1.0, float(np.abs(values).max())):
        return 0.0
    return float((centred**3).mean() / deviation**3)


def _batch_returns(batch: Batch) -> Metrics:
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


def _task_facts(facts: Sequence[Mapping[str, float]]) -> Metrics:
    told: dict[str, list[float]] = {}
    for each in facts:
        for name, value in each.items():
            told.setdefault(name, []).append(value)
    metrics: Metrics = {names.TASK_FACT.format(name): float(np.mean(told[name])) for name in told}
    calls = sum(told.get(CALLS, ()))
    if calls and FAILED_CALLS in told:
        metrics[names.FAILED_CALLS_SHARE] = sum(told[FAILED_CALLS]) / calls
    return metrics


def _memory() -> Metrics:
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return {}
    return {
        names.GPU_MEMORY_ALLOCATED: torch.cuda.memory_allocated() / GIB,
        names.GPU_MEMORY_RESERVED: torch.cuda.memory_reserved() / GIB,
    }
