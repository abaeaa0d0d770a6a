"""Environments and tasks of a user's own module, from the command line to the verdict."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.language import QUICK, needs_trl, newborn
from tests.waiting import HANG_SECONDS

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
MODULE = """
import gymnasium as gym
from gymnasium.envs.classic_control import CartPoleEnv
from src.experiments.tasks.arithmetic import Arithmetic

gym.register("Mine-v0", CartPoleEnv, max_episode_steps=50)


class Sums(Arithmetic):
    pass
"""


def run(folder: Path, arm: dict[str, Any], variant: dict[str, Any]) -> Path:
    """Both arms trained to the end, with the module allowed; where the experiment lies."""
    (folder / "my_lab.py").write_text(MODULE)
    file = folder / "exp.json"
    file.write_text(
        json.dumps(
            {
                "experiment_id": "own",
                "hypothesis": "One's own module does as well",
                "baseline_config": arm,
                "variant_config": {"extends": "baseline", **variant},
                "evaluation": {"frequency": 1000, "episodes": 2, "final_episodes": 2},
            }
        )
    )
    words = ["-m", "src.experiments", "run", str(file), "--allow-env-module", "my_lab"]
    done = subprocess.run(
        [sys.executable, *words, "--output-dir", str(folder / "out")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return folder / "out" / "own"


def scored(own: Path) -> Any:
    return json.loads((own / "results.json").read_text())["comparison"]["n_per_arm"]


@pytest.mark.parametrize(
    "name", ["my_lab:Mine-v0", pytest.param("Mine-v0", marks=pytest.mark.slow)]
)
def test_an_environment_is_trained_in(tmp_path: Path, name: str) -> None:
    arm = {"algorithm": "A2C", "environment": name, "training_steps": 100}
    own = run(tmp_path, arm, {"hyperparameters": {"learning_rate": 0.001}})

    assert scored(own) == {"baseline": 1, "variant": 1}


SCRIPT = """
import sys

import gymnasium as gym
from gymnasium.envs.classic_control import CartPoleEnv

import my_lab
from src.experiments.experiment import Experiment
from src.experiments.runner import ExperimentRunner


class Slippery(CartPoleEnv):
    pass


gym.register("Slippery-v0", Slippery, max_episode_steps=50)


def trained(env_id, executor, *modules):
    arm = {"algorithm": "A2C", "environment": env_id, "training_steps": 100}
    variant = {"extends": "baseline", "hyperparameters": {"learning_rate": 0.001}}
    protocol = {"frequency": 1000, "episodes": 2, "final_episodes": 2}
    experiment = Experiment(
        arm, variant, "own", evaluation=protocol, output_dir="out", environment_modules=modules
    )
    try:
        outcome = ExperimentRunner(experiment, executor=executor).run()
    except ValueError as error:
        outcome = type(error).__name__
    print(outcome, experiment.experiment_dir.exists())


trained("Slippery-v0", "process")
trained("Mine-v0", "process")
trained("Slippery-v0", "in_process")
trained("Mine-v0", "process", "my_lab")
"""


@pytest.mark.slow
def test_what_a_script_registers_is_for_this_process_and_what_it_names_for_all(
    tmp_path: Path,
) -> None:
    (tmp_path / "my_lab.py").write_text(MODULE)
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.stdout.splitlines() == [
        "ConfigurationError False",
        "ConfigurationError False",
        "True True",
        "True True",
    ], done.stderr


@needs_trl
@pytest.mark.slow
def test_a_task_is_trained_on(tmp_path: Path) -> None:
    hyperparameters = {**QUICK, "model_name": newborn()}
    arm = {
        "algorithm": "GRPO",
        "environment": "my_lab:Sums",
        "training_steps": 2,
        "hyperparameters": hyperparameters,
    }
    own = run(tmp_path, arm, {"algorithm": "DR_GRPO"})

    assert scored(own) == {"baseline": 1, "variant": 1}
