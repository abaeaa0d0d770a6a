"""An arm's runs as one result."""

from __future__ import annotations

from dataclasses import replace

import pytest

from src.experiments.analysis import aggregate
from src.experiments.domain.records import RunStatus, TrainingResult


def run(seed, value, **changes):
    result = TrainingResult(
        success=True,
        total_timesteps=1000,
        training_time=2.0,
        final_mean_reward=value,
        final_std_reward=7.0,
        experiment_name="test",
        algorithm="DQN",
        environment_name="CartPole-v1",
        seed=seed,
        final_return=value + 1,
        auc=value / 2,
        evaluation_time=0.5,
        parameters_sha256="abc",
    )
    return replace(result, **changes)


def failed(seed, reason="killed by SIGKILL"):
    return run(
        seed, 0.0, success=False, status=RunStatus.FAILED, error=reason, final_mean_reward=None
    )


def test_a_single_run_stands_for_its_arm():
    only = run(42, 100.0, arm="variant")

    arm = aggregate("variant", [only])
    assert arm == replace(only, runs=(only,))
    assert arm.seed == 42
    assert arm.parameters_sha256 == "abc"


@pytest.mark.parametrize(
    ("runs", "arm"), [((None, None), None), ((False, None), False), ((False, True), True)]
)
def test_an_arm_has_learned_where_a_run_has(runs, arm):
    results = [run(seed, 1.0, learned=learned) for seed, learned in enumerate(runs)]

    assert aggregate("baseline", results).learned is arm


def test_several_runs_give_means_and_the_deviation_over_seeds():
    arm = aggregate("baseline", [run(1, 100.0), run(2, 110.0), run(3, 120.0)])

    assert arm.final_mean_reward == pytest.approx(110.0)
    assert arm.final_std_reward == pytest.approx(10.0)
    assert arm.final_return == pytest.approx(111.0)
    assert arm.auc == pytest.approx(55.0)


def test_several_runs_add_up_steps_and_times_and_have_no_seed():
    arm = aggregate("baseline", [run(1, 100.0), run(2, 110.0)])

    assert (arm.total_timesteps, arm.training_time, arm.evaluation_time) == (2000, 4.0, 1.0)
    assert (arm.seed, arm.parameters_sha256, arm.arm) == (None, None, "baseline")
    assert arm.success
    assert arm.status is RunStatus.COMPLETED


def test_each_run_is_kept_in_the_order_of_the_seeds():
    arm = aggregate("baseline", [run(3, 1.0), run(1, 2.0), failed(2)])

    assert [(each.seed, each.arm) for each in arm.runs] == [
        (1, "baseline"),
        (2, "baseline"),
        (3, "baseline"),
    ]


def test_a_failed_run_is_no_part_of_the_means_and_is_not_hidden():
    arm = aggregate("variant", [run(1, 100.0), failed(2), run(3, 120.0)])

    assert not arm.success
    assert arm.status is RunStatus.FAILED
    assert arm.final_mean_reward == pytest.approx(110.0)
    assert arm.error == "1 of 3 runs did not complete (seed 2: killed by SIGKILL)"
    assert arm.training_time == 6.0


def test_the_status_is_the_worst_one():
    interrupted = run(2, 1.0, success=False, status=RunStatus.INTERRUPTED)
    skipped = run(3, 1.0, success=False, status=RunStatus.SKIPPED)

    assert aggregate("a", [run(1, 1.0), skipped]).status is RunStatus.SKIPPED
    assert aggregate("a", [interrupted, skipped]).status is RunStatus.INTERRUPTED
    assert aggregate("a", [interrupted, failed(4)]).status is RunStatus.FAILED


def test_an_arm_whose_runs_all_failed_has_no_scores():
    arm = aggregate("variant", [failed(1), failed(2)])

    assert (arm.final_mean_reward, arm.final_std_reward) == (None, None)
    assert not arm.success


def test_resuming_shows_in_the_aggregate():
    resumed = run(
        2, 1.0, resume="approximate", resumed_from_steps=(500,), deviations=("no generator",)
    )

    arm = aggregate("variant", [run(1, 1.0), resumed])
    assert arm.resume == "approximate"
    assert arm.resumed_from_steps == (500,)
    assert arm.deviations == ("no generator",)


def test_an_arm_without_results_is_refused():
    with pytest.raises(ValueError, match="no result"):
        aggregate("variant", [])
