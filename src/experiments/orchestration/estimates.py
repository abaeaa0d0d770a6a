"""What a run of each arm will take: rehearsed, probed, or known from a run that is complete."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ..config import Configuration, processes_of, trainer_config
from ..domain.errors import HangError, described
from ..domain.records import RunEstimate, RunKey, TrainerConfig
from ..domain.verdicts import Floor
from ..durability.journal import Record, Records
from ..execution import Executor, Job, JobStarted, Outcome, OutcomeKind
from ..experiment import Experiment
from ..monitoring import directory_size_mb

Estimate = Callable[[RunKey, TrainerConfig], RunEstimate]
Measure = Callable[[RunKey, TrainerConfig], Any]

POLL_SECONDS = 0.2
PROBE_SECONDS = 8.0
"""How long a probe may take for each process of a run; an arm that is slower goes without an
estimate."""
WORTH_SORTING = 1.1
"""Estimates that differ by less are taken for equal."""
FLOOR_SECONDS = 120.0
"""How long the random policy may play."""


def rehearse_arms(
    experiment: Experiment,
    executor: Executor,
    rehearse: Estimate,
    interrupted: Callable[[], bool],
    scratch: Path,
) -> tuple[tuple[RunEstimate, ...], tuple[str, ...]]:
    """Train a handful of steps of each arm: the estimates, and what failed, a line each.

    What the runs print goes to files in `scratch`.
    """
    jobs = _jobs(experiment, list(experiment.config.arms), rehearse, scratch)
    outcomes = _outcomes(executor, jobs, interrupted, None)
    failed = [each for each in outcomes if each.kind is not OutcomeKind.FINISHED]
    return _values(outcomes), tuple(
        f"{each.job.name}: {described(each.as_exception())}" for each in failed
    )


def estimate_arms(
    experiment: Experiment,
    executor: Executor,
    probe: Estimate,
    interrupted: Callable[[], bool],
    scratch: Path | None,
) -> tuple[RunEstimate, ...]:
    """One run of each arm: what a complete one took, else what a short probe says.

    What the probes print goes to files in `scratch`, where there is one. An arm whose probe fails
    or takes too long is left out: its runs will tell why.
    """
    recorded = {arm: recorded_estimate(experiment, arm) for arm in experiment.config.arms}
    unknown = [arm for arm, estimate in recorded.items() if estimate is None]
    jobs = _jobs(experiment, unknown, probe, scratch)
    processes = max(processes_of(each) for each in experiment.config.arms.values())
    probed = _values(_outcomes(executor, jobs, interrupted, PROBE_SECONDS * processes))
    return (*(each for each in recorded.values() if each is not None), *probed)


def measure_floors(
    experiment: Experiment,
    executor: Executor,
    measure: Callable[[RunKey, TrainerConfig], Floor],
    interrupted: Callable[[], bool],
) -> tuple[dict[str, Floor], str | None]:
    """What the random policy gets, by arm, and why it is not known; arms alike share one measure.

    Nothing is known where one of them fails or takes too long.
    """
    firsts: dict[str, str] = {}
    for arm, config in experiment.config.arms.items():
        firsts.setdefault(_played(config), arm)
    jobs = _jobs(experiment, list(firsts.values()), measure, None)
    outcomes = _outcomes(executor, jobs, interrupted, FLOOR_SECONDS)
    for each in outcomes:
        if each.kind is not OutcomeKind.FINISHED:
            return {}, described(each.as_exception())
    measured = {each.job.runs[0].arm: each.value for each in outcomes}
    return {
        arm: measured[first]
        for arm, config in experiment.config.arms.items()
        if (first := firsts[_played(config)]) in measured
    }, None


def _played(config: Configuration) -> str:
    """What makes up an arm's environment, to tell which are alike."""
    return config.model_dump_json(include={"environment", "environment_kwargs", "wrappers"})


