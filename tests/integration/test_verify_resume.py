"""`experiments verify-resume` kills for real, and says truly whether that changed anything."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.waiting import HANG_SECONDS, wait_until

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "src.experiments", "verify-resume"]
MODULE = "tests.integration.untellable_environments"
FEW_UPDATES = {"n_steps": 64, "batch_size": 64, "n_epochs": 2}

pytestmark = pytest.mark.integration


class Verifying:
    """The command on a small pair, with a folder of its own for everything temporary."""

    def __init__(self, folder):
        self.scratch = folder / "scratch"
        self.scratch.mkdir()
        self.file = folder / "exp.json"

    def start(self, *options, environment="CartPole-v1", **arm):
        baseline = {
            "algorithm": "PPO",
            "environment": environment,
            "hyperparameters": FEW_UPDATES,
            "training_steps": 50_000,
            "seed": 7,
            **arm,
        }
        variant = {"extends": "baseline", "hyperparameters": {"learning_rate": 0.001}}
        document = {"baseline_config": baseline, "variant_config": variant}
        self.file.write_text(json.dumps({"experiment_id": "tiny", **document}))
        return subprocess.Popen(
            [*COMMAND, str(self.file), *options],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(self.scratch)},
        )

    def finish(self, *options, **arm):
        process = self.start(*options, **arm)
        stdout, stderr = process.communicate(timeout=2 * HANG_SECONDS)
        return process.returncode, stdout, stderr

    def processes(self):
        """What works in the folder just now."""
        found = psutil.process_iter(["cmdline"])
        folder = str(self.scratch)
        return [each for each in found if folder in " ".join(each.info["cmdline"] or ())]


@pytest.fixture
def verifying(tmp_path):
    return Verifying(tmp_path)


@pytest.mark.slow
def test_both_arms_of_a_cartpole_pair_are_exact_and_nothing_is_left(verifying):
    code, stdout, stderr = verifying.finish()

    assert code == 0, stderr
    lines = stdout.splitlines()
    assert "seed 7, 600 steps per arm, a checkpoint every 100" in lines
    for arm in ("baseline", "variant"):
        assert sum(line.startswith(f"killed in {arm}_seed7; ") for line in lines) == 2
        assert any(line.startswith(f"{arm}: exact, resumed from step ") for line in lines)
    assert "policy.optimizer.pth" in stdout
    assert lines[-1] == "exact: being killed and continued changed nothing"
    assert list(verifying.scratch.iterdir()) == []
    assert not (ROOT / "results" / "experiments" / "verify-resume").exists()


@pytest.mark.slow
def test_an_environment_that_cannot_be_told_is_approximate_and_the_reason_is_named(verifying):
    code, stdout, stderr = verifying.finish(
        *("--kills", "1", "--json", "--allow-env-module", MODULE), environment="WindyCartPole-v0"
    )

    assert code == 1, stderr
    told = json.loads(stdout)
    assert (told["experiment_id"], told["status"], told["exit_code"]) == ("tiny", "approximate", 1)
    for arm in told["arms"].values():
        assert arm["resume"] == "approximate"
        assert "observation" in arm["reason"]
        assert arm["resumed_from_steps"]
        assert arm["difference"]["file"] == "journal.jsonl"
        assert arm["difference"]["step"] > arm["resumed_from_steps"][0]
    assert "baseline: approximate, resumed from step " in stderr
    assert "because " in stderr
    assert Path(told["kept"]).parent == verifying.scratch
    assert (Path(told["kept"]) / "killed-1" / "verify-resume" / "results.json").is_file()


@pytest.mark.slow
def test_a_replay_buffer_with_normalisation_is_exact_and_kept_when_asked(verifying):
    arm = {"algorithm": "DQN", "normalize": True, "n_envs": 2}
    settings = {"learning_starts": 1000, "buffer_size": 5000}
    code, stdout, stderr = verifying.finish(
        *("--kills", "1", "--json", "--keep"), **arm, hyperparameters=settings
    )

    assert code == 0, stderr
    told = json.loads(stdout)
    assert told["shortened"]["baseline"] == {"learning_starts": {"before": 1000, "after": 200}}
    assert "normalization.json" in told["arms"]["variant"]["compared"]
    assert (Path(told["kept"]) / "experiment.json").is_file()


@pytest.mark.slow
def test_a_pair_that_fails_without_being_killed_is_named_and_kept(verifying):
    code, _, stderr = verifying.finish(
        "--allow-env-module", MODULE, environment="UnsteadyCartPole-v0"
    )

    assert code == 1
    assert "baseline: RuntimeError: joint 3 exploded" in stderr
    (kept,) = verifying.scratch.iterdir()
    assert f"kept: {kept}" in stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["baseline_config.hyperparameters.gama=0.9"], "did you mean 'gamma'?"),
        (["gamma"], "an override is PATH=VALUE"),
        (["--kills", "0"], "--kills must be at least 1, got 0"),
        (["--steps", "5"], "--steps must be at least"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_trains(verifying, options, message):
    code, stdout, stderr = verifying.finish(*options)

    assert (code, stdout) == (2, "")
    assert message in stderr
    assert list(verifying.scratch.iterdir()) == []


@pytest.mark.slow
def test_too_few_steps_for_the_kills_are_refused(verifying):
    code, _, stderr = verifying.finish("--steps", "130", "--kills", "4")

    assert code == 2
    assert "--steps 130: an arm has 2 checkpoints, and 5 are needed" in stderr
    assert list(verifying.scratch.iterdir()) == []


@pytest.mark.slow
def test_ctrl_c_ends_all_of_it(verifying):
    process = verifying.start()
    journals = "*/undisturbed-1/verify-resume/runs/*/journal.jsonl"
    wait_until(lambda: list(verifying.scratch.glob(journals)), "it trains")
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=HANG_SECONDS)

    assert process.returncode == -signal.SIGINT
    assert "stopped; nothing is left of it" in stderr
    assert verifying.processes() == []
    assert list(verifying.scratch.iterdir()) == []
