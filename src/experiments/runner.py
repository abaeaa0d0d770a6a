"""The lifecycle of an experiment, from top to bottom: set up, train, compare, report, clean up."""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, which the command line does only when it must
    from .cli.entry import runner_main

    runner_main()

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .analysis.text import listed
from .config import check_registrations, check_resource_limits
from .domain.errors import UsageError
from .domain.paths import ExperimentPaths
from .domain.records import (
    ExecutionMode,
    ExperimentStatus,
    ResourceSample,
    RunEstimate,
    RunKey,
    RunnerStatus,
    RunProgress,
    RunStatus,
    TrainerConfig,
    TrainingResult,
)
from .domain.verdicts import Comparison
from .durability.checkpoints import CheckpointManager
from .execution import (
    Executor,
    ExecutorSettings,
    Recovery,
    create_executor,
    executor_kind,
)
from .execution.admission import Admission
from .experiment import Experiment
from .monitoring import (
    Limits,
    ProgressInfo,
    ResourceMonitor,
    ResourceUsage,
    Stopwatch,
    progress_info,
)
from .orchestration.admitting import Admitting, get_floors
from .orchestration.campaign import Campaign
from .orchestration.estimates import longest_first, rehearse_arms
from .orchestration.failure_handling import FailureHandling
from .orchestration.guard import Guard, check_free_disk
from .orchestration.placing import Placing, gpus_for, needs_of
from .orchestration.session import Session
from .orchestration.single_arms import SingleArms
from .outputs.derived import Conditions
from .provenance import Origin, collect_provenance, write_provenance
from .tracking.choosing import TrackingChoice
from .training import Trainer, rehearse_run, train_run, warm_ups
from .training.backend import check_extra

__all__ = [
    "CheckpointManager",
    "ExecutionMode",
    "ExperimentRunner",
    "ProgressInfo",
    "ResourceUsage",
    "RunnerStatus",
    "Trainer",
    "TrainerConfig",
    "TrainingResult",
]

DEFAULT_WORKERS = 2


