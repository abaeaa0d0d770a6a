"""The metrics of a journal row, under the names that every algorithm shares."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from stable_baselines3.a2c import A2C
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecEnv

from ...domain import metric_names as names
from ...domain.units import GIB
from .algorithms import LOSSES
from .state.plain import Plain, capture, restore
from .updates import UpdateRecord, UpdateWatcher

LIBRARY_PREFIXES = (names.LIBRARY_PREFIX, "rollout/")
_CONNECTIONS = ("_model", "_vector", "_watcher", "_loss_name")
KL_OF_UPDATE = "train/kl_divergence_loss"
"""Where TRPO, which has one KL divergence an update, records it."""


class MetricsRecorder:
    """Collects what a model, its environments and its updates show; absent is what they lack."""

    def __init__(self, model: BaseAlgorithm, vector: VecEnv, watcher: UpdateWatcher) -> None:
        self._model = model
        self._vector = vector
        self._watcher = watcher
        self.rollouts = 0
        self.batches = 0
        """Updates: each learns from one batch of experience."""
        self.best_mean: float | None = None
        self.invalid_losses = 0
        self._loss_name = LOSSES.get(type(model).__name__)
        model.set_logger(Logger(folder=None, output_formats=[]))

    def capture(self) -> Plain:
        """What was counted so far, as plain data."""
        return capture(self, _CONNECTIONS)

    def restore(self, state: Plain) -> None:
        """Go on counting from there."""
        restore(self, state)

    def note_update(self) -> float | None:
        """Count an update that has just ended, and return its loss where it has one.

        Of several minibatches that is the last one's, or the first that is not finite.
        """
        self.batches += 1
        invalid = self._watcher.invalid_loss()
        loss = self._loss() if invalid is None else invalid
        if loss is not None:
            self.invalid_losses += not math.isfinite(loss)
            if not self._watcher.sees_minibatches:
                self._watcher.add_loss(loss)
        return loss

    def collect(self) -> dict[str, float]:
        """The metrics since the last call."""
        record = self._watcher.take()
        return {
            **self._returns(),
            **self._advantages(),
            names.TOTAL_ROLLOUTS: self.rollouts,
            names.BATCH_STEP: self.batches,
            **self._updates(record),
            **self._system(),
            **self._library(),
        }

    def final(self) -> dict[str, float]:
        """What the journal's last record says of the whole run."""
        metrics: dict[str, float] = {
            names.FINAL_STEPS: self._model.num_timesteps,
            names.FINAL_BATCHES: self.batches,
            names.FINAL_ROLLOUTS: self.rollouts,
        }
        if self.best_mean is not None:
            metrics[names.FINAL_BEST_MEAN_RETURN] = self.best_mean
        return metrics

    def _returns(self) -> dict[str, float]:
        by_environment = self._vector.env_method("take_returns")
        finished = [each for returns in by_environment for each in returns]
        if not finished:
            return {}
        returns = np.array(finished)
        mean = float(returns.mean())
        self.best_mean = mean if self.best_mean is None else max(mean, self.best_mean)
        return {
            names.RETURNS["sum"]: float(returns.sum()),
            names.RETURNS["mean"]: mean,
            names.RETURNS["std"]: float(returns.std()),
            names.RETURNS["max"]: float(returns.max()),
            names.RETURNS["min"]: float(returns.min()),
            names.RETURNS["best_mean"]: self.best_mean,
        }

    def _advantages(self) -> dict[str, float]:
        buffer: Any = getattr(self._model, "rollout_buffer", None)
        if buffer is None or self.rollouts == 0:
            return {}
        return {
            names.ADVANTAGES["mean"]: float(buffer.advantages.mean()),
            names.ADVANTAGES["std"]: float(buffer.advantages.std()),
        }

    def _updates(self, record: UpdateRecord) -> dict[str, float]:
        if self.batches == 0:
            return {}
        kl = record.kl or self._kl_of_update()
        norms = record.norms()
        metrics: dict[str, float] = {}
        if record.losses:
            last_pass = np.array(record.losses[record.pass_start :] or record.losses[-1:])
            metrics[names.STEP_LOSS] = record.losses[-1]
            metrics[names.EPOCH_LOSS["mean"]] = float(last_pass.mean())
            metrics[names.EPOCH_LOSS["std"]] = float(last_pass.std())
        if kl:
            last_pass = np.array(kl[record.pass_start :] or kl[-1:])
            metrics[names.STEP_KL] = kl[-1]
            metrics[names.EPOCH_KL["mean"]] = float(last_pass.mean())
            metrics[names.EPOCH_KL["std"]] = float(last_pass.std())
            metrics[names.ROLLOUT_KL["mean"]] = float(np.mean(kl))
            metrics[names.ROLLOUT_KL["std"]] = float(np.std(kl))
            metrics[names.ROLLOUT_KL["max"]] = max(kl)
        if norms:
            last_norms = norms[record.norms_pass_start :] or norms[-1:]
            metrics[names.STEP_GRAD_NORM] = norms[-1]
            metrics[names.EPOCH_GRAD_NORM["mean"]] = float(np.mean(last_norms))
            metrics[names.EPOCH_GRAD_NORM["max"]] = max(last_norms)
        return {**metrics, **self._rates()}

    def _rates(self) -> dict[str, float]:
        values = self._model.logger.name_to_value
        rate = values.get("train/learning_rate")
        metrics: dict[str, float] = {} if rate is None else {names.STEP_LEARNING_RATE: float(rate)}
        if self._loss() is not None:
            metrics[names.INVALID_LOSS_COUNT] = self.invalid_losses
        return metrics

    def _system(self) -> dict[str, float]:
        metrics: dict[str, float] = {}
        buffer: Any = getattr(self._model, "replay_buffer", None)
        if buffer is not None:
            metrics[names.REPLAY_BUFFER_SIZE] = buffer.size() * buffer.n_envs
        if self._model.device.type == "cuda":
            metrics[names.GPU_MEMORY_ALLOCATED] = torch.cuda.memory_allocated() / GIB
            metrics[names.GPU_MEMORY_RESERVED] = torch.cuda.memory_reserved() / GIB
        return metrics

    def _library(self) -> dict[str, float]:
        return {
            name: _plain(value)
            for name, value in self._model.logger.name_to_value.items()
            if name.startswith(LIBRARY_PREFIXES) and isinstance(value, int | float | np.number)
        }

    def _loss(self) -> float | None:
        values = self._model.logger.name_to_value
        if self._loss_name is None and isinstance(self._model, A2C):
            return _a2c_loss(self._model, values)
        loss = None if self._loss_name is None else values.get(self._loss_name)
        return None if loss is None else float(loss)

    def _kl_of_update(self) -> list[float]:
        values = self._model.logger.name_to_value
        return [float(values[KL_OF_UPDATE])] if KL_OF_UPDATE in values else []


def _a2c_loss(model: A2C, values: dict[str, float]) -> float | None:
    """A2C's objective, put together from the parts that the library records."""
    if "train/policy_loss" not in values:
        return None
    return (
        float(values["train/policy_loss"])
        + model.ent_coef * float(values["train/entropy_loss"])
        + model.vf_coef * float(values["train/value_loss"])
    )


def _plain(value: Any) -> float:
    number: float = value.item() if isinstance(value, np.number) else value
    return number
