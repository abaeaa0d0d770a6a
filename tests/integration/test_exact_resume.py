"""A run that was interrupted and goes on from its checkpoint is the run it would have been."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.envs.classic_control import PendulumEnv

from src.experiments.domain.errors import RunStoppedError, StorageError
from src.experiments.domain.paths import RunPaths
from src.experiments.domain.records import (
    CheckpointProtocol,
    EvaluationProtocol,
    TrainerConfig,
    TrainingResult,
)
from src.experiments.durability.journal import Record, read_journal, without_wall_clock
from src.experiments.durability.segments import read_chunk
from src.experiments.training import Trainer
from tests.checkpoint_bytes import unpack

pytestmark = pytest.mark.integration

gym.register("ShortPendulum-v0", PendulumEnv, max_episode_steps=30)
CartPole, Pendulum = "CartPole-v1", "ShortPendulum-v0"
SMALL = {"net_arch": [8]}
LSTM = {"lstm_hidden_size": 4, "net_arch": [4]}
ROLLOUT = {"n_steps": 16, "batch_size": 8, "n_epochs": 2, "policy_kwargs": SMALL}
OFF_POLICY = {
    "learning_starts": 30,
    "train_freq": 4,
    "gradient_steps": 2,
    "buffer_size": 72,
    "batch_size": 8,
    "policy_kwargs": SMALL,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "PPO": ROLLOUT,
    "RecurrentPPO": {**ROLLOUT, "policy_kwargs": LSTM},
    "TRPO": {"n_steps": 16, "batch_size": 16, "policy_kwargs": SMALL},
    "A2C": {"policy_kwargs": SMALL},
    "ARS": {"n_delta": 2, "policy_kwargs": SMALL},
    **dict.fromkeys(["DQN", "QRDQN", "SAC", "TD3", "DDPG", "TQC", "CrossQ"], OFF_POLICY),
}
CONTINUOUS = {"SAC", "TD3", "DDPG", "TQC", "CrossQ"}
STEPS, FREQUENCY = 144, 24


def run_config(
    folder: Path, algorithm: str, environment: str | None = None, **fields: Any
) -> TrainerConfig:
    """A run of a few updates, with a checkpoint every few of them."""
    hyperparameters = {**SETTINGS[algorithm], **fields.pop("hyperparameters", {})}
    given: dict[str, Any] = {
        "seed": 5,
        "hyperparameters": hyperparameters,
        "evaluation": EvaluationProtocol(frequency=50, episodes=1, final_episodes=2),
        "run_dir": folder / "runs" / "baseline_seed5",
        "checkpoints": folder / "checkpoints" / "baseline_seed5",
        "checkpoint": CheckpointProtocol(frequency=FREQUENCY, keep=2),
        "total_timesteps": STEPS,
        **fields,
    }
    environment = environment or (Pendulum if algorithm in CONTINUOUS else CartPole)
    return TrainerConfig(algorithm, environment, **given)


COSTLY = ("TD3", "DDPG", "TQC", "CrossQ", "QRDQN", "RecurrentPPO", "TRPO", "ARS")


def slow(value: Any, *which: Any) -> Any:
    """A parameter that only the long tests take, if it is one of these."""
    return pytest.param(value, marks=pytest.mark.slow) if value in which else value


class PulledPlugError(Exception):
    """Ends a run without a chance to save anything."""


class Looking:
    """Counts how often training looks whether it is asked to stop, and interrupts it at one."""

    def __init__(self, interrupts_at: int | None = None, *, crashes: bool = True) -> None:
        self.count = 0
        self._interrupts_at = interrupts_at
        self._crashes = crashes

    def __call__(self) -> bool:
        self.count += 1
        if self._interrupts_at is None or self.count < self._interrupts_at:
            return False
        if self._crashes:
            raise PulledPlugError
        return True


def interrupted(config: TrainerConfig, looks: int, *, crashes: bool) -> None:
    with pytest.raises(PulledPlugError if crashes else RunStoppedError):
        Trainer(config, asked_to_stop=Looking(looks, crashes=crashes)).train()


def steps_of_starts(config: TrainerConfig) -> list[int]:
    """From which step each attempt went on; every one of them exactly."""
    assert config.run_dir is not None
    paths = RunPaths(config.run_dir)
    starts = [json.loads(paths.attempt(k).start.read_text()) for k in paths.attempts()]
    assert [start["why_inexact"] for start in starts] == [None] * len(starts)
    return [start["step"] for start in starts]


def trained_in_parts(
    config: TrainerConfig, *looks: int, crashes: bool, **changes: Any
) -> TrainingResult:
    """The run, interrupted after so many looks of each attempt but the last, which may differ."""
    for attempt, each in enumerate(looks, 1):
        interrupted(replace(config, attempt=attempt), each, crashes=crashes)
    result = Trainer(replace(config, attempt=len(looks) + 1, **changes)).train()
    starts = steps_of_starts(config)
    assert starts[0] == 0 < starts[-1] < result.total_timesteps
    assert starts == sorted(starts)
    return result


def journal(config: TrainerConfig) -> list[Record]:
    assert config.run_dir is not None
    return [without_wall_clock(each) for each in read_journal(RunPaths(config.run_dir).journal)]


def predictions(config: TrainerConfig, attempt: int) -> Any:
    assert config.run_dir is not None
    return json.loads(RunPaths(config.run_dir).attempt(attempt).predictions.read_text())


def states(config: TrainerConfig) -> dict[int, dict[str, Any]]:
    """What the kept checkpoints hold by step, without clocks and places of files."""
    return {int(path.stem.rpartition("_")[2]): state_in(path, config) for path in saved(config)}


def saved(config: TrainerConfig) -> list[Path]:
    """The kept checkpoints, oldest first."""
    assert config.checkpoints is not None
    found = config.checkpoints.glob("checkpoint_*.pkl")
    return sorted(found, key=lambda path: int(path.stem.rpartition("_")[2]))


def state_in(path: Path, config: TrainerConfig) -> dict[str, Any]:
    state = unpack(path.read_bytes(), path)
    training = state["training"]
    rows = config.hyperparameters.get("buffer_size", 0) // config.n_envs
    return {
        "policy": training["model"]["policy"],
        "optimizers": training["model"]["optimizers"],
        "generators": training["generators"],
        "experience": stored_experience(path.parent, training["experience"], rows),
        "points": state["recorder"]["points"],
        "next": (state["recorder"]["next_row"], state["recorder"]["next_evaluation"]),
        "journal_bytes": state["journal_bytes"] > 0,
    }


def stored_experience(directory: Path, state: Any, rows: int) -> dict[str, bytes]:
    """The columns of a replay buffer, oldest row first, whatever chunks they lie in."""
    if state is None:
        return {}
    chunks = state["chunks"]
    assert all(one["end"] == other["first"] for one, other in pairwise(chunks))
    assert chunks[-1]["end"] == state["written"]
    arrays = [read_chunk(directory, each["chunk"]) for each in chunks]
    return {
        name: np.concatenate([each[name] for each in arrays])[-rows:].tobytes()
        for name in arrays[0]
    }


def assert_equal_runs(ours: TrainerConfig, attempts: int, theirs: TrainerConfig) -> None:
    assert journal(ours) == journal(theirs)
    assert predictions(ours, attempts) == predictions(theirs, 1)
    mine, others = states(ours), states(theirs)
    both = mine.keys() & others.keys()
    assert both
    assert [mine[step] for step in both] == [others[step] for step in both]


def assert_exact(
    folder: Path,
    algorithm: str,
    environment: str | None = None,
    *,
    parts: tuple[float, ...] = (0.6,),
    crashes: bool = True,
    **fields: Any,
) -> None:
    """Train undisturbed and in parts, and compare everything that a run leaves."""
    undisturbed = run_config(folder / "undisturbed", algorithm, environment, **fields)
    looking = Looking()
    expected = Trainer(undisturbed, asked_to_stop=looking).train()
    looks = [round(part * looking.count) for part in parts]
    config = run_config(folder / "parts", algorithm, environment, **fields)
    result = trained_in_parts(config, *looks, crashes=crashes)

    assert result.parameters_sha256 == expected.parameters_sha256
    assert result.evaluations == expected.evaluations
    assert_equal_runs(config, len(parts) + 1, undisturbed)


@pytest.mark.parametrize("algorithm", ["PPO", slow("SAC", "SAC"), slow("DQN", "DQN")])
@pytest.mark.parametrize("accelerate", [True, False])
def test_acceleration_may_change_when_a_run_goes_on(
    tmp_path: Path, algorithm: str, accelerate: bool
) -> None:
    undisturbed = run_config(tmp_path / "undisturbed", algorithm, accelerate=not accelerate)
    looking = Looking()
    expected = Trainer(undisturbed, asked_to_stop=looking).train()
    looks = round(0.6 * looking.count)
    config = run_config(tmp_path / "parts", algorithm, accelerate=accelerate)
    result = trained_in_parts(config, looks, crashes=True, accelerate=not accelerate)

    assert result.parameters_sha256 == expected.parameters_sha256
    assert_equal_runs(config, 2, undisturbed)


# ---- every algorithm


@pytest.mark.parametrize("algorithm", [slow(each, *COSTLY) for each in SETTINGS])
def test_a_crashed_run_goes_on_exactly(tmp_path: Path, algorithm: str) -> None:
    assert_exact(tmp_path, algorithm, total_timesteps=500 if algorithm == "ARS" else STEPS)


@pytest.mark.parametrize("algorithm", ["PPO", "DQN"])
@pytest.mark.parametrize("part", [0.3, slow(0.5, 0.5), slow(0.9, 0.9)])
def test_a_stopped_run_goes_on_exactly(tmp_path: Path, algorithm: str, part: float) -> None:
    assert_exact(tmp_path, algorithm, parts=(part,), crashes=False)


@pytest.mark.parametrize("algorithm", ["A2C", slow("SAC", "SAC")])
def test_a_run_goes_on_exactly_as_often_as_it_is_interrupted(
    tmp_path: Path, algorithm: str
) -> None:
    assert_exact(tmp_path, algorithm, parts=(0.3, 0.3, 0.2))


@pytest.mark.parametrize("algorithm", ["PPO", slow("SAC", "SAC")])
def test_several_normalised_environments_go_on_exactly(tmp_path: Path, algorithm: str) -> None:
    assert_exact(
        tmp_path, algorithm, Pendulum, n_envs=3, normalize={"gamma": 0.9}, total_timesteps=3 * STEPS
    )


# ---- what algorithms may be told to do


class Pointing(PendulumEnv):
    """Shows its state in parts."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.observation_space: spaces.Space[Any] = spaces.Dict(
            {"angle": spaces.Box(-1, 1, (2,)), "speed": spaces.Box(-8, 8, (1,))}
        )

    def _get_obs(self) -> Any:
        seen = super()._get_obs()
        return {"angle": seen[:2], "speed": seen[2:]}


