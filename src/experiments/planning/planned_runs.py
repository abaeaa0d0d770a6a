"""The planned runs of an experiment: which there are, which are needed, what each came to."""

from __future__ import annotations

from dataclasses import replace

from ..config import ExperimentConfig, planned_timesteps
from ..domain.records import RunKey, RunStatus, TrainingResult
from ..domain.verdicts import Comparison
from .design import Design
from .looks_taken import LooksTaken


class PlannedRuns:
    """Arms times seeds, and their results so far; an `Experiment` is these and its question."""

    experiment_id: str
    config: ExperimentConfig
    design: Design
    looks: LooksTaken
    results: dict[RunKey, TrainingResult]
    _open: set[RunKey]
    """Runs that are trained again: what they came to before does not count."""
    _comparison: Comparison | None
    """Of the results so far, once it was asked for."""

    @property
    def has_single_seed(self) -> bool:
        """Whether each arm has one run, which names files by the arm alone."""
        return self.design.seeds_per_arm == 1

    def runs(self) -> list[RunKey]:
        """The planned runs, arm by arm, seed by seed."""
        return [RunKey(arm, seed) for arm, seeds in self.design.seeds.items() for seed in seeds]

    def batches(self, *, interleaved: bool) -> list[list[RunKey]]:
        """The planned runs in the order in which they are begun, up to one look after the other.

        Between two looks arm by arm, as in sequential mode, or seed by seed, so that both arms
        advance together. Without looks all are one batch.
        """
        arms = self.design.seeds
        return [
            [RunKey(arm, arms[arm][index]) for index in stage for arm in arms]
            if interleaved
            else [RunKey(arm, arms[arm][index]) for arm in arms for index in stage]
            for stage in self.design.stages()
        ]

    def is_needed(self, run: RunKey) -> bool:
        """Whether the answer rests on a run: a rule may have ended the experiment without it."""
        if self.looks.aborted_by is not None:
            return self._was_looked_at_in_training(run) or self.has_ended(run)
        last = self.looks.decided_at
        return last is None or run.seed in self.design.seeds[run.arm][:last]

    def complete_runs(self) -> list[RunKey]:
        """The runs that have a successful result, needed or not."""
        return [run for run in self.runs() if self._is_complete(run)]

    def unfinished_runs(self) -> list[RunKey]:
        """The needed runs that have no successful result."""
        unfinished = [
            run for run in self.runs() if self.is_needed(run) and not self._is_complete(run)
        ]
        if self.looks.aborted_by is None:
            return unfinished
        return [run for run in unfinished if self.has_ended(run)]  # the others were ended with it

    def runs_to_train(self) -> list[RunKey]:
        """The unfinished runs, but for those that failed and were looked at with their floor.

        None after an end in mid-training.
        """
        if self.looks.aborted_by is not None:
            return []
        settled = {arm: seeds[: self.looks.settled] for arm, seeds in self.design.seeds.items()}
        return [run for run in self.unfinished_runs() if run.seed not in settled[run.arm]]

    @property
    def is_decided(self) -> bool:
        """Whether a rule has ended the experiment before all planned runs were complete."""
        return self.looks.decided_at is not None or self.looks.aborted_by is not None

    def leading_seeds(self) -> int:
        """So many of the first seeds of every arm have runs that ended, whichever way."""
        for index in range(self.design.seeds_per_arm):
            runs = [RunKey(arm, seeds[index]) for arm, seeds in self.design.seeds.items()]
            if not all(self.has_ended(run) for run in runs):
                return index
        return self.design.seeds_per_arm

    def is_open(self, run: RunKey) -> bool:
        """Whether a run that has a result is being trained again."""
        return run in self._open

    def has_ended(self, run: RunKey) -> bool:
        """Whether a run is complete or was given up; one that failed may be tried again."""
        result = self.results.get(run)
        ended = (RunStatus.COMPLETED, RunStatus.SKIPPED)
        return run not in self._open and result is not None and result.status in ended

    def _was_looked_at_in_training(self, run: RunKey) -> bool:
        abort = self.design.abort
        return abort is not None and run.seed in self.design.seeds[run.arm][: abort.seeds]

    def reopen(self, run: RunKey) -> None:
        """A run is trained (again): until it ends it counts as one that is still to come."""
        self._open.add(run)
        self._comparison = None

    def name_of(self, run: RunKey) -> str:
        """The name under which a run's results and trackers know it."""
        return self.config.arms[run.arm].experiment_name or f"{self.experiment_id}/{run.name}"

    def planned_timesteps(self) -> dict[str, int]:
        """Timesteps that each arm's runs really train, after rounding to whole rollouts."""
        modules = self.config.environment_modules
        return {arm: planned_timesteps(each, modules) for arm, each in self.config.arms.items()}

    def failed_result(self, run: RunKey, error: str, step: int) -> TrainingResult:
        """The result of a run that failed at a step: no score, never left out."""
        return replace(
            self._blank_result(run),
            success=False,
            status=RunStatus.FAILED,
            error=error,
            total_timesteps=step,
        )

    def result_of(self, run: RunKey) -> TrainingResult:
        """What a planned run came to; one that has no result yet is queued."""
        return self.results.get(run) or self._missing_result(run)

    def _missing_result(self, run: RunKey) -> TrainingResult:
        if not self.is_needed(run) or self.looks.aborted_by is not None:
            failed = self.failed_result(run, "", 0)
            return replace(failed, status=RunStatus.CANCELLED, attempts=0, error=None)
        failed = self.failed_result(run, "not trained yet", 0)
        return replace(failed, status=RunStatus.QUEUED, attempts=0)

    def results_of(self, arm: str) -> list[TrainingResult]:
        """The results so far of an arm's runs on which the answer rests, in the planned order."""
        runs = (RunKey(arm, seed) for seed in self.design.seeds[arm])
        found = (self.results.get(run) for run in runs if self.is_needed(run))
        return [result for result in found if result is not None]

    def planned_results_of(self, arm: str) -> list[TrainingResult]:
        """What each of an arm's runs came to, in the planned order.

        Those without a result, and those that are trained again, are queued or cancelled.
        """
        return [self._standing_of(RunKey(arm, seed)) for seed in self.design.seeds[arm]]

    def needed_results_of(self, arm: str) -> list[TrainingResult]:
        """The same of the runs on which the answer rests."""
        runs = (RunKey(arm, seed) for seed in self.design.seeds[arm])
        return [self._standing_of(run) for run in runs if self.is_needed(run)]

    def _standing_of(self, run: RunKey) -> TrainingResult:
        """What counts in the comparison: a run that failed and was not given up is still a gap."""
        if run in self._open:
            return self._missing_result(run)
        result = self.result_of(run)
        return replace(result, fault=None) if result.status is RunStatus.FAILED else result

    def _blank_result(self, run: RunKey) -> TrainingResult:
        config = self.config.arms[run.arm]
        return TrainingResult(
            success=True,
            total_timesteps=config.training_steps,
            training_time=0.0,
            final_mean_reward=None,
            final_std_reward=None,
            experiment_name=self.name_of(run),
            algorithm=config.algorithm,
            environment_name=config.environment,
            seed=run.seed,
            arm=run.arm,
        )

    def _is_complete(self, run: RunKey) -> bool:
        result = self.results.get(run)
        return result is not None and result.success and result.status is RunStatus.COMPLETED
