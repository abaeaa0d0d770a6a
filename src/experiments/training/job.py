"""What an executor calls, in whatever process: one run, trained or rehearsed."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from ..domain.paths import RunPaths
from ..domain.records import RunEstimate, RunKey, TrainerConfig, TrainingResult
from ..domain.verdicts import Floor
from ..durability.lock import PATIENCE_SECONDS, FileLock
from .stopping import stopped_by
from .trainer import Trainer

logger = logging.getLogger(__name__)

GIVEN_UP_SECONDS = 10.0
"""How long an earlier attempt that was given up may take to go."""


def train_run(
    config: TrainerConfig, asked_to_stop: Callable[[], bool] = lambda: False
) -> TrainingResult:
    """Train one run; its lock keeps every other attempt out meanwhile.

    Args:
        config: everything that the run depends on.
        asked_to_stop: looked at between rollouts, beside the termination signal.

    Raises:
        ExperimentLockedError: when another attempt still trains it.
        TrainingError: when the run failed; an environment's own exception passes through.
        RunStoppedError: when a termination signal asked it to stop.
    """
    with _lock(config), stopped_by(signal.SIGTERM) as request:
        logger.info(
            "%s on %s, seed %d: %d timesteps",
            config.algorithm,
            config.environment,
            config.seed,
            config.total_timesteps,
        )
        trainer = Trainer(config, asked_to_stop=lambda: request.is_made or asked_to_stop())
        result = trainer.train()
        logger.info(
            "complete: %d timesteps in %.1f s of training, final evaluation %s",
            result.total_timesteps,
            result.training_time,
            result.final_mean_reward,
        )
        return result


def rehearse_run(run: RunKey, config: TrainerConfig) -> RunEstimate:
    """Train a handful of steps of one run in a scratch place and estimate the whole."""
    from .rehearsal import rehearse  # needs the learning library

    return rehearse(run, config)


def probe_run(run: RunKey, config: TrainerConfig) -> RunEstimate:
    """Train one run for a fraction of a second: how fast it is, and how much memory it takes.

    Nothing is evaluated, saved or written; an environment that takes long for a step is stopped
    after some seconds.
    """
    from .rehearsal import probe  # needs the learning library

    return probe(run, config)


def floor_run(run: RunKey, config: TrainerConfig) -> Floor:  # noqa: ARG001 - as the others
    """Measure what the random policy gets on a run's environment; nothing is trained or written."""
    from .floor import measure_floor  # needs the learning library

    return measure_floor(config)


def _lock(config: TrainerConfig) -> AbstractContextManager[object]:
    if config.run_dir is None:
        return nullcontext()
    patience_seconds = PATIENCE_SECONDS if config.attempt == 1 else GIVEN_UP_SECONDS
    lock = RunPaths(config.run_dir).lock
    return FileLock(lock, patience_seconds, waits_for_the_living=True)
