"""Runs that take too much or never answer: named, ended, and the other run is none the worse."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from src.experiments.durability.journal import read_journal

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.integration


class Greedy:
    """A pair whose baseline misbehaves and whose variant does not."""

    def __init__(self, folder):
        self.folder = folder
        self.root = folder / "greedy"

    def start(self, *options, kind="none", steps=640, arguments=None, **settings):
        baseline = {
            "algorithm": "PPO",
            "environment": "GreedyCartPole-v0",
            "environment_kwargs": {"kind": kind, "folder": str(self.folder), **(arguments or {})},
            "hyperparameters": {"n_steps": 64, "batch_size": 64, "n_epochs": 1},
            "training_steps": steps,
        }
        variant = {
            "extends": "baseline",
            "environment_kwargs": {"kind": "none"},
            "hyperparameters": {"learning_rate": 1e-3},
        }
        document = {
            "experiment_id": "greedy",
            "baseline_config": baseline,
            "variant_config": variant,
            "evaluation": {"frequency": 10_000, "episodes": 1, "final_episodes": 1},
            **settings,
        }
        config = self.folder / "greedy.json"
        config.write_text(json.dumps(document))
        command = [sys.executable, "-m", "src.experiments.runner", "--config", str(config)]
        command += ["--allow-env-module", "tests.faults.greedy_environments"]
        return subprocess.Popen(
            [*command, "--output-dir", str(self.folder), *options],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, *options, **settings):
        process = self.start(*options, **settings)
        _, stderr = process.communicate(timeout=100)
        return process.returncode, stderr

    def events(self, run="baseline_seed0"):
        return read_journal(self.root / "runs" / run / "events.jsonl")

    def ends(self, run="baseline_seed0"):
        """How the attempts ended that failed, and why."""
        return [
            (event["ended_by"], event["cause"])
            for event in self.events(run)
            if event["kind"] == "attempt_ended" and "ended_by" in event
        ]

    def runs(self):
        results = json.loads((self.root / "results.json").read_text())
        return {run["arm"]: run for run in results["runs"]}


@pytest.fixture
def greedy(tmp_path):
    return Greedy(tmp_path)


def test_a_run_that_breaks_the_memory_limit_is_ended_and_the_other_one_finishes(greedy):
    code, stderr = greedy.finish(
        *("--mode", "parallel", "--recovery", "skip"),
        kind="memory",
        arguments={"at": 300},  # not in the probe already
        resource_limits={"memory_mb": 700},
    )

    assert code == 4
    [(how, cause)] = greedy.ends()
    assert how == "out_of_memory"
    assert "out of memory" in cause
    assert "700 MiB" in cause
    assert "baseline_seed0 used most" in cause
    assert "memory" in stderr
    assert greedy.runs()["variant"]["status"] == "completed"


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "code", "attempts"), [("abort", 1, 1), ("retry", 1, 2)])
def test_the_policy_holds_for_a_run_that_is_out_of_memory(greedy, strategy, code, attempts):
    options = ("--max-retries", "1") if strategy == "retry" else ()
    found, stderr = greedy.finish(
        *("--recovery", strategy, *options),
        kind="memory",
        resource_limits={"memory_mb": 700},
    )

    assert found == code
    assert [how for how, _ in greedy.ends()] == ["out_of_memory"] * attempts
    assert "out of memory" in stderr


HANGS = ["hang_in_step", "hang_in_reset", "spin", "hang_in_close"]


@pytest.mark.parametrize(
    "kind", [HANGS[0], *(pytest.param(kind, marks=pytest.mark.slow) for kind in HANGS[1:])]
)
def test_a_run_that_hangs_is_named_ended_and_skipped(greedy, kind):
    code, stderr = greedy.finish("--recovery", "skip", kind=kind, hang_seconds=2)

    assert code == 4
    times = {event["kind"]: event["time"] for event in greedy.events()}
    assert times["attempt_ended"] - times["attempt_started"] < 2 + 10
    [(how, cause)] = greedy.ends()
    assert how == "hang"
    assert "no sign of life for" in cause
    assert "no sign of life" in stderr
    log = (greedy.root / "logs" / "baseline_training.log").read_text()
    assert "greedy_environments.py" in log  # where it hung
    assert greedy.runs()["variant"]["status"] == "completed"


@pytest.mark.slow
def test_a_stopped_worker_is_taken_for_one_that_hangs(greedy):
    process = greedy.start(
        *("--mode", "parallel", "--recovery", "retry"), steps=5000, hang_seconds=2
    )
    os.kill(worker(greedy, "baseline_seed0"), signal.SIGSTOP)
    _, stderr = process.communicate(timeout=100)

    assert process.returncode == 0, stderr
    assert [how for how, _ in greedy.ends()] == ["hang"]
    assert greedy.runs()["baseline"]["attempts"] == 2
    assert greedy.runs()["variant"]["attempts"] == 1


@pytest.mark.slow
def test_a_limit_on_the_disk_ends_the_runs_by_name(greedy):
    folder = greedy.root / "runs" / "baseline_seed0"
    code, stderr = greedy.finish(
        "--recovery",
        "abort",
        kind="disk",
        steps=6400,
        arguments={"folder": str(folder)},
        resource_limits={"disk_gb": 0.05},
    )

    assert code == 1
    assert [how for how, _ in greedy.ends()] == ["limit"]
    assert "disk_gb" in stderr


def test_what_an_environment_started_in_a_session_of_its_own_dies_with_the_orchestrator(greedy):
    process = greedy.start(kind="helper", steps=200_000)
    pid = worker(greedy, "baseline_seed0")
    family = [psutil.Process(pid), *psutil.Process(pid).parents()]
    family = [each for each in family if "fork_server" in " ".join(each.cmdline())]
    helpers = [psutil.Process(int(path.read_text())) for path in greedy.folder.glob("helper-*")]
    process.kill()
    _, alive = psutil.wait_procs([*family, *helpers], timeout=5)
    process.communicate()

    assert len(helpers) >= 1
    assert alive == []


def worker(greedy, run):
    """The process that trains a run, once its journal has grown."""
    journal = greedy.root / "runs" / run / "journal.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        pids = [each["pid"] for each in greedy.events(run) if each["kind"] == "attempt_started"]
        if pids and any(record["step"] for record in read_journal(journal)):
            return pids[-1]
        time.sleep(0.02)
    raise TimeoutError(f"{run} does not train")
