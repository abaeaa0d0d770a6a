"""Experiments that a rule ends before all planned runs, carried out by a scripted executor."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from src.experiments.domain.records import EvaluationPoint, ExecutionMode, RunKey, RunStatus
from src.experiments.durability.files import write_json
from src.experiments.durability.journal import JournalWriter
from src.experiments.execution import Event, Executor, Job, JobStarted, Outcome, OutcomeKind
from src.experiments.experiment import Experiment
from src.experiments.monitoring import Limits
from src.experiments.orchestration.campaign import Campaign
from src.experiments.orchestration.guard import Guard
from src.experiments.orchestration.placing import Placing
from src.experiments.outputs.derived import Conditions, write_store

STEPS = 2048
PART = 1024
"""Steps of a run that is ended with the experiment."""
ARM = {"algorithm": "PPO", "environment": "CartPole-v1", "training_steps": STEPS}
LOOKS = {"sequential": {"first_look": 4, "batch": 2, "max_seeds": 8}}


class Script:
    """Three runs train at once; the oldest of them is the next that ends."""

    def __init__(self, experiment: Experiment, better_by: float) -> None:
        self._experiment = experiment
        self._better_by = better_by
        self._queue: deque[Job] = deque()
        self._running: deque[Job] = deque()
        self._events: deque[Event] = deque()

    def submit(self, job: Job, *, first: bool = False) -> None:
        del first
        self._queue.append(job)

    def next_event(self, timeout_seconds: float) -> Event | None:
        del timeout_seconds
        if self._events:
            return self._events.popleft()
        if self._queue and len(self._running) < 3:
            job = self._queue.popleft()
            self._running.append(job)
            self._write(job.runs[0], PART)
            return JobStarted(job, pid=1)
        job = self._running.popleft()
        run = job.runs[0]
        self._write(run, STEPS)
        return Outcome(job, OutcomeKind.FINISHED, value=self._result(run))

    def resize(self, slots: int) -> None:
        del slots

    def stop(self, job: Job, kind: OutcomeKind, cause: Exception) -> None:
        raise AssertionError(f"{job.name} is stopped: {cause}, {kind}")

    def cancel(self) -> None:
        for job in (*self._running, *self._queue):
            self._events.append(Outcome(job, OutcomeKind.CANCELLED))
        self._running.clear()
        self._queue.clear()

    def _write(self, run: RunKey, step: int) -> None:
        with JournalWriter(self._experiment.paths.run(run).journal, sync=False) as journal:
            if step == PART:
                journal.append("started", 0, planned_timesteps=STEPS, environment="CartPole-v1")
            metrics = {"eval/return_mean": self._score(run)}
            journal.append("evaluation", step, metrics=metrics, final=step == STEPS)

    def _score(self, run: RunKey) -> float:
        return 100.0 + (self._better_by if run.arm == "variant" else 0.0) + (run.seed * 7) % 5

    def _result(self, run: RunKey) -> Any:
        score = self._score(run)
        return replace(
            self._experiment.result_of(run),
            success=True,
            status=RunStatus.COMPLETED,
            final_return=score,
            final_mean_reward=score,
            final_std_reward=1.0,
            auc=score,
            total_timesteps=STEPS,
            training_time=2.0,
            evaluations=tuple(
                EvaluationPoint(step, score, 1.0, 9.0, 5, final=step == STEPS)
                for step in (PART, STEPS)
            ),
            error=None,
        )


def stopped_at_a_look(folder: Path) -> Experiment:
    """Eight seeds were planned and the answer was there with six: of two more one was begun."""
    return _carried_out(_new(folder, "stopped", comparison=LOOKS), better_by=50.0)


def aborted_in_training(folder: Path) -> Experiment:
    """Of eight seeds five were looked at, the last of the variant's after half of its training."""
    aborted = _new(folder, "aborted", seeds=8, early_abort={"looks": [0.5]})
    return _carried_out(aborted, better_by=-50.0)


def _new(folder: Path, experiment_id: str, **settings: Any) -> Experiment:
    return Experiment(
        ARM,
        {"extends": "baseline", "hyperparameters": {"gamma": 0.9}},
        "a shorter horizon is better",
        experiment_id=experiment_id,
        output_dir=folder,
        evaluation={"frequency": PART},
        **settings,
    )


def _carried_out(experiment: Experiment, *, better_by: float) -> Experiment:
    experiment.publish()
    experiment.begin()
    script: Executor = Script(experiment, better_by)
    campaign = Campaign(experiment, print, pytest.fail, lambda arm, config: (config, []))
    order = [run for batch in experiment.batches(interleaved=True) for run in batch]
    guard = Guard(Limits(), None, experiment.paths.root, slots=3)
    campaign.carry_out(script, guard, Placing({}), order, lambda: False, lambda: None)
    state = {
        run.name: {"status": each.status.value, "attempt": each.number}
        for run, each in campaign.attempts.items()
    }
    write_json(experiment.paths.final_state, state)
    experiment.stop()
    experiment.save()
    write_store(experiment, Conditions(ExecutionMode.PARALLEL, 1.0))
    return experiment


def results_of(experiment: Experiment) -> dict[str, Any]:
    """What `results.json` holds."""
    found: dict[str, Any] = json.loads(experiment.paths.results.read_text())
    return found
