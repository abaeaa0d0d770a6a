"""Validation: build each arm's trainer, train a handful of steps, estimate the whole."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from ..domain.errors import UsageError
from ..domain.paths import models_made_here
from ..domain.records import ExecutionMode, RunEstimate, RunKey
from ..experiment import Experiment
from ..runner import ExperimentRunner
from . import audit, tables, wording
from .failures import ExitCode
from .json_output import write_object
from .screen import human_console


def rehearse(experiment: Experiment, max_workers: int, executor: str, *, json: bool) -> int:
    """Rehearse an experiment and print what it will take; nothing is left on disk but a model
    made for its runs.
    """
    people = human_console(json=json)
    audit.print_audit(people, experiment, ExecutionMode.VALIDATION)
    before = _models_made_here()
    runner = ExperimentRunner(experiment, ExecutionMode.VALIDATION, max_workers, executor=executor)
    with people.status("training each arm for a handful of steps"):
        is_valid = runner.run()
    estimates = for_all_seeds(runner.estimates, experiment.runs())
    code = ExitCode.COMPLETE if is_valid else ExitCode.FAILED
    print_estimates(people, estimates, max_workers)
    for failure in runner.failures:
        sys.stderr.write(f"error: {wording.printable(failure)}\n")
    if is_valid:
        people.print(Text(f"valid: {_written(_models_made_here() - before)}", style="green"))
    if json:
        write_object(
            as_json(experiment.experiment_id, estimates, max_workers, runner.failures, code)
        )
    return code


def _models_made_here() -> set[Path]:
    try:
        return set(models_made_here().glob("tiny-*/"))
    except UsageError:
        return set()


def _written(made: Set[Path]) -> str:
    """What a rehearsal leaves on disk, in words."""
    if not made:
        return "nothing was written"
    folders = ", ".join(str(each) for each in sorted(made))
    return f"nothing was written except a model made for its runs, {wording.printable(folders)}"


def check(experiment: Experiment, *, json: bool) -> int:
    """Print the audit of a file that was found valid; no trainer is built."""
    people = human_console(json=json)
    audit.print_audit(people, experiment, ExecutionMode.VALIDATION)
    people.print(Text("the file is valid", style="green"))
    if json:
        write_object(as_json(experiment.experiment_id, [], 1, [], ExitCode.COMPLETE))
    return ExitCode.COMPLETE


def for_all_seeds(estimates: Sequence[RunEstimate], runs: Sequence[RunKey]) -> list[RunEstimate]:
    """An estimate for each run from the one that was made for its arm."""
    by_arm = {estimate.run.arm: estimate for estimate in estimates}
    return [replace(by_arm[run.arm], run=run) for run in runs if run.arm in by_arm]


def totals(estimates: Sequence[RunEstimate], max_workers: int) -> Mapping[str, float]:
    """Seconds and MiB for everything, in both modes."""
    seconds = [estimate.training_seconds for estimate in estimates]
    memory = sorted((estimate.memory_mb for estimate in estimates), reverse=True)
    return {
        "sequential_seconds": sum(seconds),
        "parallel_seconds": tables.makespan(seconds, max_workers),
        "sequential_memory_mb": memory[0] if memory else 0.0,
        "parallel_memory_mb": sum(memory[:max_workers]),
        "disk_mb": sum(estimate.disk_mb for estimate in estimates),
    }


def print_estimates(people: Console, estimates: Sequence[RunEstimate], max_workers: int) -> None:
    """A line for each run, and the sums."""
    if not estimates:
        return
    total = totals(estimates, max_workers)
    people.print(tables.estimates_table(estimates))
    people.print()
    people.print(
        f"sequential: {wording.duration(total['sequential_seconds'])} of training,"
        f" {wording.megabytes(total['sequential_memory_mb'])} of memory"
    )
    people.print(
        f"parallel with {wording.plural(max_workers, 'worker')}:"
        f" {wording.duration(total['parallel_seconds'])},"
        f" {wording.megabytes(total['parallel_memory_mb'])} of memory"
    )
    people.print(f"disk: {wording.megabytes(total['disk_mb'])}")


def as_json(
    experiment_id: str,
    estimates: Sequence[RunEstimate],
    max_workers: int,
    failures: Sequence[str],
    code: int,
) -> dict[str, Any]:
    """The same for a program."""
    return {
        "experiment_id": experiment_id,
        "status": "failed" if failures else "valid",
        "estimates": [{**asdict(each), "run": each.run.name} for each in estimates],
        "totals": {**totals(estimates, max_workers), "max_workers": max_workers},
        "failures": list(failures),
        "exit_code": code,
    }
