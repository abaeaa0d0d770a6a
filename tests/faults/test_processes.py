"""Processes that die: the orchestrator leaves nothing, a worker costs only its own run."""

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
EXPERIMENT = {
    "experiment_id": "pair",
    "hypothesis": "what is killed comes back",
    "baseline_config": {
        "algorithm": "PPO",
        "environment": "CartPole-v1",
        "hyperparameters": {"n_steps": 64, "batch_size": 64, "n_epochs": 2},
        "training_steps": 3000,
    },
    "variant_config": {"extends": "baseline", "hyperparameters": {"learning_rate": 1e-3}},
    "evaluation": {"frequency": 2000, "episodes": 1, "final_episodes": 1},
}

pytestmark = pytest.mark.integration


class Command:
    """`python -m src.experiments.runner` on the pair, in a folder of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.root = folder / "pair"
        self.config = folder / "pair.json"
        self.config.write_text(json.dumps(EXPERIMENT))

    def start(self, *options, given=None):
        given = given or ("--config", str(self.config))
        command = [sys.executable, "-m", "src.experiments.runner", *given]
        return subprocess.Popen(
            [*command, "--output-dir", str(self.folder), *options],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, *options, given=None):
        process = self.start(*options, given=given)
        stdout, stderr = process.communicate(timeout=100)
        return process.returncode, stdout, stderr

    def worker(self, run, attempt=1):
        """The process that trains an attempt, once its journal has grown."""
        events = self.root / "runs" / run / "events.jsonl"
        journal = self.root / "runs" / run / "journal.jsonl"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            started = [
                event["pid"]
                for event in read_journal(events)
                if event["kind"] == "attempt_started" and event["attempt"] == attempt
            ]
            if started and any(record["step"] for record in read_journal(journal)):
                return started[0]
            time.sleep(0.02)
        raise TimeoutError(f"{run} does not train")

    def results(self):
        return json.loads((self.root / "results.json").read_text())

    def shas(self):
        return [run["parameters_sha256"] for run in self.results()["runs"]]


@pytest.fixture
def command(tmp_path):
    return Command(tmp_path)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The pair trained without a fault."""
    command = Command(tmp_path_factory.mktemp("undisturbed"))
    code, _, stderr = command.finish()
    assert (code, stderr) == (0, "")
    return command


def test_a_killed_orchestrator_leaves_no_process_and_continues_to_the_same_bits(
    command, undisturbed
):
    process = command.start()
    worker = command.worker("variant_seed0")
    family = [psutil.Process(worker), *psutil.Process(worker).parents()]
    family = [member for member in family if "fork_server" in " ".join(member.cmdline())]
    process.kill()
    _, alive = psutil.wait_procs(family, timeout=5)
    process.communicate()
    code, stdout, _ = command.finish(given=("--experiment-id", "pair"))

    assert alive == []
    assert code == 0
    assert "baseline_seed0: complete already" in stdout
    assert command.shas() == undisturbed.shas()
    for journal in command.root.glob("runs/*/journal.jsonl"):
        steps = [r["step"] for r in read_journal(journal) if r["kind"] == "metrics"]
        assert steps == sorted(set(steps))  # none is told twice


def kill_worker(command, *options):
    process = command.start(*options)
    os.kill(command.worker("baseline_seed0"), signal.SIGKILL)
    stdout, stderr = process.communicate(timeout=100)
    return process.returncode, stdout, stderr


def test_under_abort_a_killed_worker_ends_the_experiment_with_its_name(command):
    code, _, stderr = kill_worker(command)

    assert code == 1
    assert "baseline_seed0" in stderr
    assert "SIGKILL" in stderr
    assert command.results()["runs"][0]["status"] == "failed"


@pytest.mark.slow
def test_under_retry_a_killed_worker_is_trained_again_to_the_same_bits(command, undisturbed):
    code, _, _ = kill_worker(command, "--recovery", "retry")

    assert code == 0
    assert command.results()["runs"][0]["attempts"] == 2
    assert command.shas() == undisturbed.shas()


def test_under_skip_the_other_run_is_untouched(command, undisturbed):
    code, _, _ = kill_worker(command, "--recovery", "skip")

    assert code == 4
    assert [run["status"] for run in command.results()["runs"]] == ["skipped", "completed"]
    assert command.shas()[1] == undisturbed.shas()[1]
    assert command.results()["comparison"]["verdict"] == "insufficient_evidence"


@pytest.mark.slow
def test_a_second_orchestrator_is_refused_with_exit_3(command):
    process = command.start()
    command.worker("baseline_seed0")
    code, _, stderr = command.finish(given=("--experiment-id", "pair"))
    process.kill()
    process.communicate()

    assert code == 3
    assert str(process.pid) in stderr


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, -2),
        pytest.param(signal.SIGTERM, -15, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, -1, marks=pytest.mark.slow),
    ],
)
def test_a_signal_stops_within_ten_seconds_and_tells_how_to_continue(command, number, code):
    process = command.start()
    command.worker("baseline_seed0")
    begun = time.monotonic()
    process.send_signal(number)
    _, stderr = process.communicate(timeout=30)

    assert time.monotonic() - begun < 10
    assert process.returncode == code
    assert "--experiment-id pair" in stderr
