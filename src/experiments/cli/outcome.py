"""How an experiment ended, told from its files: after `run`, and by `show` at any time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from ..domain.costs import diagnostics_cost
from ..domain.paths import ExperimentPaths
from ..domain.records import RunStatus
from ..domain.unlearned import unlearned_words
from . import tables
from .stored import ARMS, StoredExperiment
from .told import told_lines
from .wording import not_needed, printable

FINAL_RETURN = "final_return"


def print_outcome(screen: Console, experiment: StoredExperiment) -> None:
    """Both arms, the verdict, and where everything lies."""
    if experiment.runs:
        runs = _by_final_return(experiment)
        screen.print(tables.arms_table(runs))
        screen.print(Text(tables.spread_caption(runs), style="dim"))
        screen.print()
    if sentence := experiment.comparison.get("sentence"):
        verdict = str(experiment.comparison.get("verdict")).replace("_", " ")
        screen.print(Text(printable(verdict), style="bold"))
        screen.print(Text(printable(sentence)))
        screen.print()
    print_places(screen, experiment.paths)
    if unused := _not_analysed(experiment):
        screen.print(Text(f"note     {unused}", style="dim"))
    if cost := _cost_of_diagnostics(experiment):
        screen.print(Text(f"note     {cost}", style="dim"))
    for deviation in deviations(experiment):
        screen.print(Text(f"note     {printable(deviation)}", style="yellow"), soft_wrap=True)
    print_problems(screen, experiment)


def _by_final_return(experiment: StoredExperiment) -> list[tables.Data]:
    """The runs; what failed ones count with is known of the metric of the decision rule alone."""
    if experiment.comparison.get("metric", FINAL_RETURN) == FINAL_RETURN:
        return list(experiment.runs)
    return [{**run, "imputed": None} for run in experiment.runs]


def _not_analysed(experiment: StoredExperiment) -> str | None:
    """How many runs a rule has ended the experiment without, and what they took."""
    unused = experiment.not_needed
    steps = sum(tables.number(run, "total_timesteps") or 0 for run in unused)
    return not_needed(len(unused), steps) if unused else None


def _cost_of_diagnostics(experiment: StoredExperiment) -> str | None:
    seconds = {
        name: sum(tables.number(run, name) or 0.0 for run in experiment.runs)
        for name in ("diagnostics_time", "training_time")
    }
    return diagnostics_cost(seconds["diagnostics_time"], seconds["training_time"])


def print_places(screen: Console, paths: ExperimentPaths) -> None:
    """Where the results, the report and the models lie."""
    lines = [*((name, str(path)) for name, path in places(paths)), *told_lines(paths)]
    width = max(len("problem"), *(len(name) for name, _ in lines))
    for name, line in lines:
        # not wrapped: a path is copied
        screen.print(Text(f"{name:<{width}}  {printable(line)}"), soft_wrap=True)


def print_problems(screen: Console, experiment: StoredExperiment) -> None:
    """What failed, and files that could not be read."""
    for problem in problems(experiment):
        screen.print(Text(f"problem  {printable(problem)}", style="red"), soft_wrap=True)


def problems(experiment: StoredExperiment) -> Iterator[str]:
    """Each failed run's error, else what stopped the experiment; and each file's problem."""
    tried = [run for run in experiment.runs if run.get("status") != RunStatus.QUEUED]
    failed = [run for run in tried if run.get("error")]
    for run in failed:
        yield f"{run.get('arm')}_seed{run.get('seed')}: {run['error']}"
    if not failed and experiment.error_message:
        yield experiment.error_message
    yield from experiment.problems


def deviations(experiment: StoredExperiment) -> Iterator[str]:
    """How the design was changed, runs deviate from theirs or an undisturbed one, or are idle."""
    for change in experiment.experiment.get("design_changes") or ():
        yield f"the design was changed after the experiment began: {change}"
    for run in experiment.runs:
        for deviation in run.get("deviations") or ():
            yield f"{run.get('arm')}_seed{run.get('seed')}: {deviation}"
    for arm in ARMS:
        own = [run for run in experiment.runs if run.get("arm") == arm]
        learned = [run.get("learned") for run in own if run.get("analysed", True)]
        if idle := learned.count(False):
            yield unlearned_words(arm, idle, len(learned))


def places(paths: ExperimentPaths) -> Iterator[tuple[str, Path]]:
    """The files that a person asks for first, as far as they exist."""
    yield "results", paths.root
    for name, path in (
        ("report", paths.report_page),
        ("models", paths.models),
        ("logs", paths.logs),
    ):
        if path.exists():
            yield name, path


def as_json(experiment: StoredExperiment) -> dict[str, Any]:
    """The same for a program."""
    report = experiment.paths.report_page
    return {
        "experiment_id": experiment.paths.experiment_id,
        "status": experiment.status,
        "results_dir": str(experiment.paths.root),
        "report": str(report) if report.exists() else None,
        "comparison": experiment.comparison or None,
        "arms": experiment.results.get("arms") or {},
    }
