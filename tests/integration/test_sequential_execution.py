"""Experiments that end at a look: the same looks in every mode, and after every kill."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from src.experiments.domain.records import ExecutionMode, RunStatus
from src.experiments.domain.verdicts import Verdict
from src.experiments.durability.journal import Record, read_journal, without_wall_clock
from src.experiments.experiment import Experiment
from src.experiments.runner import ExperimentRunner

ROOT = Path(__file__).parents[2]
SHORT_EPISODES = [{"name": "TimeLimit", "kwargs": {"max_episode_steps": 5}}]
"""A variant whose episodes end after five steps gets five, whatever it learns."""
MODULE = "tests.integration.flaky_environments"
TINY = {"n_steps": 64, "batch_size": 64, "n_epochs": 1}

pytestmark = pytest.mark.integration


def question(variant: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "experiment_id": "looked_at",
        "baseline_config": {
            "algorithm": "PPO",
            "environment": "CartPole-v1",
            "hyperparameters": TINY,
            "training_steps": 128,
        },
        "variant_config": {"extends": "baseline", **variant},
        "evaluation": {"frequency": 64, "episodes": 2, "final_episodes": 5},
        "comparison": {"sequential": {"first_look": 4, "batch": 2, "max_seeds": 10}},
        **more,
    }


def new_experiment(folder: Path, document: dict[str, Any]) -> Experiment:
    parts = {name: value for name, value in document.items() if name != "hypothesis"}
    return Experiment(
        parts.pop("baseline_config"),
        parts.pop("variant_config"),
        "short episodes",
        output_dir=folder,
        **parts,
    )


def looks(experiment: Experiment) -> list[Record]:
    """The looks that the events tell of, without when they were taken."""
    events = (without_wall_clock(event) for event in read_journal(experiment.paths.events))
    return [{name: value for name, value in event.items() if name != "step"} for event in events]


@pytest.mark.parametrize(
    ("mode", "executor"),
    [
        pytest.param(ExecutionMode.SEQUENTIAL, "process", marks=pytest.mark.slow),
        (ExecutionMode.PARALLEL, "process"),
        pytest.param(ExecutionMode.SEQUENTIAL, "in_process", marks=pytest.mark.slow),
    ],
)
def test_a_clear_difference_ends_the_experiment_alike_in_every_mode(
    tmp_path: Path, mode: ExecutionMode, executor: str
) -> None:
    experiment = new_experiment(tmp_path, question({"wrappers": SHORT_EPISODES}))
    runner = ExperimentRunner(experiment, mode, 3, executor=executor)

    assert runner.run()

    results = json.loads(experiment.paths.results.read_text())
    comparison = results["comparison"]
    assert comparison["verdict"] == Verdict.VARIANT_WORSE
    assert [look["n_per_arm"] for look in comparison["looks"]] == [4, 6]
    assert comparison["n_per_arm"] == {"baseline": 6, "variant": 6}
    assert [event["look"]["decision"] for event in looks(experiment)] == ["go_on", "reject"]
    analysed = [run for run in results["runs"] if run["analysed"]]
    assert {run["status"] for run in analysed} == {"completed"}
    assert len(analysed) == 12
    beyond = [run["status"] for run in results["runs"] if not run["analysed"]]
    assert RunStatus.CANCELLED in beyond
    assert set(beyond) <= {RunStatus.CANCELLED, RunStatus.COMPLETED}
    if mode is ExecutionMode.SEQUENTIAL:  # one slot is never ahead of a look
        assert set(beyond) == {RunStatus.CANCELLED}
    told = json.loads(experiment.paths.experiment.read_text())["design"]
    assert told["floors"]["baseline"]["return_mean"] > told["floors"]["variant"]["return_mean"]


def test_the_design_and_the_floor_are_on_the_disk_before_the_first_run_begins(
    tmp_path: Path,
) -> None:
    experiment = new_experiment(tmp_path, question({"wrappers": SHORT_EPISODES}))
    seen: list[dict[str, Any]] = []

    class Watching(ExperimentRunner):
        def _train(self) -> None:
            seen.append(json.loads(self.experiment.paths.experiment.read_text()))
            assert not any(self.experiment.paths.root.glob("runs/*/journal.jsonl"))
            self.interrupt()
            super()._train()

    Watching(experiment).run()

    design = seen[0]["design"]
    assert design["rule"]["metric"] == "final_return"
    assert [look["n_per_arm"] for look in design["plan"]["looks"]] == [6, 8, 10]
    assert 15 < design["floors"]["baseline"]["return_mean"] < 30
    assert design["floors"]["variant"] == {
        "return_mean": 5.0,
        "return_std": 0.0,
        "episodes": 100,
        "steps": 500,
    }


@pytest.mark.slow
def test_a_run_that_fails_on_its_own_is_looked_at_with_the_floor_and_trained_no_more(
    tmp_path: Path,
) -> None:
    flaky = {"folder": str(tmp_path), "at": 100}
    document = question({"environment_kwargs": {**flaky, "times": 2}})
    document["baseline_config"] |= {
        "environment": "FlakyCartPole-v0",
        "environment_kwargs": {**flaky, "times": 0},
    }
    document |= {"recovery": {"strategy": "skip"}, "environment_modules": [MODULE]}
    experiment = new_experiment(tmp_path, document)

    assert not ExperimentRunner(experiment).run()

    loaded = Experiment.load(experiment.paths.root, environment_modules=[MODULE])
    assert loaded.comparison.failed_per_arm == {"baseline": 0, "variant": 2}
    assert loaded.looks.settled >= 4
    assert len(loaded.unfinished_runs()) == 2
    assert loaded.runs_to_train() == []
    before = looks(loaded)
    ExperimentRunner(loaded).run()
    assert looks(loaded) == before
    assert [loaded.results[run].attempts for run in loaded.unfinished_runs()] == [1, 1]


@pytest.mark.slow
def test_a_hopeless_variant_is_ended_and_its_other_runs_are_not_trained(tmp_path: Path) -> None:
    document = question(
        {"wrappers": SHORT_EPISODES}, comparison={}, seeds=8, early_abort={"after_fraction": 0.5}
    )
    experiment = new_experiment(tmp_path, document)

    assert ExperimentRunner(experiment).run()

    results = json.loads(experiment.paths.results.read_text())
    assert results["comparison"]["verdict"] == Verdict.STOPPED_FOR_FUTILITY
    assert [look["abort"] for look in results["early_abort"]] == [True]
    statuses = [run["status"] for run in results["runs"] if run["arm"] == "variant"]
    assert "cancelled" in statuses
    assert len(statuses) == 8
    assert Experiment.load(experiment.paths.root).unfinished_runs() == []


@pytest.mark.slow
def test_a_kill_at_any_time_changes_no_look_and_repeats_none(tmp_path: Path) -> None:
    whole = new_experiment(tmp_path / "whole", question({"wrappers": SHORT_EPISODES}))
    ExperimentRunner(whole).run()
    file = tmp_path / "exp.json"
    file.write_text(json.dumps(question({"wrappers": SHORT_EPISODES})))
    command = [sys.executable, "-m", "src.experiments.runner", "--config", str(file), "--resume"]
    command += ["--mode", "parallel", "--output-dir", str(tmp_path / "killed")]

    kills = 0
    while True:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            code = process.wait(1.3**kills)  # long enough some time, however slow the machine
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
            assert kills < 30
            time.sleep(0.1)

    killed = Experiment.load(tmp_path / "killed" / "looked_at")
    assert code == 0
    assert kills > 0
    assert looks(killed) == looks(whole)
    # how many runs had begun beyond the look is all that may differ
    assert replace(killed.comparison, sentence="") == replace(whole.comparison, sentence="")
