"""What `run` does, from top to bottom: open, show the audit, train under a view, tell the end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from ..cleaning import cleaned_files, has_model
from ..domain.log_levels import NOTICE
from ..domain.records import ExecutionMode, ExperimentStatus, RunnerStatus
from ..experiment import Experiment
from ..monitoring import free_disk_mb, seconds_remaining
from ..outputs.uploads import untold
from ..runner import ExperimentRunner
from . import audit, outcome, screen, stored
from .continuing import resume_command, sync_command
from .displays import display_for, warn
from .failures import ExitCode
from .json_output import write_object
from .looks_line import looks_line
from .opening import Question, check_workers, open_experiment
from .options import DEFAULT_MAX_WORKERS
from .rehearsing import rehearse
from .signals import Stopped, stopping
from .snapshot import Snapshot
from .tracking_flags import NO_FLAGS, TrackingFlags
from .watching import Notices, Watcher, logged_to

_LOG_LEVELS = (NOTICE, logging.INFO, logging.DEBUG)
_PACKAGE = __package__.rpartition(".")[0]


@dataclass(frozen=True)
class RunRequest:
    """A command line that asks for an experiment to be run."""

    command: str
    """How the command was called, for the line that continues it."""
    question: Question
    mode: ExecutionMode = ExecutionMode.SEQUENTIAL
    max_workers: int = DEFAULT_MAX_WORKERS
    executor: str = "process"
    ray_address: str | None = None
    monitoring: bool = True
    tracking: TrackingFlags = NO_FLAGS
    json: bool = False
    verbosity: int = 0
    command_line: tuple[str, ...] = ()


def carry_out(request: RunRequest) -> int:
    """Run an experiment and tell how it went; returns the exit code.

    Raises:
        ExperimentsError: for everything that the user can act on.
        Stopped: when a signal has stopped it.
    """
    check_workers(request.max_workers)
    return carry_out_opened(request, open_experiment(request.question))


def carry_out_opened(request: RunRequest, experiment: Experiment) -> int:
    """The same for an experiment that was opened already.

    Raises:
        ExperimentsError: as `carry_out`.
        Stopped: when a signal has stopped it.
    """
    if request.mode is ExecutionMode.VALIDATION:
        return rehearse(experiment, request.max_workers, request.executor, json=request.json)
    people = screen.human_console(json=request.json)
    if _is_over(experiment):
        people.print(Text(f"{experiment.experiment_id} was already complete", style="dim"))
        return _tell_the_end(request, experiment, people)
    runner = _make_runner(request, experiment)
    if request.json:
        write_object(audit.as_event(experiment))
    audit.print_audit(people, experiment, request.mode)
    _train(request, runner, people)
    people.print()
    return _tell_the_end(request, experiment, people)


def continued_by(request: RunRequest, experiment: Experiment) -> str:
    """The command line that continues this experiment."""
    chosen = {
        "--output-dir": [str(request.question.output_dir)],
        "--mode": [request.mode.value],
        "--max-workers": [str(request.max_workers)],
        "--executor": [request.executor],
        "--ray-address": [] if request.ray_address is None else [request.ray_address],
        "--allow-env-module": request.question.environment_modules,
        "--no-monitoring": [] if request.monitoring else [""],
        **request.tracking.chosen(),
    }
    return resume_command(request.command.split(), experiment.experiment_id, chosen)


def _is_over(experiment: Experiment) -> bool:
    """Whether nothing is left to train or to derive; else the runner goes on where it stopped."""
    told = stored.read(experiment.paths).results
    has_ended = experiment.status is ExperimentStatus.COMPLETED
    if not has_ended or experiment.unfinished_runs() or told.get("status") != "completed":
        return False
    if experiment.is_altered or untold(experiment.paths, experiment.config.trackers):
        return False
    return experiment.paths.manifest.is_file() and _is_whole(experiment)


def _is_whole(experiment: Experiment) -> bool:
    """Whether report and models are there; what was removed on purpose is not missing."""
    paths, cleaned = experiment.paths, cleaned_files(experiment.paths)
    if not paths.report_page.is_file() and paths.report_page not in cleaned:
        return False
    return all(
        has_model(
            cleaned,
            paths.model(run, single_seed=experiment.has_single_seed),
            paths.run(run).attempt(experiment.results[run].attempts),
        )
        for run in experiment.complete_runs()
        if experiment.is_needed(run)
    )


def _make_runner(request: RunRequest, experiment: Experiment) -> ExperimentRunner:
    return ExperimentRunner(
        experiment,
        request.mode,
        request.max_workers,
        enable_monitoring=request.monitoring,
        checkpoint_frequency=experiment.config.checkpoint.frequency,
        executor=request.executor,
        ray_address=request.ray_address,
        command_line=request.command_line,
        experiment_file=request.question.config,
        tracking=request.tracking.choice(),
    )


def _train(request: RunRequest, runner: ExperimentRunner, people: Console) -> None:
    """Run under a view; the first signal asks to stop, and the end is by that signal."""
    notices = Notices(_LOG_LEVELS[min(request.verbosity, len(_LOG_LEVELS) - 1)])
    continued = continued_by(request, runner.experiment)
    received: list[int] = []
    watcher = Watcher(_snapshots_of(runner), display_for(people, json=request.json), notices)

    def stop(number: int) -> None:
        received.append(number)
        notices.say(f"stopping; a second Ctrl-C stops at once; continue with:\n  {continued}")
        runner.interrupt()

    try:
        with logged_to(notices), stopping(stop), watcher:
            runner.run()
    except Exception as error:
        _say_where_the_log_is(error, runner.experiment)
        raise
    finally:
        for notice in notices.take() if not watcher.is_stuck else []:
            warn(notice)
    if received and runner.status is not RunnerStatus.INTERRUPTED:
        warn("no run was left to stop; there is nothing to continue")
    if received and runner.status is RunnerStatus.INTERRUPTED:
        if watcher.is_stuck:
            raise Stopped(received[0])
        warn(f"stopped; continue with:\n  {continued}")
        if request.json:
            with suppress(OSError):  # the signal tells how it ended also where nobody reads
                _write_last_object(runner.experiment, 128 + received[0], status="interrupted")
        raise Stopped(received[0])


def _snapshots_of(runner: ExperimentRunner) -> Callable[[], Snapshot]:
    started = time.monotonic()

    def snapshot() -> Snapshot:
        runs = runner.run_progress()
        is_measured = runner.resource_usage.memory_mb > 0
        return Snapshot(
            phase=runner.status.value,
            runs=runs,
            resources=runner.resource_usage if is_measured else None,
            disk_free_mb=free_disk_mb(runner.experiment.output_dir) if is_measured else None,
            elapsed_seconds=time.monotonic() - started,
            seconds_left=seconds_remaining(runs, slots=runner.slots) if runs else None,
            slots=runner.slots,
            admission=runner.admission.line if runner.admission else None,
            looks=_looks_so_far(runner.experiment),
        )

    return snapshot


def _looks_so_far(experiment: Experiment) -> str | None:
    plan = experiment.design.plan
    if plan is None:
        return None
    return looks_line(plan.to_dict(), [look.to_dict() for look in experiment.looks.planned])


def _say_where_the_log_is(error: Exception, experiment: Experiment) -> None:
    if experiment.paths.runner_log.exists():
        error.add_note(f"log: {experiment.paths.runner_log}")


def _tell_the_end(request: RunRequest, experiment: Experiment, people: Console) -> int:
    told = stored.read(experiment.paths)
    outcome.print_outcome(people, told)
    code = exit_code(experiment)
    if request.json:
        _write_last_object(experiment, code)
    for tracker, why in untold(experiment.paths, experiment.config.trackers).items():
        warn(
            f"upload to {tracker} is incomplete: {why}\n  upload the rest with: "
            f"{_sync_command(request, experiment, tracker)}"
        )
    if code == ExitCode.SKIPPED:
        warn("finished, but not all planned runs are complete")
    if code == ExitCode.FAILED:
        warn(f"the experiment failed; continue with:\n  {continued_by(request, experiment)}")
    return code


def _sync_command(request: RunRequest, experiment: Experiment, tracker: str) -> str:
    command, env_file = request.command.split(), request.tracking.env_file
    return sync_command(command, experiment.paths, tracker, env_file)


def exit_code(experiment: Experiment) -> int:
    """0 when all planned runs are complete, 4 when some were skipped, else 1.

    5 when all are complete, and not everything was uploaded to a tracker.
    """
    if not experiment.unfinished_runs():
        is_told = not untold(experiment.paths, experiment.config.trackers)
        return ExitCode.COMPLETE if is_told else ExitCode.NOT_UPLOADED
    ended = experiment.status is ExperimentStatus.COMPLETED
    return ExitCode.SKIPPED if ended else ExitCode.FAILED


def _write_last_object(experiment: Experiment, code: int, *, status: str | None = None) -> None:
    told = outcome.as_json(stored.read(experiment.paths))
    write_object({**told, "status": status or told["status"], "exit_code": code})
