from __future__ import annotations

import warnings
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, get_args

import pytest

from src.experiments.config import (
    Configuration,
    audit,
    new_experiment_id,
    parse_experiment,
    planned_timesteps,
    resolve_environment,
    resolved_difference,
    trainer_config,
)
from src.experiments.config.models import PieceName
from src.experiments.domain.acceleration import Piece
from src.experiments.domain.errors import ConfigurationError
from src.experiments.domain.records import EvaluationProtocol
from src.experiments.domain.verdicts import Difference

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def arm(**changes: Any) -> Configuration:
    given = {"algorithm": "PPO", "environment": "CartPole-v1", "training_steps": 4096, "seed": 7}
    return Configuration(**{**given, **changes})


def pair(variant: dict[str, Any], **more: Any) -> Any:
    evaluation = {"evaluation": {"frequency": 1000}, "seeds": 5}
    arms = {"baseline_config": arm(), "variant_config": {"extends": "baseline", **variant}}
    return parse_experiment({**arms, **evaluation, **more})


def test_an_outdated_environment_runs_as_the_newest_version() -> None:
    assert resolve_environment("LunarLander-v2") == "LunarLander-v3"
    assert resolve_environment("CartPole") == "CartPole-v1"
    assert resolve_environment("Pendulum-v1") == "Pendulum-v1"


@pytest.mark.parametrize("env_id", ["CartPole-v9", "Nope-v0", "", "a b", "os:CartPole-v1"])
def test_an_environment_that_is_not_registered_is_refused(env_id: str) -> None:
    with pytest.raises(ConfigurationError):
        resolve_environment(env_id)


def test_the_difference_fills_in_the_librarys_defaults() -> None:
    written_out = {"learning_rate": 3e-4, "policy_kwargs": {"activation_fn": "Tanh"}}
    changed = {**written_out, "gamma": 0.9}

    assert resolved_difference(arm(), arm(hyperparameters=written_out)) == ()
    assert resolved_difference(arm(), arm(hyperparameters=changed, seed=9)) == (
        Difference("/hyperparameters/gamma", 0.99, 0.9, baseline_is_default=True),
    )


def test_a_schedule_and_a_constant_differ_and_equal_schedules_do_not() -> None:
    text = arm(hyperparameters={"learning_rate": "lin_3e-4"})
    data = arm(hyperparameters={"learning_rate": {"schedule": "linear", "initial": 3e-4}})

    assert resolved_difference(text, data) == ()
    assert [d.pointer for d in resolved_difference(arm(), text)] == [
        "/hyperparameters/learning_rate"
    ]


def test_the_policy_counts_by_what_is_really_trained() -> None:
    assert resolved_difference(arm(), arm(policy="MlpPolicy")) == ()


def test_between_algorithms_only_what_was_set_or_is_shared_is_named() -> None:
    differences = resolved_difference(
        arm(), arm(algorithm="A2C", hyperparameters={"rms_prop_eps": 1e-3})
    )

    found = {difference.pointer for difference in differences}
    assert {"/algorithm", "/hyperparameters/rms_prop_eps", "/hyperparameters/n_steps"} <= found
    assert "/hyperparameters/clip_range" not in found


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"training_steps": 1}, 2048),
        ({"training_steps": 2049, "n_envs": 2}, 4096),
        ({"algorithm": "A2C", "training_steps": 11, "n_envs": 4}, 20),
        ({"algorithm": "DQN", "training_steps": 10}, 12),
        ({"algorithm": "DQN", "training_steps": 10, "n_envs": 3}, 12),
        ({"algorithm": "ARS", "training_steps": 10}, 10),
        ({"algorithm": "SAC", "environment": "Pendulum-v1", "training_steps": 7}, 7),
        ({"algorithm": "SAC", "environment": "Pendulum-v1", "training_steps": 7,
          "hyperparameters": {"train_freq": [1, "episode"]}}, 7),
    ],
)  # fmt: skip
def test_steps_are_rounded_up_to_whole_rollouts(changes: dict[str, Any], expected: int) -> None:
    assert planned_timesteps(arm(**changes)) == expected


