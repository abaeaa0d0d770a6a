"""What every backend promises, asked of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import pytest
from gymnasium.envs.classic_control import CartPoleEnv

from src.experiments.domain.errors import UsageError
from src.experiments.domain.paths import AttemptPaths
from src.experiments.domain.records import EvaluationProtocol, TrainerConfig
from src.experiments.training.backend import (
    BACKENDS,
    Backend,
    Metrics,
    StopTraining,
    create_backend,
)

pytestmark = pytest.mark.integration

CONFIG = TrainerConfig(
    "A2C",
    "CartPole-v1",
    60,
    seed=1,
    hyperparameters={"policy_kwargs": {"net_arch": [8]}},
    evaluation=EvaluationProtocol(30, 1, final_episodes=1),
)


class Listening(CartPoleEnv):
    """Notes, at each of its steps, what it is told to ask."""

    ask: ClassVar[Callable[[], int]] = staticmethod(lambda: 0)
    heard: ClassVar[list[int]] = []

    def step(self, action: Any) -> Any:
        self.heard.append(type(self).ask())
        return super().step(action)


gym.register("Listening-v0", Listening, max_episode_steps=500)


class Watching:
    """An observer that wants to be told every so many steps, and may stop at one."""

    def __init__(self, interval: int, stop_at: int | None = None) -> None:
        self.next_step = interval
        self.seen: list[tuple[int, Metrics]] = []
        self._interval, self._stop_at = interval, stop_at

    def observe(self, step: int, collect: Callable[[], Metrics]) -> None:
        self.seen.append((step, collect()))
        self.next_step = step + self._interval
        if step == self._stop_at:
            raise StopTraining


@pytest.fixture(params=list(BACKENDS))
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    with closing(create_backend(request.param, CONFIG)) as created:
        yield created


def test_it_describes_what_it_built(backend: Backend) -> None:
    description = backend.build()

    assert description.planned_timesteps == 60
    assert description.parameters > 0
    assert (description.policy, description.device) == ("MlpPolicy", "cpu")


def test_it_tells_the_observer_at_the_steps_asked_for(backend: Backend) -> None:
    backend.build()
    observer = Watching(20)
    trained = backend.train(observer)

    assert [step for step, _ in observer.seen] == [20, 40]
    assert trained.step == 60


def test_it_stops_when_told_to(backend: Backend) -> None:
    backend.build()

    assert backend.train(Watching(10, stop_at=30)).step == 30


def test_equal_configurations_give_equal_parameters(backend: Backend) -> None:
    def train(one: Backend) -> str:
        one.build()
        one.train(Watching(1000))
        return one.parameters_sha256()

    with closing(create_backend("sb3", CONFIG)) as other:
        assert train(backend) == train(other)


def test_training_changes_the_parameters_and_evaluation_does_not(backend: Backend) -> None:
    backend.build()
    untrained = backend.parameters_sha256()
    backend.train(Watching(1000))
    trained = backend.parameters_sha256()
    episodes = backend.evaluate([11, 12], deterministic=False)

    assert untrained != trained == backend.parameters_sha256()
    assert [episode.seed for episode in episodes] == [11, 12]


def test_evaluation_repeats_itself(backend: Backend) -> None:
    backend.build()

    assert backend.evaluate([3, 4], deterministic=False) == backend.evaluate(
        [3, 4], deterministic=False
    )


def test_it_saves_a_model_under_its_final_name(backend: Backend, tmp_path: Path) -> None:
    backend.build()
    backend.save(AttemptPaths(tmp_path))

    assert [file.name for file in tmp_path.iterdir()] == ["model_final.zip"]


ALGORITHMS: dict[str, dict[str, Any]] = {
    "A2C": {},
    "PPO": {"n_steps": 30, "batch_size": 10, "n_epochs": 4},
    "RecurrentPPO": {"n_steps": 30, "batch_size": 10, "n_epochs": 1},
    "TRPO": {"n_steps": 30, "batch_size": 10},
    "DQN": {"learning_starts": 10, "buffer_size": 100, "batch_size": 4},
    "QRDQN": {"learning_starts": 10, "buffer_size": 100, "batch_size": 4},
    "ARS": {"n_delta": 2},
}


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, int], Backend]]:
    """Backends whose environments hear of their activity; closed with the test."""
    monkeypatch.setattr(Listening, "heard", [])
    created: list[Backend] = []

    def create(algorithm: str, n_envs: int) -> Backend:
        config = replace(
            CONFIG,
            algorithm=algorithm,
            environment="Listening-v0",
            hyperparameters=ALGORITHMS[algorithm],
            n_envs=n_envs,
        )
        created.append(create_backend("sb3", config))
        monkeypatch.setattr(Listening, "ask", staticmethod(created[-1].activity))
        return created[-1]

    yield create
    for each in created:
        each.close()


@pytest.mark.parametrize("n_envs", [1, 2])
@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_every_step_of_an_environment_is_activity(
    listening: Callable[[str, int], Backend], algorithm: str, n_envs: int
) -> None:
    backend = listening(algorithm, n_envs)
    backend.build()
    Listening.heard.clear()
    backend.train(Watching(1000))
    trained = len(Listening.heard)
    backend.evaluate([1, 2, 3], deterministic=True)

    assert trained >= 60
    assert len(Listening.heard) > trained
    assert Listening.heard == sorted(set(Listening.heard))


def test_every_gradient_step_is_activity(listening: Callable[[str, int], Backend]) -> None:
    backend = listening("PPO", 1)
    backend.build()
    Listening.heard.clear()
    backend.train(Watching(1000))
    leaps = [after - before for before, after in pairwise(Listening.heard)]

    # between two of the rollouts lies one update: 4 passes over 3 minibatches
    assert sum(leap > 12 for leap in leaps) == 1


def test_what_is_built_and_what_is_saved_is_activity(backend: Backend, tmp_path: Path) -> None:
    at_first = backend.activity()
    backend.build()
    built = backend.activity()
    backend.save(AttemptPaths(tmp_path))

    assert at_first < built < backend.activity()


@pytest.mark.parametrize(
    ("algorithm", "at_least"),
    # a 32-bit observation of four numbers, kept once or twice
    [("PPO", 30 * 16), ("DQN", 100 * 32), ("ARS", 0)],
)
def test_it_tells_what_its_experience_weighs(
    listening: Callable[[str, int], Backend], algorithm: str, at_least: int
) -> None:
    backend = listening(algorithm, 1)
    backend.build()

    assert at_least <= backend.experience_bytes() <= 3 * at_least


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown backend 'jax'"):
        create_backend("jax", CONFIG)
