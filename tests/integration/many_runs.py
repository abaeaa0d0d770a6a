"""An experiment of many runs that were not trained, and what deriving its files costs.

    python -m tests.integration.many_runs FOLDER RUNS ROWS METRICS

prints one JSON object: CPU seconds and MiB above the start, of the report and of the local store.
"""

import json
import random
import re
import sys
import time
from pathlib import Path

from src.experiments.analysis.report import write_bitmaps, write_page
from src.experiments.domain.records import EvaluationPoint, ExecutionMode, TrainingResult
from src.experiments.durability.files import write_json
from src.experiments.durability.journal import JournalWriter
from src.experiments.experiment import Experiment
from src.experiments.outputs.derived import Conditions, report_content, storage_policy, write_store

BASELINE = {"algorithm": "PPO", "environment": "CartPole-v1", "training_steps": 4096, "seed": 1}
VARIANT = {"extends": "baseline", "hyperparameters": {"learning_rate": 1e-3}}
ROWS_PER_EVALUATION, ROWS_PER_SAMPLE = 20, 4


class Pretender:
    """Writes what a run would have left: streams, episodes, what it printed, its result."""

    def __init__(self, experiment: Experiment, rows: int, metrics: int) -> None:
        self._experiment = experiment
        self._rows = rows
        self._names = ["rollouts/returns_mean", *(f"train/{index}" for index in range(1, metrics))]
        self._random = random.Random(0)
        self._now = 1_700_000_000.0

    def run(self, run) -> None:
        paths = self._experiment.paths.run(run)
        points = []
        with (
            JournalWriter(paths.journal, lambda: self._now, sync=False) as journal,
            JournalWriter(paths.events, lambda: self._now, sync=False) as events,
        ):
            events.append("attempt_started", 0, attempt=1, pid=1)
            for row in range(1, self._rows + 1):
                self._now += 0.3
                values = {name: self._random.random() for name in self._names}
                journal.append("metrics", row, metrics=values, training_time=0.3 * row)
                if row % ROWS_PER_EVALUATION == 0:
                    points.append(self._evaluate(journal, row))
                if row % ROWS_PER_SAMPLE == 0:
                    events.append("resources", row, cpu_percent=99.0, memory_mb=300.0, pss_mb=90.5)
            journal.append("finished", self._rows, metrics={}, training_time=60.0)
            events.append("attempt_ended", self._rows, attempt=1, outcome="completed")
        write_json(paths.attempt(1).predictions, {"episodes": [{"seed": 1, "actions": [0] * 500}]})
        paths.attempt(1).log.write_text("a line\n" * 100)
        self._experiment.add_result(run.arm, self._result(run, points))
        self._experiment.save_result(run)

    def _evaluate(self, journal: JournalWriter, step: int) -> EvaluationPoint:
        value = self._random.random()
        final = step == self._rows
        metrics = {"eval/return_mean": value}
        journal.append("evaluation", step, final=final, episodes=10, metrics=metrics)
        return EvaluationPoint(step, value, 1.0, 5.0, 10, final)

    def _result(self, run, points) -> TrainingResult:
        value = self._random.random()
        made = (True, self._rows, 60.0, value, 5.0, run.name, "PPO", "CartPole-v1", run.seed)
        return TrainingResult(
            *made, arm=run.arm, final_return=value, auc=value, evaluations=tuple(points)
        )


def pretend(folder: Path, runs: int, rows: int, metrics: int) -> Experiment:
    """A completed experiment of so many runs, each with so many rows of so many metrics."""
    experiment = Experiment(
        BASELINE,
        VARIANT,
        "many runs",
        experiment_id="many",
        output_dir=folder,
        seeds=runs // 2,
    )
    experiment.begin()
    pretender = Pretender(experiment, rows, metrics)
    for run in experiment.runs():
        pretender.run(run)
    experiment.stop()
    experiment.save()
    return experiment


def peak_mb() -> float:
    """The most memory that this process has had; unlike `ru_maxrss` without its parent's."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


def main(folder: str, runs: str, rows: str, metrics: str) -> None:
    experiment = pretend(Path(folder), int(runs), int(rows), int(metrics))
    conditions = Conditions(ExecutionMode.PARALLEL, 1.0)
    start, told = peak_mb(), {}

    def report(experiment: Experiment, conditions: Conditions) -> None:
        content = report_content(experiment, conditions)
        for write in (write_bitmaps, write_page):
            write(experiment.paths, content, storage_policy(experiment))

    for name, write in (("report", report), ("store", write_store)):
        seconds = time.process_time()
        write(experiment, conditions)
        told[f"{name}_cpu_seconds"] = time.process_time() - seconds
        told[f"{name}_mb"] = peak_mb() - start
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
