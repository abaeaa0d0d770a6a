"""Batched evaluation: every seed gets its episode, whatever the batch looks like."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from src.experiments.domain.errors import NonFiniteError
from src.experiments.training import evaluation
from src.experiments.training.evaluation import (
    Episode,
    RecurrentState,
    RewardMeter,
    evaluation_point,
    parallel,
    play,
    stack,
)
from src.experiments.training.heartbeat import Tally


class SeededLength(gym.Env[np.ndarray, int]):
    """Lasts as many steps as its seed says and pays its seed each step."""

    observation_space = spaces.Box(0, 100, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self._seed, self._step = seed or 0, 0
        return np.full(2, self._seed, np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self._step += 1
        observation = np.full(2, self._seed, np.float32)
        return observation, float(self._seed), self._step >= self._seed, False, {}


class Counting:
    """A recurrent policy whose state counts the steps of each episode."""

    def __init__(self) -> None:
        self.counted: list[tuple[int, int]] = []
        self.batches: list[int] = []

    def act(
        self, observations: np.ndarray, state: RecurrentState | None, starts: np.ndarray, _: bool
    ) -> tuple[np.ndarray, RecurrentState | None]:
        counts = np.zeros((1, len(starts), 1)) if state is None else state[0]
        counts = np.where(starts[None, :, None], 0, counts) + 1
        seeds = observations[:, 0].astype(int)
        self.counted += zip(seeds.tolist(), counts[0, :, 0].astype(int).tolist(), strict=True)
        self.batches.append(len(starts))
        return np.zeros(len(starts), int), (counts,)


def metered() -> gym.Env[Any, Any]:
    return RewardMeter(SeededLength())


SEEDS = [5, 2, 9, 1, 3, 7]


@pytest.mark.parametrize("side_by_side", [1, 2, 4, 100])
def test_each_seed_gets_its_own_episode(monkeypatch: pytest.MonkeyPatch, side_by_side: int) -> None:
    monkeypatch.setattr(evaluation, "MAX_PARALLEL", side_by_side)
    episodes = play(Counting(), metered, SEEDS, deterministic=True)

    assert [episode.seed for episode in episodes] == SEEDS
    assert [episode.length for episode in episodes] == SEEDS
    assert [episode.reward_sum for episode in episodes] == [seed**2 for seed in SEEDS]


@pytest.mark.parametrize("side_by_side", [1, 3, 100])
def test_recurrent_state_stays_with_its_episode(
    monkeypatch: pytest.MonkeyPatch, side_by_side: int
) -> None:
    monkeypatch.setattr(evaluation, "MAX_PARALLEL", side_by_side)
    policy = Counting()
    play(policy, metered, SEEDS, deterministic=True)

    assert sorted(policy.counted) == sorted(
        (seed, step) for seed in SEEDS for step in range(1, seed + 1)
    )


def test_finished_environments_leave_the_batch() -> None:
    policy = Counting()
    play(policy, metered, SEEDS, deterministic=True)

    assert policy.batches == [6, 5, 4, 3, 3, 2, 2, 1, 1]


def test_each_reset_step_and_close_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "MAX_PARALLEL", 2)
    tally = Tally()
    play(Counting(), metered, SEEDS, deterministic=True, tally=tally)

    assert tally.count == len(SEEDS) + sum(SEEDS) + 2


def test_rewards_count_before_any_wrapper_changes_them() -> None:
    def clipped() -> gym.Env[Any, Any]:
        return gym.wrappers.ClipReward(metered(), max_reward=1.0)

    episodes = play(Counting(), clipped, [4], deterministic=True)

    assert episodes[0].reward_sum == 16.0


def test_an_episode_without_end_is_cut_where_no_limit_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(evaluation, "LONGEST_EPISODE", 3)
    episodes = play(Counting(), metered, [50], deterministic=True)

    assert (episodes[0].length, episodes[0].reward_sum) == (3, 150.0)


def test_an_environment_s_own_limit_counts() -> None:
    def limited() -> gym.Env[Any, Any]:
        return gym.wrappers.TimeLimit(metered(), 4)

    assert play(Counting(), limited, [50], deterministic=True)[0].length == 4


def test_images_are_played_a_few_at_a_time() -> None:
    class Images(SeededLength):
        observation_space = spaces.Box(0, 255, (84, 84, 4), np.uint8)  # type: ignore[assignment]

    assert parallel(Images(), 100) == 9
    assert parallel(SeededLength(), 100) == 100
    assert parallel(SeededLength(), 10) == 10


def test_dictionary_observations_are_stacked_by_key() -> None:
    space = spaces.Dict({"a": spaces.Box(0, 1, (2,), np.float32), "b": spaces.Discrete(3)})
    batch = stack(space, [{"a": [0.0, 1.0], "b": 1}, {"a": [1.0, 0.0], "b": 2}])

    assert batch["a"].shape == (2, 2)
    assert batch["a"].dtype == np.float32
    assert batch["b"].tolist() == [1, 2]


def test_a_return_that_is_not_finite_is_no_evaluation() -> None:
    with pytest.raises(NonFiniteError, match="at step 40"):
        evaluation_point([Episode(1, float("nan"), 3)], 40, final=False)
