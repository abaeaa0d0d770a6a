"""An experiment that a signal stops: every run saves where it stands, and goes on from there."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import HANG_SECONDS, wait_until

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def experiment_file(folder: Path, **arm: Any) -> Path:
    """A pair that would train for many minutes, with one checkpoint long after its start."""
    document = {
        "experiment_id": "stopped",
        "baseline_config": {
            "algorithm": "PPO",
            "environment": "CartPole-v1",
            "hyperparameters": {"n_steps": 64, "batch_size": 64, "n_epochs": 1},
            "training_steps": 2_000_000,
            **arm,
        },
        "variant_config": {"extends": "baseline", "hyperparameters": {"gamma": 0.9}},
        "evaluation": {"frequency": 10**6, "episodes": 1, "final_episodes": 1},
        "checkpoint": {"frequency": 10**6},
    }
    file = folder / "stopped.json"
    file.write_text(json.dumps(document))
    return file


def stopped(folder: Path, *options: str, **arm: Any) -> tuple[int, list[int]]:
    """Exit code, and the steps of the checkpoints."""
    command = [sys.executable, "-m", "src.experiments.runner", "--output-dir", str(folder)]
    command += ["--config", str(experiment_file(folder, **arm)), *options]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=ROOT, stdout=quiet, stderr=quiet)
    root = folder / "stopped"
    journal = root / "runs" / "baseline_seed0" / "journal.jsonl"
    wait_until(lambda: journal.exists() and journal.read_text().count('"metrics"') > 2, "it trains")
    process.send_signal(signal.SIGTERM)
    code = process.wait(HANG_SECONDS)
    saved = (root / "checkpoints" / "baseline_seed0").glob("checkpoint_*.pkl")
    return code, [int(path.stem.partition("_")[2]) for path in saved]


@pytest.mark.parametrize(
    ("options", "arm"),
    [
        ((), {}),
        (("--executor", "in_process"), {}),
        ((), {"n_envs": 2, "vec_env": "subproc"}),
    ],
    ids=["process", "in_process", "environments in processes"],
)
def test_a_termination_signal_leaves_a_checkpoint(
    tmp_path: Path, options: tuple[str, ...], arm: dict[str, Any]
) -> None:
    code, saved = stopped(tmp_path, *options, **arm)

    assert code == -signal.SIGTERM
    assert len(saved) == 1