gym.register("PointingPendulum-v0", Pointing, max_episode_steps=30)

LINEAR = {"schedule": "linear", "initial": 1e-3, "final": 1e-5}
VARIATIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "state-dependent exploration": (
        "PPO",
        Pendulum,
        {"hyperparameters": {"use_sde": True, "sde_sample_freq": 4}},
    ),
    "state-dependent exploration off policy": (
        "SAC",
        Pendulum,
        {"hyperparameters": {"use_sde": True, "train_freq": 8, "gradient_steps": 2}},
    ),
    "noise with a memory": (
        "TD3",
        Pendulum,
        {"hyperparameters": {"action_noise": {"type": "ornstein-uhlenbeck", "sigma": 0.3}}},
    ),
    "noise with a memory in several environments": (
        "DDPG",
        Pendulum,
        {
            "hyperparameters": {"action_noise": {"type": "ornstein-uhlenbeck", "sigma": 0.3}},
            "n_envs": 3,
        },
    ),
    "schedules": (
        "PPO",
        CartPole,
        {"hyperparameters": {"learning_rate": LINEAR, "clip_range": "lin_0.2"}},
    ),
    "a schedule off policy": ("DQN", CartPole, {"hyperparameters": {"learning_rate": LINEAR}}),
    "updates after whole episodes": (
        "TD3",
        "PointingPendulum-v0",
        {
            "hyperparameters": {"train_freq": [1, "episode"], "gradient_steps": 4},
            "total_timesteps": 250,
        },
    ),
    "a buffer without next observations": (
        "DQN",
        CartPole,
        {
            "hyperparameters": {
                "optimize_memory_usage": True,
                "replay_buffer_kwargs": {"handle_timeout_termination": False},
            }
        },
    ),
    "observations in parts": ("SAC", "PointingPendulum-v0", {"n_envs": 2}),
    "observations in parts on policy": ("PPO", "PointingPendulum-v0", {"normalize": {}}),
    "a buffer that is filled anew between two checkpoints": (
        "DQN",
        CartPole,
        {"hyperparameters": {"buffer_size": 16, "learning_starts": 10}},
    ),
    "a buffer that is never full": ("DQN", CartPole, {"hyperparameters": {"buffer_size": 5000}}),
    "wrappers": (
        "PPO",
        Pendulum,
        {
            "wrappers": (
                {"name": "TimeLimit", "kwargs": {"max_episode_steps": 25}},
                {"name": "TimeAwareObservation"},
            )
        },
    ),
    "no acceleration": ("PPO", CartPole, {"accelerate": False}),
}
QUICK = {
    "state-dependent exploration",
    "noise with a memory",
    "schedules",
    "a buffer that is filled anew between two checkpoints",
}
"""Those that are not only for the long tests."""


