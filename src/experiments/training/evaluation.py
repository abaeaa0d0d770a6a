"""Episodes played in a batch, on environments of their own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from ..domain import metric_names
from ..domain.errors import NonFiniteError
from ..domain.records import EvaluationPoint
from .heartbeat import Tally

MAX_PARALLEL = 100
OBSERVATION_BUDGET_BYTES = 256 * 1024
"""Observations of one batched step: images are played a few at a time."""
LONGEST_EPISODE = 10_000
"""Steps after which an episode is cut where the environment itself sets no limit."""
EPISODES_WITH_ACTIONS = 3

Environment = gym.Env[Any, Any]
RecurrentState = tuple[np.ndarray, ...]
"""Arrays of shape (layers, episodes, units)."""


@dataclass
class Episode:
    """One evaluation episode."""

    seed: int
    reward_sum: float = 0.0
    """Undiscounted, as the innermost environment paid it."""
    length: int = 0
    actions: list[Any] | None = None
    """Kept for the first few episodes only."""
    text: str | None = None
    """What was said in it, where a language model speaks; of the first few episodes only."""


class Policy(Protocol):
    """What is evaluated."""

    def act(
        self,
        observations: Any,
        state: RecurrentState | None,
        starts: np.ndarray,
        deterministic: bool,
    ) -> tuple[np.ndarray, RecurrentState | None]:
        """Actions for a batch of raw observations; `starts` marks first steps of episodes."""


class RewardMeter(gym.Wrapper[Any, Any, Any, Any]):
    """Sums what the environment pays before any wrapper changes it."""

    reward_sum = 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode at zero."""
        self.reward_sum = 0.0
        return super().reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step, and add the reward."""
        result = super().step(action)
        self.reward_sum += float(result[1])
        return result


@dataclass
class _Seat:
    """One of the environments that are played side by side."""

    environment: Environment
    meter: RewardMeter
    limit: float
    tally: Tally
    episode: Episode = field(default_factory=lambda: Episode(0))
    observation: Any = None

    def sit(self, episode: Episode) -> None:
        self.episode = episode
        self.observation, _ = self.environment.reset(seed=episode.seed)
        self.tally.count += 1

    def step(self, action: Any) -> bool:
        """Play one step; whether the episode goes on."""
        self.observation, _, terminated, truncated, _ = self.environment.step(action)
        self.tally.count += 1
        episode = self.episode
        episode.length += 1
        if episode.actions is not None:
            episode.actions.append(np.asarray(action).tolist())
        if not (terminated or truncated or episode.length >= self.limit):
            return True
        episode.reward_sum = self.meter.reward_sum
        return False


def play(
    policy: Policy,
    make_environment: Callable[[], Environment],
    seeds: Sequence[int],
    *,
    deterministic: bool,
    tally: Tally | None = None,
) -> list[Episode]:
    """Play one episode a seed, many side by side; the episodes come back in the seeds' order.

    Finished environments take the next seed, or leave the batch when none waits. Each reset, step
    and close of an environment is counted in `tally`.
    """
    tally = tally or Tally()
    episodes = [Episode(seed) for seed in seeds]
    for episode in episodes[:EPISODES_WITH_ACTIONS]:
        episode.actions = []
    waiting = iter(episodes)
    seats = _seats(make_environment, waiting, len(episodes), tally)
    opened = list(seats)
    try:
        _play_all(policy, seats, waiting, deterministic)
    finally:
        for seat in opened:
            seat.environment.close()
            tally.count += 1
    return episodes


def _play_all(
    policy: Policy, seats: list[_Seat], waiting: Iterator[Episode], deterministic: bool
) -> None:
    space = seats[0].environment.observation_space
    state: RecurrentState | None = None
    starts = np.ones(len(seats), dtype=bool)
    while seats:
        observations = stack(space, [seat.observation for seat in seats])
        actions, state = policy.act(observations, state, starts, deterministic)
        starts = np.zeros(len(seats), dtype=bool)
        left = []
        for index, seat in enumerate(seats):
            if seat.step(actions[index]):
                continue
            following = next(waiting, None)
            if following is None:
                left.append(index)
            else:
                seat.sit(following)
                starts[index] = True
        if left:
            seats = [seat for index, seat in enumerate(seats) if index not in left]
            starts = np.delete(starts, left)
            state = None if state is None else tuple(np.delete(part, left, 1) for part in state)


def _seats(
    make_environment: Callable[[], Environment],
    waiting: Iterator[Episode],
    episodes: int,
    tally: Tally,
) -> list[_Seat]:
    seats: list[_Seat] = []
    while len(seats) < (parallel(seats[0].environment, episodes) if seats else 1):
        episode = next(waiting, None)
        if episode is None:
            break
        seat = _seat(make_environment(), tally)
        seats.append(seat)
        seat.sit(episode)
    return seats


def _seat(environment: Environment, tally: Tally) -> _Seat:
    limited = False
    layer: Environment = environment
    while not isinstance(layer, RewardMeter):
        limited = limited or isinstance(layer, gym.wrappers.TimeLimit)
        if not isinstance(layer, gym.Wrapper):
            raise TypeError(f"{environment} has no RewardMeter")
        layer = layer.env
    spec = layer.spec
    limited = limited or (spec is not None and spec.max_episode_steps is not None)
    return _Seat(environment, layer, math.inf if limited else LONGEST_EPISODE, tally)


def parallel(environment: Environment, episodes: int) -> int:
    """How many environments are played side by side."""
    room = OBSERVATION_BUDGET_BYTES // max(_nbytes(environment.observation_space), 1)
    return max(1, min(episodes, MAX_PARALLEL, room))


def _nbytes(space: spaces.Space[Any]) -> int:
    if isinstance(space, spaces.Dict):
        return sum(_nbytes(part) for part in space.spaces.values())
    dtype = np.dtype(space.dtype if space.dtype is not None else np.float64)
    return int(np.prod(space.shape or (1,))) * dtype.itemsize


def stack(space: spaces.Space[Any], observations: Sequence[Any]) -> Any:
    """Single observations as one batch, in the types of their space; dictionaries by key."""
    if isinstance(space, spaces.Dict):
        return {
            key: stack(part, [observation[key] for observation in observations])
            for key, part in space.spaces.items()
        }
    return np.array(observations, dtype=space.dtype)


def evaluation_metrics(episodes: Sequence[Episode]) -> dict[str, float]:
    """The metrics of one evaluation; the deviation is the population's."""
    sums = np.array([episode.reward_sum for episode in episodes])
    return {
        metric_names.EVAL_RETURN_MEAN: float(sums.mean()),
        metric_names.EVAL_RETURN_STD: float(sums.std()),
        metric_names.EVAL_LENGTH_MEAN: float(np.mean([episode.length for episode in episodes])),
    }


def evaluation_point(episodes: Sequence[Episode], step: int, *, final: bool) -> EvaluationPoint:
    """One evaluation as a point of the run's curve.

    Raises:
        NonFiniteError: when a return is a NaN or an infinity.
    """
    metrics = evaluation_metrics(episodes)
    if not math.isfinite(metrics[metric_names.EVAL_RETURN_MEAN]):
        raise NonFiniteError("return of an evaluation episode", step)
    return EvaluationPoint(
        step=step,
        return_mean=metrics[metric_names.EVAL_RETURN_MEAN],
        return_std=metrics[metric_names.EVAL_RETURN_STD],
        episode_length_mean=metrics[metric_names.EVAL_LENGTH_MEAN],
        episodes=len(episodes),
        final=final,
    )
