"""A pair of runs that has ended, written file by file as the product writes them, untrained."""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import replace
from pathlib import Path

from src.experiments.domain.paths import ExperimentPaths
from src.experiments.domain.records import RunKey
from src.experiments.durability.files import write_atomically, write_json
from src.experiments.experiment import Experiment

from .written_experiments import FIRST, SECOND, Training, new_experiment

RUNS = (FIRST, SECOND)
ROWS = 3
NOT_FINITE = math.nan


def written_pair(output_dir: Path, *, secret: str = "") -> ExperimentPaths:
    """Two runs with metrics, evaluations, texts, results, models, figures and provenance.

    `secret` stands where a careless program would have printed one.
    """
    experiment = new_experiment(output_dir, seeds=1)
    experiment.start()
    experiment.save()
    for run in experiment.runs():
        _write_run(experiment, run, secret)
    experiment.stop()
    experiment.save()
    paths = experiment.paths
    write_json(paths.results, {"arms": {}, "comparison": {"sentence": "No difference was shown."}})
    write_atomically(paths.report / "learning_curves.png", small_png())
    write_atomically(paths.report_page, f"<html>report {secret}</html>")
    write_json(paths.artifacts / "experiment_results_20300101_000000.json", {"verdict": "none"})
    write_json(paths.provenance / "provenance.json", _provenance(secret))
    write_atomically(paths.provenance / "uncommitted.diff", f"--- a/x\n+++ b/x\n+{secret}\n")
    write_atomically(paths.provenance / "packages.txt", "numpy==2.0\n")
    return paths


def _write_run(experiment: Experiment, run: RunKey, secret: str) -> None:
    training = Training(experiment, run).start()
    for row in range(1, ROWS + 1):
        training.row(row * 1024, 20.0 * row)
    training.write("metrics", 4096, metrics={"training_step/loss": NOT_FINITE})
    training.write("text", 4096, name="examples/action", text=f"left, right {secret}")
    metrics = {"eval/return_mean": 30.0, "eval/return_std": 1.0}
    training.write("evaluation", 4096, final=True, episodes=3, metrics=metrics)
    training.write("finished", 4096, metrics={"final/total_steps": 4096}, training_time=2.0)
    result = replace(
        experiment.result_of(run), success=True, status="completed", attempts=1, error=None
    )
    experiment.add_result(run.arm, result)
    experiment.save_result(run)
    write_json(training.paths.attempt(1).predictions, {"episodes": [1.0, 2.0]})
    write_atomically(
        experiment.paths.model(run, single_seed=True), b"PK zip of " + run.arm.encode()
    )


def _provenance(secret: str) -> dict[str, object]:
    return {
        "time": "2030-01-01T00:00:00+00:00",
        "command": ["experiments", "run", "exp.json", secret],
        "git": {"commit": "1" * 40, "branch": "main", "repository": "https://example.org/r.git"},
        "hardware": {"hostname": "bench-1"},
        "packages": {"numpy": "2.0"},
    }


def small_png(width: int = 4, height: int = 3) -> bytes:
    """A PNG image of one colour."""
    rows = b"".join(b"\0" + b"\x80\x40\x20\xff" * width for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