def longest_first(batch: Sequence[RunKey], estimates: Sequence[RunEstimate]) -> list[RunKey]:
    """The runs of a batch in the order that leaves no slot idle at its end.

    A long run that begins last would be waited for alone (Graham 1969: longest processing time
    first). Arms that take nearly the same time keep their order, as do all without an estimate.
    """
    seconds = {estimate.run.arm: estimate.training_seconds for estimate in estimates}
    if not seconds or any(run.arm not in seconds for run in batch):
        return list(batch)
    shortest = min(seconds.values())
    if max(seconds.values()) < WORTH_SORTING * shortest:
        return list(batch)
    return sorted(batch, key=lambda run: -seconds[run.arm])


def recorded_estimate(experiment: Experiment, arm: str) -> RunEstimate | None:
    """What a complete run of an arm has taken, as its streams tell; None where none does."""
    for run in experiment.complete_runs():
        if run.arm == arm:
            paths = experiment.paths.run(run)
            found = _of_streams(run, Records(paths.journal), Records(paths.events))
            if found is not None:
                return replace(found, disk_mb=directory_size_mb(paths.root))
    return None


def _of_streams(
    run: RunKey, journal: Iterable[Record], events: Iterable[Record]
) -> RunEstimate | None:
    started = next((each for each in journal if each["kind"] == "started"), {})
    finished = next((each for each in journal if each["kind"] == "finished"), {})
    samples = (each for each in events if each["kind"] == "resources")
    highest = max(samples, key=lambda sample: float(sample["memory_mb"]), default=None)
    seconds = finished.get("training_time")
    if not seconds or highest is None:
        return None
    memory = highest["memory_mb"]
    proportional = highest.get("pss_mb")
    on_gpu = (each["gpu_memory_mb"] for each in events if each.get("gpu_memory_mb"))
    return RunEstimate(
        run=run,
        steps_per_second=finished["step"] / seconds,
        training_seconds=seconds,
        memory_mb=memory,
        disk_mb=0.0,
        planned_timesteps=finished["step"],
        parameters=started.get("parameters", 0),
        shared_mb=0.0 if proportional is None else max(0.0, memory - proportional),
        gpu_memory_mb=max(on_gpu, default=None),
    )


def _jobs(
    experiment: Experiment, arms: Sequence[str], measure: Measure, scratch: Path | None
) -> list[Job]:
    seed = experiment.config.seed_list[0]
    jobs = []
    for run in (RunKey(arm, seed) for arm in arms):
        config = trainer_config(
            experiment.config.arms[run.arm], seed=seed, experiment=experiment.config
        )
        target = partial(measure, run, config)
        log = None if scratch is None else scratch / f"{run.name}.log"
        jobs.append(Job(run.name, (run,), target, log))
    return jobs


def _outcomes(
    executor: Executor,
    jobs: Sequence[Job],
    interrupted: Callable[[], bool],
    patience_seconds: float | None,
) -> list[Outcome]:
    """What became of the jobs; each may take so long from its start."""
    for job in jobs:
        executor.submit(job)
    outcomes: list[Outcome] = []
    deadlines: dict[str, float] = {}
    while len(outcomes) < len(jobs) and not interrupted():
        event = executor.next_event(POLL_SECONDS)
        if isinstance(event, Outcome):
            outcomes.append(event)
            deadlines.pop(event.job.name, None)
        elif isinstance(event, JobStarted) and patience_seconds is not None:
            deadlines[event.job.name] = time.monotonic() + patience_seconds
        for job in jobs:
            if time.monotonic() > deadlines.get(job.name, float("inf")):
                del deadlines[job.name]
                executor.stop(
                    job, OutcomeKind.HANG, HangError(f"it takes longer than {patience_seconds:g} s")
                )
    if len(outcomes) < len(jobs):
        _leave_none(executor, len(jobs) - len(outcomes))
    return outcomes


def _leave_none(executor: Executor, count: int) -> None:
    """End what is left, so that its outcomes are not taken for those of the runs themselves."""
    executor.cancel()
    while count:
        count -= isinstance(executor.next_event(POLL_SECONDS), Outcome)


def _values(outcomes: Sequence[Outcome]) -> tuple[RunEstimate, ...]:
    return tuple(each.value for each in outcomes if each.kind is OutcomeKind.FINISHED)