@pytest.mark.parametrize(
    "variation",
    [slow(each, *(VARIATIONS.keys() - QUICK)) for each in VARIATIONS],
)
def test_a_run_goes_on_exactly_with(tmp_path: Path, variation: str) -> None:
    algorithm, environment, fields = VARIATIONS[variation]
    fields = {"total_timesteps": STEPS * fields.get("n_envs", 1), **fields}
    assert_exact(tmp_path, algorithm, environment, **fields)


# ---- which checkpoint


def test_a_run_that_has_no_checkpoint_yet_begins_anew(tmp_path: Path) -> None:
    undisturbed = run_config(tmp_path / "undisturbed", "PPO")
    expected = Trainer(undisturbed).train()
    config = run_config(tmp_path / "parts", "PPO")
    interrupted(config, 1, crashes=True)
    result = Trainer(replace(config, attempt=2)).train()

    assert steps_of_starts(config) == [0, 0]
    assert result.parameters_sha256 == expected.parameters_sha256
    assert_equal_runs(config, 2, undisturbed)


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("algorithm", ["PPO", slow("DQN", "DQN")])
def test_a_damaged_checkpoint_costs_no_more_than_the_way_to_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, algorithm: str
) -> None:
    undisturbed = run_config(tmp_path / "undisturbed", algorithm)
    looking = Looking()
    expected = Trainer(undisturbed, asked_to_stop=looking).train()
    config = run_config(tmp_path / "parts", algorithm)
    interrupted(config, round(0.9 * looking.count), crashes=True)
    before, newest = saved(config)
    flip_a_bit(newest)
    result = Trainer(replace(config, attempt=2)).train()

    assert steps_of_starts(config)[1] == int(before.stem.rpartition("_")[2])
    assert newest.name in caplog.text
    assert before.name in caplog.text
    assert result.parameters_sha256 == expected.parameters_sha256
    assert_equal_runs(config, 2, undisturbed)


