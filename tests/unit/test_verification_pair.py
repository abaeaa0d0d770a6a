"""The copy that is killed is short, and in everything else the experiment that it is made from."""

import pytest

from src.experiments.config import parse_experiment, resolved_difference
from src.experiments.verification.pair import ROLLOUT_STEPS, shortened_pair

ARM = {"algorithm": "PPO", "environment": "CartPole-v1", "training_steps": 100_000, "seed": 3}
OTHER_GAMMA = {"extends": "baseline", "hyperparameters": {"gamma": 0.9}}


def experiment(variant=None, arm=None, hyperparameters=None, **settings):
    baseline = {**ARM, "hyperparameters": hyperparameters or {}, **(arm or {})}
    variant = variant or OTHER_GAMMA
    return parse_experiment({"baseline_config": baseline, "variant_config": variant, **settings})


def test_one_seed_little_evaluation_and_nobody_is_told():
    config = experiment(
        seeds=[5, 6, 7],
        trackers=["tensorboard"],
        recovery={"strategy": "skip"},
        comparison={"sequential": {"first_look": 4, "batch": 2, "max_seeds": 8}},
        early_abort={"looks": [0.5]},
        torch_threads=2,
        checkpoint={"frequency": 10_000, "keep": 2},
    )

    short = shortened_pair(config, kills=2).config

    assert short.seed_list == [5]
    assert (short.evaluation.episodes, short.evaluation.final_episodes) == (2, 3)
    assert (short.trackers, short.recovery.strategy) == ((), "abort")
    assert (short.early_abort, short.comparison.sequential) == (None, None)
    assert (short.torch_threads, short.checkpoint.keep) == (2, 2)


@pytest.mark.parametrize("kills", [1, 2, 6])
def test_there_is_a_checkpoint_for_each_kill_and_more(kills):
    pair = shortened_pair(experiment(), kills)

    every = pair.config.checkpoint.frequency
    assert pair.changes["baseline"] == {"n_steps": (2048, ROLLOUT_STEPS)}
    assert every == ROLLOUT_STEPS
    assert pair.steps // every >= max(6, kills + 4)


def test_a_rollout_holds_whole_minibatches_of_all_environments():
    pair = shortened_pair(experiment(hyperparameters={"batch_size": 300}, arm={"n_envs": 4}), 1)

    assert pair.config.baseline_config.hyperparameters["n_steps"] == 75


def test_a_short_rollout_stays_as_it_is():
    pair = shortened_pair(experiment(arm={"algorithm": "A2C"}), 1)

    assert pair.changes == {"baseline": {}, "variant": {}}
    assert pair.steps == 600


def test_a_replay_buffer_keeps_its_size_and_is_learned_from():
    hyperparameters = {"learning_starts": 5000, "buffer_size": 20_000, "train_freq": 8}
    arm = {"algorithm": "DQN"}
    pair = shortened_pair(experiment(hyperparameters=hyperparameters, arm=arm), 2)

    assert pair.changes["baseline"] == {"learning_starts": (5000, 200)}
    assert pair.config.baseline_config.hyperparameters["buffer_size"] == 20_000
    assert pair.steps == 800
    assert pair.config.checkpoint.frequency == 133


def test_an_evolution_strategy_looks_in_fewer_directions():
    arm = {"algorithm": "ARS", "hyperparameters": {"n_delta": 20, "n_top": 10}}
    variant = {"extends": "baseline", "hyperparameters": {"learning_rate": 0.1}}
    pair = shortened_pair(experiment(variant, arm), 1)

    assert pair.changes["variant"] == {"n_delta": (20, 4), "n_top": (10, 4)}


def test_arms_that_differ_in_what_was_shortened_are_still_two():
    variant = {"extends": "baseline", "hyperparameters": {"n_steps": 4096}}
    pair = shortened_pair(experiment(variant), 1)

    arms = pair.config.arms
    differences = resolved_difference(arms["baseline"], arms["variant"])
    assert [each.pointer for each in differences] == ["/training_steps"]


def test_the_steps_can_be_chosen():
    pair = shortened_pair(experiment(hyperparameters={"batch_size": 16}), 1, steps=300)

    assert pair.steps == 300
    assert pair.config.checkpoint.frequency == 50
    assert pair.config.baseline_config.hyperparameters["n_steps"] == 64


def test_what_trains_is_a_file_that_can_be_read_again():
    pair = shortened_pair(experiment(arm={"normalize": True, "n_envs": 2}), 1)

    assert parse_experiment(pair.document).arms == pair.config.arms


LANGUAGE = {
    "algorithm": "GRPO",
    "environment": "arithmetic",
    "training_steps": 200,
    "hyperparameters": {"num_generations": 4, "per_device_train_batch_size": 8},
}


@pytest.mark.parametrize("steps", [None, 75])
@pytest.mark.parametrize("passes", [1, 3])
def test_a_language_model_is_saved_between_batches_and_trained_no_longer_than_asked(steps, passes):
    hyperparameters = {**LANGUAGE["hyperparameters"], "num_iterations": passes}
    config = experiment(
        arm={**LANGUAGE, "hyperparameters": hyperparameters},
        variant={"extends": "baseline", "algorithm": "DR_GRPO"},
    )

    pair = shortened_pair(config, kills=2, steps=steps)

    every = pair.config.checkpoint.frequency
    assert every % passes == 0
    assert pair.steps // every >= 6
    assert pair.steps == (steps or 6 * 4 * passes)


def test_a_language_model_that_trains_for_a_few_batches_still_has_a_checkpoint_for_each_kill():
    arm = {**LANGUAGE, "training_steps": 2}
    config = experiment(arm=arm, variant={"extends": "baseline", "algorithm": "DR_GRPO"})

    pair = shortened_pair(config, kills=3)

    assert pair.steps // pair.config.checkpoint.frequency >= 4
