"""A run in miniature: what the whole of it will take, found out in seconds."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from ..config.algorithms import Family, algorithms, canonical_name
from ..config.memory import buffer_bytes
from ..domain.paths import AttemptPaths
from ..domain.records import RunEstimate, RunKey, TrainerConfig
from ..domain.seeds import SeedStream, stream_seeds
from .backend import Backend, Metrics, create_backend
from .recording import row_interval

MIB = 2**20
ROLLOUT_STEPS = 1024
"""Timesteps of a rollout, at most: enough for a dozen minibatches."""
WARM_UP_STEPS = 100
"""Timesteps before the first update of an off-policy algorithm, at most."""
UPDATED_STEPS = 150
"""Timesteps after it."""
COLLECTED_STEPS = 50
"""Timesteps between two updates, at most."""
REPLAY_ROWS = 1000
DIRECTIONS = 4
"""Directions in which an evolution strategy looks, at most."""
ROW_BYTES = 1500
"""A journal row with all metrics of PPO."""
EPISODE_BYTES = 60
"""An episode in the journal and in the predictions."""

Settings = Mapping[str, Any]


def rehearse(run: RunKey, config: TrainerConfig, steps: int | None = None) -> RunEstimate:
    """Train a handful of steps, evaluate one episode, save once; nothing is left on disk.

    Rollouts, warm-up and replay buffer are shortened; what they really take is added by arithmetic.

    Args:
        run: the run that the estimate is for.
        config: the run's own configuration.
        steps: timesteps to train; None takes just enough for an update.
    """
    settings = _settings(config)
    short = _shortened(config, settings, steps)
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the shortened settings, which nobody chose
        with closing(create_backend("sb3", short)) as backend:
            return _rehearse(run, config, backend, Path(scratch))


class _Stopwatch:
    """An observer that notes when each boundary was reached."""

    def __init__(self) -> None:
        self.next_step = 1
        self.laps: list[tuple[int, float]] = [(0, time.perf_counter())]

    def observe(self, step: int, collect: Callable[[], Metrics]) -> None:
        """Note the time; the metrics are not wanted."""
        del collect
        self.laps.append((step, time.perf_counter()))
        self.next_step = step + 1

    def seconds_per_step(self, first: int, last: int) -> float:
        """Mean time of a timestep from `first` to `last`; of all where there are too few."""
        laps = [lap for lap in self.laps if first <= lap[0] <= last]
        if len(laps) < 2:
            laps = self.laps
        (start, began), (end, ended) = laps[0], laps[-1]
        return (ended - began) / max(end - start, 1)


def _rehearse(run: RunKey, config: TrainerConfig, backend: Backend, scratch: Path) -> RunEstimate:
    from .warmup import warm_up

    warm_up()
    description = backend.build()
    stopwatch = _Stopwatch()
    trained = backend.train(stopwatch)
    stopwatch.observe(trained.step, dict)
    backend.evaluate(stream_seeds(config.seed, SeedStream.EVALUATION, 1), deterministic=True)
    backend.save(AttemptPaths(scratch))

    settings = _settings(config)
    planned = _planned(config, settings)
    seconds = _training_seconds(planned, settings, stopwatch)
    saved = sum(file.stat().st_size for file in scratch.rglob("*") if file.is_file())
    return RunEstimate(
        run=run,
        steps_per_second=planned / seconds,
        training_seconds=seconds,
        memory_mb=(psutil.Process().memory_info().rss + _buffer(config, settings, planned)) / MIB,
        disk_mb=(saved + _journal_bytes(config, planned)) / MIB,
        planned_timesteps=planned,
        parameters=description.parameters,
    )


def _settings(config: TrainerConfig) -> dict[str, Any]:
    """The hyperparameters with the library's defaults."""
    table = algorithms()[canonical_name(config.algorithm)]
    defaults = {name: parameter.default for name, parameter in table.parameters.items()}
    return {**defaults, **config.hyperparameters}


def _family(config: TrainerConfig) -> Family:
    return algorithms()[canonical_name(config.algorithm)].family


def _shortened(config: TrainerConfig, settings: Settings, steps: int | None) -> TrainerConfig:
    changed: dict[str, Any] = {}
    match _family(config):
        case Family.ON_POLICY:
            rows = max(ROLLOUT_STEPS // config.n_envs, 2)
            changed["n_steps"] = min(settings["n_steps"], rows)
            enough = ROLLOUT_STEPS // 4
        case Family.OFF_POLICY:
            changed["buffer_size"] = min(settings["buffer_size"], REPLAY_ROWS * config.n_envs)
            changed["learning_starts"] = min(settings["learning_starts"], WARM_UP_STEPS)
            changed.update(_shorter_collection(settings))
            enough = changed["learning_starts"] + UPDATED_STEPS
        case Family.EVOLUTION:
            changed["n_delta"] = min(settings["n_delta"], DIRECTIONS)
            enough = 1
    hyperparameters = {**config.hyperparameters, **changed}
    total = min(steps or enough, config.total_timesteps)
    return replace(config, hyperparameters=hyperparameters, total_timesteps=total, run_dir=None)


def _shorter_collection(settings: Settings) -> dict[str, Any]:
    """Collect and update less at a time, in the same proportion."""
    frequency, updates = settings["train_freq"], settings["gradient_steps"]
    if not isinstance(frequency, int) or frequency <= COLLECTED_STEPS:
        return {}
    fewer = max(round(updates * COLLECTED_STEPS / frequency), 1) if updates > 0 else updates
    return {"train_freq": COLLECTED_STEPS, "gradient_steps": fewer}


def _planned(config: TrainerConfig, settings: Settings) -> int:
    rollout = 1
    if _family(config) is Family.ON_POLICY:
        rollout = settings["n_steps"] * config.n_envs
    elif _family(config) is Family.OFF_POLICY and isinstance(settings["train_freq"], int):
        rollout = settings["train_freq"] * config.n_envs
    return int(-(-config.total_timesteps // rollout) * rollout)


def _training_seconds(planned: int, settings: Settings, stopwatch: _Stopwatch) -> float:
    end = stopwatch.laps[-1][0]
    without_updates = min(int(settings.get("learning_starts", 0)), planned)
    starts = min(without_updates, WARM_UP_STEPS)
    collecting = stopwatch.seconds_per_step(0, starts) * without_updates
    return collecting + stopwatch.seconds_per_step(starts, end) * (planned - without_updates)


def _buffer(config: TrainerConfig, settings: Settings, planned: int) -> int:
    """Bytes of the whole buffer, as far as training will fill it."""
    from .sb3.environments import evaluation_environment

    environment = evaluation_environment(config)
    environment.close()
    spaces = (environment.observation_space, environment.action_space)
    filled = {**settings, "buffer_size": min(settings.get("buffer_size", 0), planned)}
    table = algorithms()[canonical_name(config.algorithm)]
    return buffer_bytes(table, spaces, filled, config.n_envs)


def _journal_bytes(config: TrainerConfig, planned: int) -> int:
    protocol = config.evaluation
    rows = planned // row_interval(planned) + 1
    evaluated = planned // protocol.frequency * protocol.episodes + protocol.final_episodes
    return rows * ROW_BYTES + evaluated * EPISODE_BYTES