def test_damaged_experience_gives_way_to_a_checkpoint_that_does_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    undisturbed = run_config(tmp_path / "undisturbed", "DQN")
    looking = Looking()
    expected = Trainer(undisturbed, asked_to_stop=looking).train()
    config = run_config(tmp_path / "parts", "DQN")
    interrupted(config, round(0.9 * looking.count), crashes=True)
    assert config.checkpoints is not None
    path = config.checkpoints / "experience-1-0.bin"
    path.write_bytes(path.read_bytes()[:-1])  # of the newest chunk
    result = Trainer(replace(config, attempt=2)).train()

    assert "stored experience is damaged" in caplog.text
    assert result.parameters_sha256 == expected.parameters_sha256
    assert_equal_runs(config, 2, undisturbed)


def test_where_all_are_damaged_training_does_not_begin_anew_by_itself(tmp_path: Path) -> None:
    config = run_config(tmp_path, "PPO")
    interrupted(config, 9, crashes=False)
    for path in saved(config):
        flip_a_bit(path)
    assert config.run_dir is not None
    before = RunPaths(config.run_dir).journal.read_bytes()

    with pytest.raises(StorageError, match="checkpoints can be used"):
        Trainer(replace(config, attempt=2)).train()
    assert RunPaths(config.run_dir).journal.read_bytes() == before
    assert RunPaths(config.run_dir).attempts() == [1, 2]


