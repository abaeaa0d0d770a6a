"""What every backend promises, asked of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

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


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown backend 'jax'"):
        create_backend("jax", CONFIG)