@pytest.mark.integration
@pytest.mark.parametrize(
    "changes",
    [
        {"n_envs": 2, "hyperparameters": {"n_steps": 8, "batch_size": 16}},
        {"algorithm": "A2C", "n_envs": 3},
        {"algorithm": "DQN", "n_envs": 2, "hyperparameters": {"train_freq": 5}},
        {"algorithm": "QRDQN", "hyperparameters": {"train_freq": 7, "buffer_size": 100}},
    ],
)
def test_the_library_trains_as_many_steps_as_planned(changes: dict[str, Any]) -> None:
    import sb3_contrib
    import stable_baselines3
    from stable_baselines3.common.env_util import make_vec_env

    configuration = arm(**{"training_steps": 33, **changes})
    name = configuration.algorithm
    kind = getattr(stable_baselines3, name, None) or getattr(sb3_contrib, name)
    environment = make_vec_env("CartPole-v1", configuration.n_envs, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = kind("MlpPolicy", environment, device="cpu", **configuration.hyperparameters)
        model.learn(configuration.training_steps)

    assert model.num_timesteps == planned_timesteps(configuration)


def test_a_trainer_gets_everything_resolved() -> None:
    experiment = pair(
        {"normalize": {"norm_reward": False}, "wrappers": ["FlattenObservation"]},
        torch_threads=2,
        accelerate=False,
    )

    config = trainer_config(
        experiment.variant_config, seed=3, experiment=experiment, run_dir=Path("r"), attempt=2
    )

    assert (config.seed, config.attempt, config.run_dir) == (3, 2, Path("r"))
    assert (config.policy, config.normalize) == ("MlpPolicy", {"norm_reward": False})
    assert config.wrappers == ({"name": "FlattenObservation", "kwargs": {}},)
    assert (config.torch_threads, config.accelerate) == (2, False)
    assert config.evaluation == EvaluationProtocol(frequency=1000)


def test_the_pieces_of_acceleration_that_are_named_reach_training() -> None:
    experiment = pair({"hyperparameters": {"gamma": 0.9}}, accelerate=["walks", "copies"])

    config = trainer_config(experiment.variant_config, seed=3, experiment=experiment)

    assert config.accelerate == ("walks", "copies")


def test_every_piece_of_acceleration_can_be_named() -> None:
    assert set(get_args(PieceName)) == set(Piece)


def test_a_trainer_needs_no_experiment_and_gets_only_what_was_set() -> None:
    config = trainer_config(arm(environment="LunarLander-v2", normalize=True), seed=1)

    assert config.environment == "LunarLander-v3"
    assert config.hyperparameters == {}
    assert config.normalize == {}
    assert config.experiment_name == "run"


def test_lists_among_a_wrappers_arguments_reach_training_as_tuples() -> None:
    wrapper = {"name": "ReshapeObservation", "kwargs": {"shape": [2, 2]}}

    config = trainer_config(arm(wrappers=[wrapper]), seed=1)

    assert config.wrappers == ({"name": "ReshapeObservation", "kwargs": {"shape": (2, 2)}},)


def test_an_evolution_strategy_keeps_the_librarys_device() -> None:
    assert trainer_config(arm(algorithm="ARS"), seed=1).device == "cpu"
    assert trainer_config(arm(), seed=1).device == "auto"


def test_a_fair_experiment_has_no_warning() -> None:
    found = audit(pair({"hyperparameters": {"gamma": 0.9}}))

    assert found.warnings == ()
    assert found.notices == ()
    assert [difference.pointer for difference in found.differences] == ["/hyperparameters/gamma"]


@pytest.mark.parametrize(
    ("variant", "more", "fragment"),
    [
        ({"hyperparameters": {"gamma": 0.9, "n_epochs": 5}}, {}, "the arms differ in 2 settings"),
        ({"n_envs": 3}, {}, "different numbers of steps: baseline 4096, variant 6144"),
        ({"wrappers": [{"name": "TimeLimit", "kwargs": {"max_episode_steps": 9}}]}, {},
         "wrapped differently"),
        ({"normalize": True}, {}, "normalised"),
        ({"environment_kwargs": {"sutton_barto_reward": True}}, {}, "different arguments"),
        ({"hyperparameters": {"batch_size": 100}}, {}, "variant: batch_size 100 does not divide"),
        ({"n_envs": 2}, {"evaluation": {"frequency": 5000}}, "evaluated only at the end"),
    ],
)  # fmt: skip
def test_what_makes_a_comparison_unfair_is_warned_of(
    variant: dict[str, Any], more: dict[str, Any], fragment: str
) -> None:
    assert any(fragment in warning for warning in audit(pair(variant, **more)).warnings)


def test_learning_that_starts_too_late_is_warned_of() -> None:
    baseline = arm(algorithm="DQN", hyperparameters={"learning_starts": 10_000})
    variant = {"extends": "baseline", "hyperparameters": {"gamma": 0.9}}

    found = audit(parse_experiment({"baseline_config": baseline, "variant_config": variant}))

    assert any("nothing is learned" in warning for warning in found.warnings)


def test_notices_say_what_happens_otherwise_than_the_file_says() -> None:
    baseline = arm(environment="LunarLander-v2", training_steps=5000)
    variant = {"extends": "baseline", "hyperparameters": {"gamma": 0.9}}

    found = audit(parse_experiment({"baseline_config": baseline, "variant_config": variant}))

    assert found.notices == (
        "LunarLander-v2 runs as LunarLander-v3, the newest version",
        "both arms: 5000 steps are rounded up to 6144, whole rollouts of 2048",
        '1 seed per arm cannot show a difference at alpha 0.05; set "seeds": 4 or more',
    )


@pytest.mark.parametrize(
    ("hypothesis", "start"),
    [
        ("Larger batches help!", "larger-batches-help_20260102T030405_"),
        ("Увеличенный learning rate ускорит обучение", "learning-rate_20260102T030405_"),
        ("Вариант лучше", "ppo-cartpole-v1_20260102T030405_"),
        ("", "ppo-cartpole-v1_"),
        ("../../etc/passwd", "etc-passwd_"),
        ("x" * 5000, "x" * 36 + "_"),
        ("word " * 500, "word-word-word-word-word-word-word_"),
    ],
)
def test_an_experiment_id_is_readable_and_safe(hypothesis: str, start: str) -> None:
    found = new_experiment_id(hypothesis, {"baseline": arm()}, NOW)

    assert found.startswith(start)
    assert len(found) <= 64


def test_an_experiment_id_follows_time_in_utc_and_content() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=5)))
    arms = {"baseline": arm()}

    assert new_experiment_id("same", arms, NOW) == new_experiment_id("same", arms, elsewhere)
    assert new_experiment_id("same", arms, NOW) != new_experiment_id("same", {"b": arm()}, NOW)


@pytest.mark.parametrize(
    ("train_freq", "planned"),
    [(4, 1000), ([4, "step"], 1000), ([7, "step"], 1001), ([1, "episode"], 999)],
)
def test_steps_are_rounded_up_to_what_is_collected_between_updates(train_freq, planned):
    chosen = arm(algorithm="DQN", training_steps=999, hyperparameters={"train_freq": train_freq})
    config = parse_experiment(
        {
            "baseline_config": chosen,
            "variant_config": {"extends": "baseline", "hyperparameters": {"gamma": 0.9}},
        }
    )

    assert planned_timesteps(config.arms["baseline"]) == planned
