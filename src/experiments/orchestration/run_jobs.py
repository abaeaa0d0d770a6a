"""The runs of an experiment as jobs of an executor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from ..config import trainer_config
from ..domain.paths import AttemptPaths
from ..domain.records import RunKey, TrainerConfig, TrainingResult
from ..execution import Job, Needs, RunAttempts
from ..experiment import Experiment
from ..monitoring import MachineMeter, device_inside
from .placing import Placing

Train = Callable[[TrainerConfig], TrainingResult]
Adjust = Callable[[str, TrainerConfig], tuple[TrainerConfig, list[str]]]


class RunJobs:
    """Makes the job of a run's latest attempt.

    Args:
        experiment: whose runs they are.
        attempts: of every planned run.
        train: trains one run; picklable, because it may be called in another process.
        adjust: what earlier failures changed in an arm's configuration, also in words.
    """

    def __init__(
        self,
        experiment: Experiment,
        attempts: Mapping[RunKey, RunAttempts],
        train: Train,
        adjust: Adjust,
    ) -> None:
        self._experiment = experiment
        self._attempts = attempts
        self._train = train
        self._adjust = adjust
        self._patience: dict[RunKey, float | None] = {}

    def of(self, run: RunKey, placing: Placing) -> Job:
        """The job that trains the run, with what earlier failures changed."""
        attempts = self._attempts[run]
        config, attempts.deviations = self._adjust(run.arm, self._config_of(run, attempts))
        config = replace(config, deviations=tuple(attempts.deviations))
        self._patience[run] = config.hang_seconds
        return self._job(run, config, attempts.current, placing)

    def patience_with(self, run: RunKey) -> float | None:
        """Seconds that the run may be silent; None where no adjustment has changed that."""
        return self._patience.get(run)

    def _config_of(self, run: RunKey, attempts: RunAttempts) -> TrainerConfig:
        return trainer_config(
            self._experiment.config.arms[run.arm],
            seed=run.seed,
            experiment=self._experiment.config,
            run_dir=attempts.paths.root,
            attempt=attempts.prepared,
            checkpoints=self._experiment.paths.run_checkpoints(run),
            experiment_name=self._experiment.name_of(run),
        )

    def _job(
        self, run: RunKey, config: TrainerConfig, attempt: AttemptPaths, placing: Placing
    ) -> Job:
        needs, gpus = placing.needs.get(run.arm, Needs()), placing.gpus
        environment = None
        if gpus is not None:
            environment = partial(gpus.place, run, config.device, needs.gpu_memory_mb)
        if gpus is not None or needs.gpus:
            config = replace(config, device=device_inside(config.device))
        return Job(
            run.name,
            (run,),
            partial(self._train, config),
            attempt.log,
            environment=environment,
            needs=needs,
            meter=MachineMeter,
        )