class ExperimentRunner(FailureHandling):
    """Carries an experiment out; constructing one starts nothing.

    Args:
        experiment: the question and its saved form.
        execution_mode: one run at a time, several at once, or a dry run that leaves nothing behind.
        max_workers: how many runs go on at once in parallel mode; 2 by default.
        enable_monitoring: whether a thread samples the runs' resource use.
        checkpoint_frequency: timesteps between the checkpoints of a run, for a new experiment that
            names none; also those of all runs together between the runner's own checkpoints.
        resource_limits: as the experiment file's key of that name.
        executor: ``process`` (one process per run), ``in_process``, or ``ray``.
        ray_address: address of the Ray cluster to connect to; None starts one on this machine.
        command_line: the command line, recorded as provenance.
        experiment_file: the experiment file as the user wrote it, recorded likewise.
        tracking: how the trackers that the experiment names are reached.

    Raises:
        ValueError: for fewer than one worker, a frequency below one, an unknown executor.
    """

    def __init__(
        self,
        experiment: Experiment,
        execution_mode: ExecutionMode = ExecutionMode.SEQUENTIAL,
        max_workers: int | None = None,
        enable_monitoring: bool = True,
        checkpoint_frequency: int = 10_000,
        resource_limits: Mapping[str, float | None] | None = None,
        *,
        executor: str = "process",
        ray_address: str | None = None,
        command_line: Sequence[str] = (),
        experiment_file: Path | None = None,
        tracking: TrackingChoice | None = None,
    ) -> None:
        _check_positive("max_workers", max_workers)
        _check_positive("checkpoint_frequency", checkpoint_frequency)
        self.experiment = experiment
        self.execution_mode = ExecutionMode(execution_mode)
        self.max_workers = max_workers or DEFAULT_WORKERS
        self.enable_monitoring = enable_monitoring
        self.checkpoint_frequency = checkpoint_frequency
        self.resource_limits = check_resource_limits(
            experiment.config.limits if resource_limits is None else resource_limits
        )
        self.executor = executor
        self._kind = executor_kind(executor)
        self.ray_address = ray_address
        self.command_line = tuple(command_line)
        self.experiment_file = experiment_file
        self.tracking = tracking or TrackingChoice()
        self.logger = logging.getLogger(__name__)
        self.status = RunnerStatus.IDLE
        self.progress = ProgressInfo()
        self.resource_usage = ResourceUsage()
        self.comparison: Comparison | None = None
        self.estimates: tuple[RunEstimate, ...] = ()
        self.failures: tuple[str, ...] = ()
        self._session: Session | None = None
        self._recovery = Recovery(experiment.config.recovery.max_retries)
        self._here = SingleArms(experiment, self._recovery, self._recover, _train_here)
        self._is_interrupted = False
        self._stopwatch = Stopwatch()
        self._checkpoints = CheckpointManager(
            experiment.paths.checkpoints, keep=experiment.config.checkpoint.keep
        )
        self._checkpointed_step = 0

    @property
    def baseline_result(self) -> TrainingResult | None:
        """The baseline's result so far; with several seeds the aggregate over them."""
        return self._arm_result("baseline")

    @property
    def variant_result(self) -> TrainingResult | None:
        """The variant's result so far; with several seeds the aggregate over them."""
        return self._arm_result("variant")

    def _arm_result(self, arm: str) -> TrainingResult | None:
        if arm in self._here.results:
            return self._here.results[arm]
        return self.experiment.arm_result(arm) if self._campaign else None

    # ---- lifecycle

    def run(self) -> bool:
        """Carry the experiment out; True when every planned run is complete.

        Raises:
            ExperimentsError: when the experiment cannot start or its files cannot be written.
        """
        self._stopwatch.start()
        try:
            if self.execution_mode is ExecutionMode.VALIDATION:
                return self._rehearse()
            self._here.results.clear()  # from now on the experiment's own are asked for
            self.setup_environment()
            self._get_ready()
            self._start_monitoring()
            self._train()
            return self._conclude()
        except KeyboardInterrupt:
            self._is_interrupted = True
            self._leave_in_order()
            raise
        except BaseException:
            self.status = RunnerStatus.FAILED
            raise
        finally:
            self.cleanup()
            self._is_interrupted = False  # what was asked has been done: it may go on
            self._stopwatch.stop()

    def setup_environment(self) -> None:
        """Warm up the executor, create and lock the experiment's directory, open the logs.

        Raises:
            ExperimentsError: when the disk is nearly full, a device is not available, or another
                process works on the experiment; when the processes that train would lack an arm's
                library or environment.
        """
        if self._session is not None and self._session.is_open:
            return
        self.status = RunnerStatus.INITIALIZING
        self._check_processes()
        check_free_disk(self.experiment.output_dir, self._limits)
        self.experiment.checkpoint_every(self.checkpoint_frequency)
        gpus = gpus_for(self.experiment, self._kind)
        session = Session(self.experiment, self._make_executor(), gpus, self.logger)
        self._session, self._checkpointed_step = session, 0
        at_once = len(self.experiment.runs_to_train()) <= self._wanted_slots
        session.begin(self._make_campaign, self._describe, self.tracking, at_once=at_once)
        root = self.experiment.paths.root
        self.logger.info("experiment %s begins in %s", self.experiment.experiment_id, root)

    def _make_campaign(self) -> Campaign:
        train = train_run
        if not self._kind.has_processes:  # nobody else can ask a run in this process to stop
            train = partial(train_run, asked_to_stop=self._asked_to_stop)
        return Campaign(self.experiment, train, self._recover, self._recovery.adjusted)

    def _describe(self, paths: ExperimentPaths) -> None:
        write_provenance(paths, collect_provenance(self.command_line, origin=self._origin))

    def interrupt(self) -> None:
        """Ask a running experiment to stop; safe in a signal handler and from any thread."""
        self._is_interrupted = True  # no lock that the interrupted code could hold

    def _asked_to_stop(self) -> bool:
        return self._is_interrupted

    def cleanup(self) -> None:
        """End every process and thread of this runner, release the lock, close the logs."""
        if self._session is not None:
            self._session.close()

    def _rehearse(self) -> bool:
        """Validation mode: a handful of steps of each arm, and an estimate of the whole."""
        self.status = RunnerStatus.INITIALIZING
        self._check_processes()
        with self._make_executor() as executor, TemporaryDirectory() as scratch:
            self.estimates, self.failures = rehearse_arms(
                self.experiment, executor, rehearse_run, self._asked_to_stop, Path(scratch)
            )
        succeeded = not self.failures and not self._is_interrupted
        self.status = RunnerStatus.COMPLETED if succeeded else RunnerStatus.FAILED
        return succeeded

    def _get_ready(self) -> None:
        """Find out what a run scores that fails, what one takes, and how many fit at once."""
        session, _ = self._active()
        get_floors(self.experiment, session.executor, self._asked_to_stop)
        admitting = Admitting(self.experiment, session.executor, self._kind, self._limits)
        wanted = min(self._wanted_slots, len(self.experiment.runs_to_train()))
        self.estimates = admitting.estimates(wanted, self._asked_to_stop)
        if not self._is_interrupted:
            session.admission = admitting.admit(wanted, self.estimates)

    def _train(self) -> None:
        session, campaign = self._active()
        experiment = self.experiment
        parallel = self.execution_mode is ExecutionMode.PARALLEL
        batches = experiment.batches(interleaved=parallel)
        if experiment.design.abort is None:  # else both arms are to reach its looks together
            batches = [longest_first(batch, self.estimates) for batch in batches]
        order = [run for batch in batches for run in batch]
        guard = session.guard = Guard(
            self._limits if self._kind.is_here else self._limits.of_several_machines(),
            experiment.config.hang_seconds if self._kind.has_processes else None,
            experiment.paths.root,
            self.slots,
        )
        placing = Placing(needs_of(experiment, self.estimates, self._kind), session.gpus)
        campaign.carry_out(session.executor, guard, placing, order, self._asked_to_stop, self._tick)
        self._tick()

    def _tick(self) -> None:
        """Bring what others read up to date, about twice a second."""
        session, campaign = self._active()
        self.failures = campaign.failures
        session.uploads.poll()
        if campaign.nobody_waits:
            session.report_writer.get_ready()
        self.status = _running_status(campaign.arms_running()) or self.status
        step = campaign.steps()
        if step // self.checkpoint_frequency > self._checkpointed_step // self.checkpoint_frequency:
            self._checkpoint(step)

    def _conclude(self) -> bool:
        """Compare, report, and leave the directory complete."""
        _, campaign = self._active()
        self.status = RunnerStatus.COMPARING
        unfinished = self.experiment.unfinished_runs()
        is_over = all(campaign.attempts[run].status is RunStatus.SKIPPED for run in unfinished)
        interrupted = self._is_interrupted and bool(unfinished)
        if interrupted:
            self.experiment.pause()
        else:
            self.experiment.stop(not is_over, listed(self.failures, "; ") or None)
        self.experiment.save()
        self.comparison = self.experiment.comparison
        self.logger.info("%s: %s", self.comparison.verdict.value, self.comparison.sentence)
        status = _last_status(interrupted, is_over)
        self._write_everything(status)
        self.status = status
        return not unfinished

    def _write_everything(self, status: RunnerStatus) -> None:
        """Derive what is left behind from what the runs did."""
        session, campaign = self._active()
        self._checkpoint(campaign.steps())
        session.closing.write(
            Conditions(self.execution_mode, self._stopwatch.seconds, self.command_line),
            {**self.get_status(), "status": status.value},
            is_paused=status is RunnerStatus.INTERRUPTED,
            asked_to_stop=self._asked_to_stop,
        )

    def _leave_in_order(self) -> None:
        """What was interrupted is paused and told, so that it can be continued."""
        self.status = RunnerStatus.INTERRUPTED
        if self._campaign is not None and self.experiment.status is ExperimentStatus.RUNNING:
            self._conclude()

    def _checkpoint(self, step: int) -> None:
        """Save which runs are done, as plain data, under the steps of all runs together."""
        self._checkpointed_step = step
        state: dict[str, Any] = {
            "experiment_id": self.experiment.experiment_id,
            "status": self.status.value,
            "step": step,
            "runs": self._runs_state(),
            "looks": [look.to_dict() for look in self.experiment.looks.planned],
        }
        self._checkpoints.save(step, state)

    # ---- one arm, here and now

    def run_configuration(
        self, config_type: str, config: Any, trainer_config: TrainerConfig | None = None
    ) -> TrainingResult | None:
        """Train one arm in this process with the module's `Trainer`; None when it failed.

        Raises:
            ValueError: for an unknown `config_type`.
        """
        return self._here.carry_out(config_type, config, trainer_config)

    # ---- watching

    def monitor_progress(self) -> ProgressInfo:
        """Progress of the experiment and the time left; safe to call from any thread."""
        self.progress = progress_info(self.run_progress(), self.status.value, slots=self.slots)
        return self.progress

    def run_progress(self) -> tuple[RunProgress, ...]:
        """Progress of each planned run, read from its journal; safe to call from any thread."""
        return self._campaign.progress() if self._campaign else ()

    def get_status(self) -> dict[str, Any]:
        """The current state of everything, as plain data."""
        progress = self.monitor_progress()
        self.resource_usage = ResourceUsage.current()
        return {
            "experiment_id": self.experiment.experiment_id,
            "status": self.status.value,
            "execution_mode": self.execution_mode.value,
            "max_workers": self.max_workers,
            "progress": {"overall": progress.overall_progress, **asdict(progress)},
            "resource_usage": asdict(self.resource_usage),
            "execution_time": self._stopwatch.seconds,
            "runs": self._runs_state(),
            "failures": list(self.failures),
        }

    def _start_monitoring(self) -> None:
        """Start sampling the runs' processes; nothing starts if monitoring is off."""
        session, campaign = self._active()
        if self.enable_monitoring:
            root = self.experiment.paths.root
            session.keep(ResourceMonitor(campaign.pids, self._record_sample, disk_root=root))
        elif self.resource_limits:
            self.logger.warning(
                "without monitoring, resource_limits are not enforced; free disk space and signs "
                "of life are still watched"
            )

    def _start_gpu_monitoring(self) -> None:
        """A hook for subclasses: GPUs are already part of the ordinary samples."""

    def _start_network_monitoring(self) -> None:
        """A hook for subclasses: the network is not monitored."""

    def _record_sample(self, run: RunKey | None, sample: ResourceSample) -> None:
        if run is None:
            self.resource_usage = ResourceUsage.current()
        else:
            _, campaign = self._active()
            campaign.sampled(run, sample)

    def _runs_state(self) -> dict[str, Any]:
        attempts = self._campaign.attempts if self._campaign else {}
        return {
            run.name: {"status": each.status.value, "attempt": each.number}
            for run, each in attempts.items()
        }

    # ---- parts

    @property
    def _wanted_slots(self) -> int:
        return self.max_workers if self.execution_mode is ExecutionMode.PARALLEL else 1

    @property
    def _origin(self) -> Origin:
        config = self.experiment.config
        return Origin(
            experiment_file=self.experiment_file,
            environment_modules=config.environment_modules,
            torch_threads=config.torch_threads,
            output_dir=self.experiment.output_dir,
        )

    @property
    def slots(self) -> int:
        """Runs that may go on at once right now: as many as were asked for, or as many as fit."""
        session = self._session
        if session is not None and session.guard is not None:
            return session.guard.slots
        return self.admission.slots if self.admission else self._wanted_slots

    @property
    def admission(self) -> Admission | None:
        """How many runs fit at once, and why; None until that is known."""
        return self._session.admission if self._session else None

    @property
    def _limits(self) -> Limits:
        return Limits.of(self.resource_limits)

    def _active(self) -> tuple[Session, Campaign]:
        session = self._session
        if session is None or session.campaign is None:
            raise RuntimeError("call setup_environment() first")
        return session, session.campaign

    @property
    def _campaign(self) -> Campaign | None:
        return self._session.campaign if self._session else None

    def _check_processes(self) -> None:
        """Refuse what the processes that train would lack."""
        if self._kind.has_processes:
            check_registrations(self.experiment.config)
        if self.ray_address is not None:
            return  # the cluster's machines may have what this one lacks
        for arm in self.experiment.config.arms.values():
            check_extra(arm.algorithm)

    def _make_executor(self) -> Executor:
        arms = self.experiment.config.arms.values()
        settings = ExecutorSettings(
            slots=self._wanted_slots,
            preload=warm_ups(arm.algorithm for arm in arms),
            threads=self.experiment.config.torch_threads,
            address=self.ray_address,
            shared_directory=self.experiment.output_dir,
        )
        return create_executor(self.executor, settings)


def _train_here(config: TrainerConfig) -> TrainingResult:
    return Trainer(config).train()


def _running_status(arms: set[str]) -> RunnerStatus | None:
    match sorted(arms):
        case []:
            return None
        case ["baseline"]:
            return RunnerStatus.RUNNING_BASELINE
        case ["variant"]:
            return RunnerStatus.RUNNING_VARIANT
        case _:
            return RunnerStatus.RUNNING


def _last_status(interrupted: bool, is_over: bool) -> RunnerStatus:
    if interrupted:
        return RunnerStatus.INTERRUPTED
    return RunnerStatus.COMPLETED if is_over else RunnerStatus.FAILED


def _check_positive(name: str, value: int | None) -> None:
    if value is not None and value < 1:
        raise UsageError(f"{name}: need at least 1, got {value}")
