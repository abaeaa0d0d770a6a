"""What an executor calls, in whatever process: one run, trained or rehearsed."""

from __future__ import annotations

import logging
from contextlib import nullcontext

from ..domain.paths import RunPaths
from ..domain.records import RunEstimate, RunKey, TrainerConfig, TrainingResult
from ..durability.lock import FileLock
from .trainer import Trainer

logger = logging.getLogger(__name__)


def train_run(config: TrainerConfig) -> TrainingResult:
    """Train one run; its lock keeps every other attempt out meanwhile.

    Raises:
        ExperimentLockedError: when another attempt still trains it.
        TrainingError: when the run failed; an environment's own exception passes through.
    """
    with FileLock(RunPaths(config.run_dir).lock) if config.run_dir else nullcontext():
        logger.info(
            "%s on %s, seed %d: %d timesteps",
            config.algorithm,
            config.environment,
            config.seed,
            config.total_timesteps,
        )
        result = Trainer(config).train()
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
