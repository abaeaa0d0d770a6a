"""Stable-Baselines3 behind the backend protocol.

The library's own `learn` runs unchanged. While it does, the methods that it calls once a rollout
and once an update are wrapped; nothing is added inside a step of the environment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
import torch
from sb3_contrib import ARS
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from ...config.algorithms import algorithms, canonical_name
from ...config.policies import default_policy
from ...domain.errors import NonFiniteError, TrainingError
from ...domain.paths import AttemptPaths
from ...domain.records import TrainerConfig
from ...durability.files import replacing, write_json
from ...durability.segments import SegmentWriter
from ..backend import Description, Observer, Resumption, Trained
from ..determinism import (
    generators_restored,
    seed_generators,
    torch_threads,
    training_modes_restored,
)
from ..diagnostics import Diagnostic, diagnostic_class
from ..evaluation import Episode, RecurrentState, play
from ..heartbeat import Tally
from .algorithms import algorithm_class, planned_timesteps
from .buffers import experience_bytes
from .environments import evaluation_environment, training_environments
from .finiteness import FiniteSteps
from .hyperparameters import constructor_arguments
from .loop import WatchedTraining
from .normalization import normalization_record
from .parameters import parameter_count, parameters_sha256
from .state.keeper import Keeper


class StableBaselines:
    """One run of a Stable-Baselines3 or sb3-contrib algorithm."""

    def __init__(self, config: TrainerConfig) -> None:
        self._config = config
        self._keepers: list[Keeper] = []
        """The environments, where they are in this process."""
        self._training: WatchedTraining | None = None
        self._tally = Tally()
        self._built: BaseAlgorithm | None = None
        self._undo = ExitStack()

    @property
    def model(self) -> BaseAlgorithm:
        """The library's model, once built."""
        if self._built is None:
            raise RuntimeError("call build() first")
        return self._built

    def build(self) -> Description:
        """Create environments and model as the library would, with the same seeds."""
        config = self._config
        _check_device(config.device)
        kind = algorithm_class(config.algorithm)
        self._undo.enter_context(torch_threads(config.torch_threads))
        vector = training_environments(config)
        table = algorithms()[canonical_name(config.algorithm)]
        self._undo.callback(vector.close)
        self._keepers = _keepers_of(vector)
        policy = config.policy or default_policy(table, vector.observation_space)
        arguments = constructor_arguments(config.hyperparameters, vector.action_space)
        if config.device != "auto":  # what "auto" means differs between the algorithms
            arguments["device"] = config.device
        watched = FiniteSteps(vector) if issubclass(kind, ARS) else vector
        self._built = kind(policy, watched, seed=config.seed, **arguments)
        self._tally.count += 1
        return Description(
            policy=policy,
            device=str(self.model.device),
            threads=torch.get_num_threads(),
            parameters=parameter_count(self.model),
            parameters_sha256=self.parameters_sha256(),
            planned_timesteps=planned_timesteps(self.model, config.total_timesteps),
        )

    def train(
        self,
        observer: Observer,
        *,
        resumption: Resumption | None = None,
        tells_state: bool = False,
    ) -> Trained:
        """Run the library's `learn`, watched."""
        vector = self.model.get_env()
        assert vector is not None  # noqa: S101 - it was built with one
        self._training = WatchedTraining(self.model, vector, observer, self._tally)
        return self._training.run(
            self._config.total_timesteps,
            accelerate=self._config.accelerate,
            resumption=resumption,
            tells_state=tells_state,
        )

    def capture(self, writer: SegmentWriter) -> dict[str, Any]:
        """The state of model, environments, experience, generators and all that is counted."""
        return self._running.capture(writer)

    @property
    def why_inexact(self) -> str | None:
        """Why the environments' state is not exact; None where it is."""
        return self._running.why_inexact

    @property
    def _running(self) -> WatchedTraining:
        if self._training is None:
            raise RuntimeError("call train() first")
        return self._training

    def evaluate(self, seeds: Sequence[int], *, deterministic: bool) -> list[Episode]:
        """Play one episode a seed; generators and modes of training are left as they were."""
        model = self.model
        with ExitStack() as stack:
            stack.enter_context(generators_restored([model.action_space]))
            stack.enter_context(training_modes_restored(model.policy))
            seed_generators(seeds[0])
            make = partial(evaluation_environment, self._config)
            return play(self, make, seeds, deterministic=deterministic, tally=self._tally)

    def diagnostics(self) -> Mapping[str, Diagnostic]:
        """The further measurements of the model that the configuration asks for."""
        names = self._config.diagnostics
        return {name: diagnostic_class(name)(self.model, self._tally) for name in names}

    def act(
        self,
        observations: Any,
        state: RecurrentState | None,
        starts: np.ndarray,
        deterministic: bool,
    ) -> tuple[np.ndarray, RecurrentState | None]:
        """Actions for raw observations, seen through training's normalisation.

        Raises:
            NonFiniteError: when an observation or an action is a NaN or an infinity.
        """
        self._check_played(observations, "observation")
        normalize = self.model.get_vec_normalize_env()
        if normalize is not None:
            observations = normalize.normalize_obs(observations)
        actions, state = self.model.predict(observations, state, starts, deterministic)
        self._check_played(actions, "action")
        return actions, state

    def _check_played(self, values: Any, what: str) -> None:
        parts = values.values() if isinstance(values, dict) else (values,)
        numbers = (part for part in parts if np.issubdtype(part.dtype, np.floating))
        if not all(np.isfinite(part).all() for part in numbers):
            raise NonFiniteError(f"{what} of an evaluation episode", self.model.num_timesteps)

    def save(self, paths: AttemptPaths) -> None:
        """Write the model's zip and, with normalisation, its statistics as JSON."""
        with replacing(paths.model) as temporary:
            self.model.save(temporary)
        normalize = self.model.get_vec_normalize_env()
        if normalize is not None:
            write_json(paths.normalization, normalization_record(normalize))
        self._tally.count += 1

    def activity(self) -> int:
        """Steps and episodes begun in training's environments, and what the tally counted besides.

        The monitors around the environments count anyway, so nothing is added to a step. A step
        counts twice, so that one that ends an episode, which is then begun no more, is a change.
        """
        if not self._keepers:  # the environments are in processes of their own
            return self._tally.count + (0 if self._built is None else self._built.num_timesteps)
        monitors = [keeper.monitor for keeper in self._keepers]
        steps = sum(monitor.total_steps for monitor in monitors)
        begun = sum(not monitor.needs_reset for monitor in monitors)
        replayed = sum(keeper.replayed for keeper in self._keepers)
        return self._tally.count + 2 * steps + begun + replayed

    def experience_bytes(self) -> int:
        """Bytes of the rollout or replay buffer once it is full."""
        return experience_bytes(self.model)

    def parameters_sha256(self) -> str:
        """SHA-256 of the parameters: sorted names and raw bytes."""
        return parameters_sha256(self.model)

    def close(self) -> None:
        """Close the training environments, and compute with as many threads as before."""
        self._undo.close()


def _keepers_of(vector: VecEnv) -> list[Keeper]:
    layer: Any = vector
    while isinstance(layer, VecEnvWrapper):
        layer = layer.venv
    return list(getattr(layer, "envs", ()))


def _check_device(device: str) -> None:
    """Refuse a device that is not there; the library would take the processor without a word."""
    if not device.startswith("cuda"):
        return
    index = int(device.partition(":")[2] or 0)
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if index >= found:
        raise TrainingError(
            f"device {device} is not available: {found} CUDA devices are visible",
            remedy="train with --device auto or cpu; `experiments doctor` shows the devices",
        )
