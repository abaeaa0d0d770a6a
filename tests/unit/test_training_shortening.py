"""A short training stands in the same proportions as the long one."""

import pytest

from src.experiments.domain.records import TrainerConfig
from src.experiments.training import laps
from src.experiments.training.backend import StopTraining
from src.experiments.training.laps import LapTimer
from src.experiments.training.rehearsal import REHEARSED
from src.experiments.training.shortening import planned_timesteps, rows_kept, shortened


def config(algorithm, steps=100_000, n_envs=1, **hyperparameters):
    return TrainerConfig(
        algorithm, "CartPole-v1", steps, seed=0, n_envs=n_envs, hyperparameters=hyperparameters
    )


@pytest.mark.parametrize(
    ("given", "planned", "kept"),
    [
        (config("PPO"), 100_352, 2048),
        (config("PPO", n_envs=4, n_steps=100), 100_000, 400),
        (config("A2C", 3), 5, 5),
        (config("DQN", buffer_size=5000, train_freq=7), 100_002, 5000),
        (config("DQN", 3000), 3000, 3000),
        (config("SAC", 101, train_freq=[10, "step"]), 110, 110),
        (config("SAC", 101, train_freq=[1, "episode"]), 101, 101),
        (config("ARS"), 100_000, 0),
    ],
)
def test_planned_steps_and_the_experience_they_leave(given, planned, kept):
    assert planned_timesteps(given) == planned
    assert rows_kept(given, planned) == kept


@pytest.mark.parametrize(
    ("given", "frequency", "updates"),
    [
        ({}, None, None),
        ({"train_freq": 100, "gradient_steps": 20}, 50, 10),
        ({"train_freq": [200, "step"], "gradient_steps": 1}, 50, 1),
        ({"train_freq": 64, "gradient_steps": -1}, 50, -1),
        ({"train_freq": [1, "episode"], "gradient_steps": -1}, 50, -1),
        ({"train_freq": [1, "episode"], "gradient_steps": 8}, [1, "episode"], 8),
    ],
)
def test_updates_are_as_frequent_as_in_the_whole(given, frequency, updates):
    short = shortened(config("SAC", **given), REHEARSED)

    assert short.hyperparameters.get("train_freq") == frequency
    assert short.hyperparameters.get("gradient_steps") == updates
    assert short.run_dir is None


def test_it_is_no_longer_than_the_whole():
    short = shortened(config("PPO", 80, n_steps=20), REHEARSED, steps=256)

    assert (short.total_timesteps, short.hyperparameters["n_steps"]) == (80, 20)


def timed(monkeypatch, timer, *reached):
    """Let a timer see steps at given seconds; whether it stopped at the last of them."""
    for step, seconds in reached:
        monkeypatch.setattr(laps.time, "perf_counter", lambda seconds=seconds: seconds)
        if step == 0:
            timer.lap(0)
            continue
        try:
            timer.observe(step, dict)
        except StopTraining:
            return True
    return False


def test_steps_before_and_after_the_first_update_are_told_apart(monkeypatch):
    timer = LapTimer(updates_begin=20)
    timed(monkeypatch, timer, (0, 0), (10, 5), (20, 6), (30, 20), (40, 30), (50, 40))

    assert timer.seconds_per_step(updating=False) == 0.1
    assert timer.seconds_per_step(updating=True) == 1.0


def test_one_lap_is_better_than_none(monkeypatch):
    timer = LapTimer(updates_begin=0)
    timed(monkeypatch, timer, (0, 0), (10, 5))

    assert timer.seconds_per_step(updating=True) == 0.5


@pytest.mark.parametrize(
    ("reached", "stops"),
    [
        ([(0, 0), (10, 0.05), (20, 0.09)], False),
        ([(0, 0), (10, 0.2)], False),
        ([(0, 0), (10, 0.2), (20, 0.25)], True),
        ([(0, 0), (10, 6)], True),
    ],
)
def test_it_stops_when_two_laps_are_timed_or_patience_ends(monkeypatch, reached, stops):
    timer = LapTimer(0, enough_seconds=0.1, longest_seconds=5)

    assert timed(monkeypatch, timer, *reached) is stops
