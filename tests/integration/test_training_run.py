"""One run through `Trainer`: its journal, its metrics, its files, and what it leaves as it was."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial, partialmethod
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import pytest
import torch
from gymnasium.envs.classic_control import CartPoleEnv, PendulumEnv

from src.experiments.domain.paths import RunPaths
from src.experiments.domain.records import EvaluationProtocol, RunEstimate, RunKey, TrainerConfig
from src.experiments.durability.journal import Record, read_journal, without_wall_clock
from src.experiments.training import Trainer, rehearsal
from src.experiments.training.rehearsal import probe, rehearse

pytestmark = pytest.mark.integration

Estimate = Callable[[RunKey, TrainerConfig], RunEstimate]

SMALL = {"net_arch": [8]}
OFF_POLICY = {"learning_starts": 20, "batch_size": 8, "buffer_size": 500, "policy_kwargs": SMALL}
PPO = {"n_steps": 64, "batch_size": 32, "n_epochs": 2, "policy_kwargs": SMALL}
PROTOCOL = EvaluationProtocol(frequency=100, episodes=2, final_episodes=4)
RETURNS = {f"rollouts/returns_{name}" for name in ("sum", "mean", "std", "max", "min", "best_mean")}
ADVANTAGES = {"rollouts/advantages_mean", "rollouts/advantages_std"}
KL = {"rollouts/kl_mean", "rollouts/kl_std", "rollouts/kl_max", "training_step/kl"}
KL |= {"training_epoch/kl_mean", "training_epoch/kl_std"}
LOSS = {"training_step/loss", "training_epoch/loss_mean", "training_epoch/loss_std"}
LOSS |= {"training/invalid_loss_count"}
GRADIENTS = {"training_step/grad_norm", "training_epoch/grad_norm_mean"}
GRADIENTS |= {"training_epoch/grad_norm_max"}
ALWAYS = {"rollouts/total_rollouts", "rollouts/batch_step", "training_step/learning_rate"}
REPLAY = {"system/replay_buffer_size"}


def config(algorithm: str, run_dir: Path | None = None, **fields: Any) -> TrainerConfig:
    settings = {"PPO": PPO, "TRPO": {"n_steps": 64, "batch_size": 32, "policy_kwargs": SMALL}}
    settings |= {name: {"policy_kwargs": SMALL} for name in ("A2C", "ARS")}
    settings["RecurrentPPO"] = {**PPO, "policy_kwargs": {"lstm_hidden_size": 4, "net_arch": [4]}}
    continuous = algorithm in {"SAC", "TD3", "DDPG", "TQC", "CrossQ"}
    defaults: dict[str, Any] = {
        "hyperparameters": settings.get(algorithm, OFF_POLICY),
        "evaluation": PROTOCOL,
        "run_dir": run_dir,
    }
    defaults["environment"] = "Pendulum-v1" if continuous else "CartPole-v1"
    return TrainerConfig(algorithm, total_timesteps=256, seed=5, **{**defaults, **fields})


def journal(directory: Path) -> list[Record]:
    return read_journal(RunPaths(directory).journal)


def metrics_seen(directory: Path) -> set[str]:
    rows = [record["metrics"] for record in journal(directory) if record["kind"] == "metrics"]
    return {name for row in rows for name in row if not name.startswith(("train/", "rollout/"))}


@pytest.mark.parametrize("algorithm", ["PPO", "DQN", "SAC"])
def test_two_runs_of_one_configuration_have_equal_journals(tmp_path: Path, algorithm: str) -> None:
    results = [Trainer(config(algorithm, tmp_path / name)).train() for name in ("a", "b")]
    first, second = (
        [without_wall_clock(record) for record in journal(tmp_path / name)] for name in ("a", "b")
    )

    assert first == second
    assert results[0].parameters_sha256 == results[1].parameters_sha256


@pytest.mark.parametrize(("learning_starts", "learned"), [(20, True), (10_000, False)])
def test_the_result_tells_whether_anything_was_learned(
    tmp_path: Path, learning_starts: int, learned: bool
) -> None:
    changed = {**OFF_POLICY, "learning_starts": learning_starts}

    assert Trainer(config("DQN", tmp_path, hyperparameters=changed)).train().learned is learned


def test_the_journal_tells_the_run_from_start_to_finish(tmp_path: Path) -> None:
    result = Trainer(config("PPO", tmp_path)).train()
    records = journal(tmp_path)
    evaluations = [record for record in records if record["kind"] == "evaluation"]

    assert [record["kind"] for record in (records[0], records[-1])] == ["started", "finished"]
    assert records[0]["planned_timesteps"] == result.total_timesteps == 256
    # evaluations fall on the first rollout's end at or after 100 and 200; the last is the final one
    assert [(record["step"], record["final"]) for record in evaluations] == [
        (128, False),
        (256, True),
    ]
    assert [len(record["returns"]) for record in evaluations] == [2, 4]
    assert result.final_mean_reward == evaluations[-1]["metrics"]["eval/return_mean"]
    assert records[-1]["parameters_sha256"] == result.parameters_sha256
    assert records[-1]["metrics"]["final/total_steps"] == 256


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("PPO", ALWAYS | RETURNS | ADVANTAGES | KL | LOSS | GRADIENTS),
        ("RecurrentPPO", ALWAYS | RETURNS | ADVANTAGES | KL | LOSS | GRADIENTS),
        ("A2C", ALWAYS | RETURNS | ADVANTAGES | LOSS | GRADIENTS),
        ("TRPO", ALWAYS | RETURNS | ADVANTAGES | KL | LOSS | GRADIENTS),
        ("DQN", ALWAYS | RETURNS | LOSS | GRADIENTS | REPLAY),
        ("SAC", ALWAYS | RETURNS | LOSS | GRADIENTS | REPLAY),
        ("TD3", ALWAYS | RETURNS | LOSS | GRADIENTS | REPLAY),
        ("ARS", ALWAYS | RETURNS),
    ],
)
def test_an_algorithm_has_its_metrics_and_no_others(
    tmp_path: Path, algorithm: str, expected: set[str]
) -> None:
    Trainer(config(algorithm, tmp_path)).train()

    assert metrics_seen(tmp_path) == expected


def test_a_pass_over_the_data_has_the_library_s_own_kl(tmp_path: Path) -> None:
    Trainer(config("PPO", tmp_path)).train()
    row = journal(tmp_path)[-3]["metrics"]

    assert row["training_epoch/kl_mean"] == pytest.approx(row["train/approx_kl"], rel=1e-4)
    assert row["training_step/loss"] == row["train/loss"]
    assert row["rollouts/kl_max"] >= row["rollouts/kl_mean"] >= 0


def test_without_a_run_directory_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = Trainer(config("A2C")).train()

    assert list(tmp_path.iterdir()) == []
    assert result.success
    assert result.model_path is None


def test_the_process_is_left_as_it_was() -> None:
    from torch.distributions import Distribution

    clip, validate = torch.nn.utils.clip_grad_norm_, Distribution._validate_args
    threads = torch.get_num_threads()
    Trainer(config("A2C", torch_threads=threads + 1)).train()

    assert torch.nn.utils.clip_grad_norm_ is clip
    assert Distribution._validate_args == validate
    assert torch.get_num_threads() == threads


LOAD = """
import importlib.abc, sys
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("experiments", "src"):
            raise ImportError(name)
