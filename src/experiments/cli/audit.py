"""What is shown before training: the question, the resolved difference, warnings, notices."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.text import Text

from ..domain.records import ExecutionMode
from ..experiment import Experiment
from . import tables
from .wording import plural, printable


def print_audit(screen: Console, experiment: Experiment, mode: ExecutionMode) -> None:
    """The question, what differs between the arms, and what is doubtful about it."""
    screen.print(Text(experiment.experiment_id, style="bold"))
    if experiment.hypothesis:
        screen.print(Text(printable(experiment.hypothesis)))
    screen.print(Text(plan(experiment, mode), style="dim"), soft_wrap=True)
    screen.print()
    differences = [asdict(difference) for difference in experiment.audit.differences]
    screen.print(tables.differences_table(differences))
    screen.print()
    for warning in experiment.warnings:
        screen.print(Text(f"warning: {printable(warning)}", style="yellow"))
    for notice in experiment.audit.notices:
        screen.print(Text(f"note: {printable(notice)}", style="cyan"))
    if experiment.warnings or experiment.audit.notices:
        screen.print()


def plan(experiment: Experiment, mode: ExecutionMode) -> str:
    """One line: how many runs, in which mode, where."""
    runs, seeds = len(experiment.runs()), len(experiment.config.seed_list)
    arms = plural(len(experiment.config.arms), "arm")
    left = len(experiment.unfinished_runs())
    done = f" · {runs - left} already complete" if left < runs else ""
    is_rehearsal = mode is ExecutionMode.VALIDATION
    where = "nothing is written" if is_rehearsal else printable(experiment.paths.root)
    return (
        f"{plural(runs, 'run')} ({arms} × {plural(seeds, 'seed')}){done} · {mode.value} · {where}"
    )


def as_event(experiment: Experiment) -> dict[str, Any]:
    """The same for a program."""
    return {
        "event": "experiment_started",
        "experiment_id": experiment.experiment_id,
        "hypothesis": experiment.hypothesis,
        "results_dir": str(experiment.paths.root),
        "runs": [run.name for run in experiment.runs()],
        **asdict(experiment.audit),
    }
