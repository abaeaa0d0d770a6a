"""An experiment as its runner leaves it, without training: every kind of file, and a manifest."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.experiments.domain.paths import ExperimentPaths
from src.experiments.domain.records import RunKey, RunStatus
from src.experiments.tracking.manifest import write_manifest

from .written_experiments import FIRST, SECOND, new_experiment

OFFLINE_RUN = "wandb/offline-run-20300102_030405-abcd1234"
ONLINE_RUN = "wandb/run-20300102_030405-abcd1234"
EVENTS = "tensorboard/pair/baseline_seed1/events.out.tfevents.1893456000.host.1.0"
FILES = (
    "metadata.json",
    "results.json",
    "predictions.json",
    "memory_usage.json",
    "runner_final_state.yaml",
    "config/experiment_config.json",
    "logs/experiment.log",
    "logs/runner.log",
    "logs/baseline_training.log",
    "logs/variant_training.log",
    "logs/text_logs.json",
    "checkpoints/runner_checkpoint_8192.pkl",
    "metrics/eval__return_mean.csv",
    "metrics/scalar_metrics.json",
    "artifacts/artifacts_metadata.json",
    "artifacts/experiment_results_20300102_030405.json",
    "report/index.html",
    "report/curves.png",
    "report/curves.svg",
    "report/report.md",
    "provenance/provenance.json",
    "provenance/models/laboratory--model/commit.json",
    "tracking/ledger.json",
)
FILES_OF_A_RUN = (
    "runs/{run}/journal.jsonl",
    "runs/{run}/events.jsonl",
    "runs/{run}/attempt-1/model_final.zip",
    "runs/{run}/attempt-1/predictions.json",
    "runs/{run}/attempt-1/start.json",
    "runs/{run}/attempt-1/training.log",
    "checkpoints/{run}/checkpoint_4096.pkl",
    "checkpoints/{run}/experience-1-0.bin",
    "models/{arm}_model_final.zip",
)
MODELS = {f"models/{arm}_model_final.zip" for arm in ("baseline", "variant")}
COPIES = {f"runs/{run.name}/attempt-1/model_final.zip" for run in (FIRST, SECOND)}


@dataclass(frozen=True)
class Written:
    """The experiment ``pair`` below an output directory."""

    output_dir: Path
    paths: ExperimentPaths

    @property
    def root(self) -> Path:
        return self.paths.root

    def copy(self, output_dir: Path) -> Written:
        """The same below another output directory."""
        paths = ExperimentPaths.under(output_dir, self.paths.experiment_id)
        shutil.copytree(self.root, paths.root, symlinks=True)
        return Written(output_dir, paths)

    def put(self, path: str, content: str = "") -> Path:
        """Write a file into the experiment's directory."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content or f"content of {path}")
        return file

    def files(self) -> set[str]:
        """Everything that is no directory."""
        return {
            str(Path(folder, name).relative_to(self.root))
            for folder, folders, names in os.walk(self.root)
            for name in (*names, *(each for each in folders if Path(folder, each).is_symlink()))
        }


def write_experiment(output_dir: Path, *, unfinished: RunKey | None = None) -> Written:
    """Write it; all runs are complete but `unfinished`."""
    experiment = new_experiment(output_dir, seeds=1)
    experiment.save()
    for run in experiment.runs():
        if run == unfinished:
            experiment.add_result(run.arm, experiment.failed_result(run, "it failed", 100))
        else:
            done: dict[str, Any] = {"status": RunStatus.COMPLETED, "final_mean_reward": 1.0}
            experiment.add_result(run.arm, done)
    experiment.start()
    experiment.stop(failed=unfinished is not None)
    experiment.save()
    written = Written(output_dir, experiment.paths)
    for name in FILES:
        written.put(name)
    for run in experiment.runs():
        for name in FILES_OF_A_RUN:
            written.put(name.format(run=run.name, arm=run.arm))
        (experiment.paths.run(run).lock).touch()
    experiment.paths.lock.touch()
    write_manifest(experiment.paths)
    return written