sys.meta_path.insert(0, Block())
import numpy as np, stable_baselines3
model = getattr(stable_baselines3, sys.argv[2]).load(sys.argv[1])
print(model.predict(model.observation_space.sample())[0].shape, model.lr_schedule(0.5))
"""


@pytest.mark.parametrize(
    ("algorithm", "settings", "printed"),
    [
        ("PPO", {**PPO, "learning_rate": {"schedule": "linear", "initial": 1e-3}}, "() 0.0005"),
        pytest.param(
            *("SAC", {**OFF_POLICY, "action_noise": {"type": "normal", "sigma": 0.1}}),
            "(1,) 0.0003",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_model_loads_with_the_library_alone(
    tmp_path: Path, algorithm: str, settings: dict[str, Any], printed: str
) -> None:
    run = config(algorithm, tmp_path / "run", hyperparameters=settings, normalize={})
    result = Trainer(run).train()
    command = [sys.executable, "-c", LOAD, str(result.model_path), algorithm]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.stdout.strip() == printed, done.stderr


def test_predictions_and_normalisation_are_saved(tmp_path: Path) -> None:
    Trainer(config("PPO", tmp_path, normalize={})).train()
    attempt = RunPaths(tmp_path).attempt(1)
    episodes = json.loads(attempt.predictions.read_text())["episodes"]
    statistics = json.loads(attempt.normalization.read_text())
    final = [record for record in journal(tmp_path) if record["kind"] == "evaluation"][-1]

    assert [episode["return"] for episode in episodes] == final["returns"]
    assert ["actions" in episode for episode in episodes] == [True, True, True, False]
    assert len(episodes[0]["actions"]) == episodes[0]["length"]
    assert len(statistics["observation"]["mean"]) == 4


@pytest.mark.parametrize("estimate_run", [rehearse, probe])
@pytest.mark.parametrize("algorithm", ["PPO", "DQN", "ARS"])
def test_a_rehearsal_estimates_the_whole_run_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str, estimate_run: Estimate
) -> None:
    importlib.import_module("torch._dynamo")  # the first import makes a folder of its own
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    run = RunKey("baseline", 5)
    estimate = estimate_run(run, config(algorithm, tmp_path / "run", hyperparameters={}))

    assert list(tmp_path.iterdir()) == []
    assert estimate.run == run
    assert estimate.planned_timesteps == (2048 if algorithm == "PPO" else 256)
    assert min(estimate.steps_per_second, estimate.memory_mb, estimate.disk_mb) > 0
    assert 0 <= estimate.shared_mb < estimate.memory_mb
    assert estimate.gpu_memory_mb is None


@pytest.mark.parametrize("algorithm", ["PPO", "A2C", "TRPO", "RecurrentPPO", "SAC", "TD3"])
def test_a_probe_takes_no_more_steps_than_it_must(
    monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    steps = []
    for environment in (CartPoleEnv, PendulumEnv):
        step = environment.step
        counted = partial(lambda step, *given: steps.append(1) or step(*given), step)
        monkeypatch.setattr(environment, "step", partialmethod(counted))
    long = replace(config(algorithm, n_envs=2), total_timesteps=10**6)
    estimate = probe(RunKey("baseline", 5), long)

    assert 0 < len(steps) < 500
    assert estimate.planned_timesteps >= 10**6
    assert estimate.training_seconds > 10


@pytest.mark.parametrize(
    ("algorithm", "small", "large", "mib"),
    [
        # 16 bytes of observation, 8 of action, 24 of numbers
        ("PPO", {"n_steps": 256}, {"n_steps": 10**6}, 48e6 / 2**20),
        # two observations of 16 bytes, 8 of action, 12 of numbers; a third of the room is used
        ("DQN", {"buffer_size": 3000}, {"buffer_size": 3 * 10**6}, 52e6 / 2**20),
    ],
)
def test_the_whole_buffer_counts_as_far_as_it_will_be_filled(
    algorithm: str, small: dict[str, Any], large: dict[str, Any], mib: float
) -> None:
    def memory_mb(settings: dict[str, Any]) -> float:
        given = config(algorithm, hyperparameters=settings)
        return probe(RunKey("baseline", 5), replace(given, total_timesteps=10**6)).memory_mb

    memory_mb(small)  # what is imported and allocated once

    assert memory_mb(large) - memory_mb(small) == pytest.approx(mib, abs=6)


class Slow(CartPoleEnv):
    """Takes its time."""

    moments: ClassVar[list[float]] = []
    """When each step was over."""

    def step(self, action: Any) -> Any:
        time.sleep(0.02)
        Slow.moments.append(time.perf_counter())
        return super().step(action)


gym.register("SlowCartPole-v0", Slow, max_episode_steps=500)


def test_a_slow_environment_is_probed_with_fewer_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "LAP_SECONDS", 0.2)
    monkeypatch.setattr(Slow, "moments", [])
    protocol = EvaluationProtocol(1000, 1, final_episodes=1)
    slow = config("PPO", environment="SlowCartPole-v0", hyperparameters={}, evaluation=protocol)
    estimate = probe(RunKey("baseline", 5), slow)

    assert 2 <= len(Slow.moments) < 40
    slowest = max(later - earlier for earlier, later in pairwise(Slow.moments))
    assert 0.5 / slowest < estimate.steps_per_second < 50
