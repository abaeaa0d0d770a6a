"""Experiments as their orchestrator and their training processes write them, without training."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path

from src.experiments.domain.records import RunKey, RunStatus
from src.experiments.durability.journal import JournalWriter
from src.experiments.execution.attempts import RunAttempts
from src.experiments.experiment import Experiment

ARM = {"algorithm": "PPO", "environment": "CartPole-v1", "training_steps": 4096, "seed": 1}
FIRST, SECOND = RunKey("baseline", 1), RunKey("variant", 1)


def new_experiment(output_dir: Path, seeds: int = 2) -> Experiment:
    """An experiment called ``pair``; nothing is written yet."""
    variant = {"extends": "baseline", "hyperparameters": {"gamma": 0.9}}
    return Experiment(ARM, variant, "x", experiment_id="pair", output_dir=output_dir, seeds=seeds)


class Training:
    """One run as the orchestrator and the training process write it."""

    def __init__(self, experiment: Experiment, run: RunKey) -> None:
        self.paths = experiment.paths.run(run)
        self.attempts = RunAttempts(run, self.paths)

    def start(self) -> Training:
        self.attempts.prepare()
        self.attempts.started(os.getpid())
        self.write("started", 0, total_timesteps=4096, planned_timesteps=4096)
        return self

    def row(self, step: int, returns_mean: float) -> Training:
        metrics = {"rollouts/returns_mean": returns_mean}
        self.write("metrics", step, metrics=metrics, training_time=step / 1000)
        return self

    def end(self, status: RunStatus, cause: str | None = None) -> None:
        self.attempts.ended(status, 4096, cause)

    def write(self, kind: str, step: int, **fields: object) -> None:
        with JournalWriter(self.paths.journal) as journal:
            journal.append(kind, step, **fields)


def write_session(experiment: Experiment, moment: datetime, *command: str) -> None:
    """A `provenance.json` of an experiment that was continued at this moment."""
    folder = experiment.paths.provenance
    folder.mkdir(exist_ok=True)
    first = {"time": "2030-01-01T00:00:00+00:00", "command": ["experiments", "run", "exp.json"]}
    latest = {"time": moment.isoformat(timespec="seconds"), "command": list(command)}
    (folder / "provenance.json").write_text(json.dumps(first | {"continued": [latest]}))
