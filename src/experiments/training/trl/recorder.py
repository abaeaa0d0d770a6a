"""The metrics of a journal row, under the names that every algorithm shares."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from ...domain import metric_names as names
from ...domain.units import GIB
from ..backend import Metrics
from .rows import (
    Batch,
    Step,
    Window,
    batch_returns,
    components,
    kl_of_rollouts,
    of_epoch,
    skewness,
    task_facts,
)

PREFIX = "trl/"
"""TRL's own values keep their names behind it."""
_TOLD_ELSEWHERE = {"loss", "grad_norm", "learning_rate", "kl", "epoch", "step_time", "num_tokens"}
_OURS = ("reward", "rewards/")
_OF_STEP = {
    "kl": names.STEP_KL,
    "grad_norm": names.STEP_GRAD_NORM,
    "learning_rate": names.STEP_LEARNING_RATE,
}


class MetricsRecorder:
    """Collects what batches and optimiser steps show; absent is what the algorithm lacks.

    `rollouts/*`, `training_epoch/*`, `task/*` and `dr_grpo/*` are about everything since the last
    row; `training_step/*` about the newest step, `batch_returns/*` about the newest batch.

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
        self._step: Step | None = None
        self._library: Metrics = {}
        """TRL's own values since the batch was drawn, the newest of each name."""
        self._window = Window()

    def note_batch(self, batch: Batch) -> None:
        """Count a batch of completions that was drawn and rewarded."""
        self.batches += 1
        self.rollouts += len(batch.returns)
        mean = float(batch.returns.mean())
        self.best_mean = mean if self.best_mean is None else max(mean, self.best_mean)
        self._batch = batch
        self._library = {}  # a run that goes on from here has none of an earlier batch either
        self._window.add_batch(batch)

    def note_step(self, step: int, loss: float, logs: Mapping[str, Any], kl_in_loss: float) -> None:
        """Take down an optimiser step.

        Args:
            step: its number.
            loss: of its minibatches together.
            logs: what TRL says of it.
            kl_in_loss: how much of the loss is the divergence from the reference model.
        """
        self.steps = step
        self.invalid_losses += not math.isfinite(loss)
        told = {name: float(value) for name, value in logs.items() if value is not None}
        self._step = Step(loss, kl_in_loss, told)
        self._window.add_step(self._step)
        self._library |= {
            f"{PREFIX}{name}": value
            for name, value in told.items()
            if name not in _TOLD_ELSEWHERE and not name.startswith(_OURS)
        }

    def capture(self) -> dict[str, Any]:
        """What is counted over the run and since the last row, as plain data.

        Called between two batches: the newest batch and step, which the next ones replace before
        anything is told of them again, are left out.
        """
        return {
            "batches": self.batches,
            "rollouts": self.rollouts,
            "steps": self.steps,
            "best_mean": self.best_mean,
            "invalid_losses": self.invalid_losses,
            "window": asdict(self._window),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on counting from there."""
        self.batches, self.rollouts = state["batches"], state["rollouts"]
        self.steps, self.best_mean = state["steps"], state["best_mean"]
        self.invalid_losses = state["invalid_losses"]
        self._window = Window(**deepcopy(state["window"]))

    def collect(self) -> Metrics:
        """The metrics since the last call."""
        window, self._window = self._window, Window()
        return {
            **self._returns(window.returns),
            **kl_of_rollouts(window.kl),
            **self._advantages(np.array(window.advantages)),
            **({} if self._batch is None else batch_returns(self._batch)),
            **task_facts(window.facts),
            names.TOTAL_ROLLOUTS: self.rollouts,
            names.BATCH_STEP: self.batches,
            **of_epoch(window),
            **self._of_step(),
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

    def _advantages(self, advantages: np.ndarray) -> Metrics:
        if not len(advantages):
            return {}
        metrics: Metrics = {
            names.ADVANTAGES["mean"]: float(advantages.mean()),
            names.ADVANTAGES["std"]: float(advantages.std()),
        }
        if self._is_dr_grpo:
            metrics[names.DR_GRPO_ADVANTAGES["variance"]] = float(advantages.var())
            metrics[names.DR_GRPO_ADVANTAGES["skewness"]] = skewness(advantages)
        return metrics

    def _of_step(self) -> Metrics:
        if self._step is None:
            return {}
        told = self._step.logs
        return {
            names.STEP_LOSS: self._step.loss,
            names.INVALID_LOSS_COUNT: self.invalid_losses,
            **{name: told[key] for key, name in _OF_STEP.items() if key in told},
            **(components(self._step) if self._is_dr_grpo else {}),
        }


def _memory() -> Metrics:
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return {}
    return {
        names.GPU_MEMORY_ALLOCATED: torch.cuda.memory_allocated() / GIB,
        names.GPU_MEMORY_RESERVED: torch.cuda.memory_reserved() / GIB,
    }