@pytest.mark.parametrize("algorithm", ["A2C", slow("SAC", "SAC")])
def test_checkpoints_change_no_bit_of_a_run(tmp_path: Path, algorithm: str) -> None:
    config = run_config(tmp_path, algorithm, checkpoint=CheckpointProtocol(frequency=1, keep=1))
    without = replace(config, checkpoints=None, run_dir=tmp_path / "without")

    assert Trainer(config).train().parameters_sha256 == Trainer(without).train().parameters_sha256
    assert journal(config) == journal(without)


# ---- at length

ENVIRONMENTS: dict[str, list[str]] = {
    CartPole: ["PPO", "A2C", "DQN", "RecurrentPPO"],
    "LunarLander-v3": ["PPO", "A2C", "DQN", "RecurrentPPO"],
    "Pendulum-v1": ["PPO", "A2C", "SAC", "TD3", "TQC", "RecurrentPPO"],
    "LunarLanderContinuous-v3": ["PPO", "SAC", "TD3", "TQC"],
    "BipedalWalker-v3": ["PPO", "A2C", "SAC", "TD3", "TQC"],
}
MATRIX = [
    (algorithm, environment)
    for environment, algorithms in ENVIRONMENTS.items()
    for algorithm in algorithms
]


@pytest.mark.slow
@pytest.mark.parametrize("normalize", [None, {}], ids=["raw", "normalised"])
@pytest.mark.parametrize("n_envs", [1, 4])
@pytest.mark.parametrize(("algorithm", "environment"), MATRIX)
def test_every_algorithm_goes_on_exactly_in_every_environment(
    tmp_path: Path,
    algorithm: str,
    environment: str,
    n_envs: int,
    normalize: dict[str, Any] | None,
) -> None:
    assert_exact(
        tmp_path,
        algorithm,
        environment,
        n_envs=n_envs,
        normalize=normalize,
        parts=(0.5, 0.3),
        total_timesteps=700 if algorithm not in CONTINUOUS else 300 * (1 + n_envs // 4),
        checkpoint=CheckpointProtocol(frequency=100, keep=2),
        wrappers=({"name": "TimeLimit", "kwargs": {"max_episode_steps": 80}},),
    )


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["PPO", "SAC"])
def test_a_simulation_of_mujoco_goes_on_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    pytest.importorskip("mujoco")
    monkeypatch.chdir(tmp_path)  # the simulator writes a log where it is
    assert_exact(
        tmp_path,
        algorithm,
        "HalfCheetah-v5",
        parts=(0.4, 0.3),
        n_envs=2,
        normalize={},
        total_timesteps=500,
    )


RESUME = """
import pickle, sys
from src.experiments.training import Trainer
print(Trainer(pickle.loads(sys.stdin.buffer.read())).train().parameters_sha256)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("algorithm", "environment"), [("PPO", "LunarLander-v3"), ("SAC", "Pendulum-v1")]
)
def test_another_process_goes_on_exactly(tmp_path: Path, algorithm: str, environment: str) -> None:
    undisturbed = run_config(tmp_path / "undisturbed", algorithm, environment)
    looking = Looking()
    expected = Trainer(undisturbed, asked_to_stop=looking).train()
    config = run_config(tmp_path / "parts", algorithm, environment)
    interrupted(config, looking.count // 2, crashes=True)
    done = subprocess.run(
        [sys.executable, "-c", RESUME],
        input=pickle.dumps(replace(config, attempt=2)),
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=True,
    )

    assert done.stdout.decode().split()[-1] == expected.parameters_sha256
    assert steps_of_starts(config)[1] > 0
    assert_equal_runs(config, 2, undisturbed)
