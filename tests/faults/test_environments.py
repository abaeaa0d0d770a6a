"""Environments that misbehave cost their own run, are named, and give nothing away."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CANARY = "c4n4ry-v4lue-0123456789"

pytestmark = pytest.mark.integration


def run(folder, kind, *options):
    config = folder / "broken.json"
    baseline = {
        "algorithm": "PPO",
        "environment": "BrokenCartPole-v0",
        "environment_kwargs": {"kind": kind},
        "hyperparameters": {"n_steps": 64, "batch_size": 64, "n_epochs": 1},
        "training_steps": 128,
    }
    variant = {"extends": "baseline", "environment_kwargs": {"at": 100_000}}
    document = {"experiment_id": "broken", "baseline_config": baseline, "variant_config": variant}
    config.write_text(json.dumps(document))
    module = "tests.faults.broken_environments"
    command = [sys.executable, "-m", "src.experiments.runner", "--config", str(config)]
    command += ["--allow-env-module", module, "--output-dir", str(folder), *options]
    environment = {**os.environ, "CANARY_API_KEY": CANARY}
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=100, env=environment
    )


def test_a_secret_that_an_environment_prints_and_raises_is_found_nowhere(tmp_path):
    done = run(tmp_path, "leak")

    assert done.returncode == 1
    assert CANARY not in done.stdout + done.stderr
    leaks = [
        path
        for path in tmp_path.rglob("*")
        if path.is_file() and CANARY.encode() in path.read_bytes()
    ]
    assert leaks == []
    log = (tmp_path / "broken" / "logs" / "baseline_training.log").read_text()
    assert "the key is [redacted]" in log
    assert "\x1b" not in log


@pytest.mark.slow
def test_an_exception_is_named_by_its_type_with_the_log_that_tells_more(tmp_path):
    done = run(tmp_path, "raise", "--recovery", "skip")

    assert done.returncode == 4
    assert "RuntimeError: joint 3 exploded" in done.stderr
    assert "\x1b" not in done.stderr
    results = json.loads((tmp_path / "broken" / "results.json").read_text())
    assert [each["status"] for each in results["runs"]] == ["skipped", "completed"]
    assert results["comparison"]["failed_per_arm"] == {"baseline": 1, "variant": 0}


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["process", "in_process"])
def test_an_environment_that_exits_with_zero_is_a_failed_run(tmp_path, executor):
    done = run(tmp_path, "exit", "--executor", executor)

    assert done.returncode == 1
    assert "exit code 0 before training ended" in done.stderr
