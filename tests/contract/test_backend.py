"""What every backend promises, asked of each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import pytest
from gymnasium.envs.classic_control import CartPoleEnv

from src.experiments.domain.errors import UsageError
from src.experiments.domain.paths import AttemptPaths
from src.experiments.domain.records import EvaluationProtocol, TrainerConfig
from src.experiments.durability.segments import SegmentWriter
from src.experiments.training.backend import (
    BACKENDS,
    Backend,
    Metrics,
    NotRestoredError,
    Resumption,
    StopTraining,
    Trained,
    create_backend,
)
from tests.checkpoint_bytes import pack, unpack
from tests.language import EASY, QUICK, needs_trl, newborn

pytestmark = pytest.mark.integration

CONFIG = TrainerConfig(
    "A2C",
    "CartPole-v1",
    60,
    seed=1,
    hyperparameters={"policy_kwargs": {"net_arch": [8]}},
    evaluation=EvaluationProtocol(30, 1, final_episodes=1),
)


@dataclass(frozen=True)
class Subject:
    """A backend, and configurations for it of 60 steps, with a boundary every tenth at least."""

    backend: str
    policy: str
    configure: Callable[[int], TrainerConfig]
    """The configuration of a model that is so wide."""
    width: int

    def create(self, width: int | None = None) -> Backend:
        return create_backend(self.backend, self.configure(width or self.width))


def a2c(width: int) -> TrainerConfig:
    return replace(CONFIG, hyperparameters={"policy_kwargs": {"net_arch": [width]}})


def grpo(width: int) -> TrainerConfig:
    own = {"model_name": newborn("arithmetic", width), "num_iterations": 5}
    return replace(
        CONFIG,
        algorithm="GRPO",
        environment="arithmetic",
        environment_kwargs=EASY,
        hyperparameters={**QUICK, **own},
        device="cpu",
    )


SUBJECTS = {
    "sb3": Subject("sb3", "MlpPolicy", a2c, 8),
    "trl": Subject("trl", "CausalLM", grpo, 16),
}
ALL = [
    pytest.param(SUBJECTS[name], id=name, marks=[needs_trl, pytest.mark.slow] * (name == "trl"))
    for name in BACKENDS
]


class Listening(CartPoleEnv):
    """Notes, at each of its steps, what it is told to ask."""

    ask: ClassVar[Callable[[], int]] = staticmethod(lambda: 0)
    heard: ClassVar[list[int]] = []

    def step(self, action: Any) -> Any:
        self.heard.append(type(self).ask())
        return super().step(action)


class Unrepeatable(CartPoleEnv):
    """Begins where no generator tells."""

    def step(self, action: Any) -> Any:
        observation, *rest = super().step(action)
        return observation + os.urandom(1)[0] / 1000, *rest


gym.register("Listening-v0", Listening, max_episode_steps=500)
gym.register("Unrepeatable-v0", Unrepeatable, max_episode_steps=500)


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


@pytest.fixture(params=ALL)
def subject(request: pytest.FixtureRequest) -> Subject:
    return request.param


@pytest.fixture
def backend(subject: Subject) -> Iterator[Backend]:
    with closing(subject.create()) as created:
        yield created


def test_it_describes_what_it_built(subject: Subject, backend: Backend) -> None:
    description = backend.build()

    assert description.planned_timesteps == 60
    assert description.parameters > 0
    assert (description.policy, description.device) == (subject.policy, "cpu")


def test_it_tells_the_observer_at_the_steps_asked_for(backend: Backend) -> None:
    backend.build()
    observer = Watching(20)
    trained = backend.train(observer)

    assert [step for step, _ in observer.seen] == [20, 40]
    assert trained.step == 60


def test_it_stops_when_told_to(backend: Backend) -> None:
    backend.build()

    assert backend.train(Watching(10, stop_at=30)).step == 30


def test_equal_configurations_give_equal_parameters(subject: Subject, backend: Backend) -> None:
    def train(one: Backend) -> str:
        one.build()
        one.train(Watching(1000))
        return one.parameters_sha256()

    with closing(subject.create()) as other:
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


class Saving(Watching):
    """An observer that also takes the state, packed as a file would hold it, where it is told."""

    def __init__(self, backend: Backend, directory: Path, interval: int) -> None:
        super().__init__(interval)
        self.states: dict[int, bytes] = {}
        self._backend = backend
        self._writer = SegmentWriter(directory, "experience")

    def observe(self, step: int, collect: Callable[[], Metrics]) -> None:
        super().observe(step, collect)
        self.states[step] = pack(self._backend.capture(self._writer))


class Restoring(Watching):
    """An observer of a run that goes on."""

    def __init__(self, interval: int, data: bytes, directory: Path) -> None:
        super().__init__(interval)
        self.reasons: list[str | None] = []
        state = unpack(data, directory / "state")
        self.resumption = Resumption(state, directory, self._on_restored)

    def _on_restored(self, why_inexact: str | None) -> None:
        assert self.seen == []
        self.reasons.append(why_inexact)


def saved_states(backend: Backend, directory: Path) -> tuple[Saving, Trained]:
    backend.build()
    observer = Saving(backend, directory, 20)
    return observer, backend.train(observer, tells_state=True)


@pytest.fixture
def fresh(subject: Subject) -> Iterator[Backend]:
    """Another backend with the same configuration, built."""
    with closing(subject.create()) as created:
        created.build()
        yield created


def test_a_fresh_one_that_takes_a_state_over_ends_as_the_first_did(
    backend: Backend, fresh: Backend, tmp_path: Path
) -> None:
    first, trained = saved_states(backend, tmp_path)
    observer = Restoring(20, first.states[20], tmp_path)
    observer.next_step = 40
    result = fresh.train(observer, resumption=observer.resumption, tells_state=True)

    assert observer.reasons == [None]
    assert observer.seen == [row for row in first.seen if row[0] > 20]
    assert result == trained
    assert fresh.parameters_sha256() == backend.parameters_sha256()
    assert fresh.evaluate([1], deterministic=False) == backend.evaluate([1], deterministic=False)


def test_a_state_that_was_taken_over_can_be_told_again(
    backend: Backend, fresh: Backend, tmp_path: Path
) -> None:
    first, _ = saved_states(backend, tmp_path / "first")
    resumption = Restoring(20, first.states[20], tmp_path / "first").resumption
    second = Saving(fresh, tmp_path / "second", 20)
    second.next_step = 40
    fresh.train(second, resumption=resumption, tells_state=True)

    assert list(second.states) == [40]
    assert fresh.why_inexact is backend.why_inexact is None


def test_telling_the_state_changes_nothing(
    subject: Subject, backend: Backend, tmp_path: Path
) -> None:
    backend.build()
    watching = Watching(20)
    trained = backend.train(watching)
    with closing(subject.create()) as other:
        observer, told = saved_states(other, tmp_path)

        assert (observer.seen, told) == (watching.seen, trained)
        assert other.parameters_sha256() == backend.parameters_sha256()


@pytest.mark.parametrize("data", [{}, {"weights": b"of another library"}])
def test_a_state_that_is_none_is_not_restored(
    fresh: Backend, tmp_path: Path, data: dict[str, Any]
) -> None:
    observer = Restoring(20, pack(data), tmp_path)

    with pytest.raises(NotRestoredError):
        fresh.train(observer, resumption=observer.resumption)
    assert observer.seen == observer.reasons == []


def test_without_a_part_that_is_needed_a_state_is_not_restored(
    subject: Subject, backend: Backend, tmp_path: Path
) -> None:
    first, _ = saved_states(backend, tmp_path)
    state = unpack(first.states[20], tmp_path)
    refused = []
    for part in state:
        rest = {name: value for name, value in state.items() if name != part}
        observer = Restoring(20, pack(rest), tmp_path)
        with closing(subject.create()) as other:
            other.build()
            try:
                other.train(observer, resumption=observer.resumption)
            except NotRestoredError:
                refused.append(part)
            else:
                assert other.parameters_sha256() == backend.parameters_sha256()

    assert len(refused) > len(state) / 2


def test_the_state_of_another_model_is_not_restored(
    subject: Subject, backend: Backend, tmp_path: Path
) -> None:
    first, _ = saved_states(backend, tmp_path)
    observer = Restoring(20, first.states[20], tmp_path)

    with closing(subject.create(subject.width + 8)) as other:
        other.build()
        with pytest.raises(NotRestoredError, match="size mismatch"):
            other.train(observer, resumption=observer.resumption)


def test_an_environment_that_cannot_be_told_begins_anew_and_says_why(tmp_path: Path) -> None:
    config = replace(CONFIG, environment="Unrepeatable-v0")
    with closing(create_backend("sb3", config)) as one:
        first, _ = saved_states(one, tmp_path)
        why_inexact = one.why_inexact
    observer = Restoring(20, first.states[40], tmp_path)
    with closing(create_backend("sb3", config)) as other:
        other.build()
        trained = other.train(observer, resumption=observer.resumption, tells_state=True)

    assert why_inexact is not None
    assert "a copy of the environment gave another observation" in why_inexact
    assert observer.reasons == [why_inexact]
    assert trained.step == 60


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
