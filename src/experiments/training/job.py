"""What an executor calls, in whatever process: one run, trained or rehearsed."""

from __future__ import annotations

from ..domain.paths import RunPaths
from ..domain.records import RunEstimate, RunKey, TrainerConfig, TrainingResult
from ..durability.lock import FileLock
from .trainer import Trainer


def train_run(config: TrainerConfig) -> TrainingResult:
    """Train one run; its lock keeps every other attempt out meanwhile.

    Raises:
        ExperimentLockedError: when another attempt still trains it.
        TrainingError: when the run failed; an environment's own exception passes through.
    """
    if config.run_dir is None:
        return Trainer(config).train()
    with FileLock(RunPaths(config.run_dir).lock):
        return Trainer(config).train()


def rehearse_run(run: RunKey, config: TrainerConfig) -> RunEstimate:
    """Train a handful of steps of one run in a scratch place and estimate the whole."""
    from .rehearsal import rehearse  # needs the learning library

    return rehearse(run, config)
