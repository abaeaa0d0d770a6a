"""The rows of a language model's journal: over which batches and steps, and out of what parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from src.experiments.training.trl.recorder import MetricsRecorder
from src.experiments.training.trl.rows import Batch


def task_metrics(facts: Sequence[Mapping[str, float]]) -> dict[str, object]:
    recorder = MetricsRecorder(is_dr_grpo=False, extra={})
    recorder.note_batch(Batch(np.zeros(4), np.zeros(4), 2, facts))
    return {name: value for name, value in recorder.collect().items() if name.startswith("task/")}


def test_calls_are_averaged_over_dialogues_and_failures_over_calls() -> None:
    calls = [(3, 2), (1, 0), (0, 0), (0, 0)]
    facts = [{"calls": made, "failed_calls": failed} for made, failed in calls]

    assert task_metrics(facts) == {
        "task/calls": 1.0,
        "task/failed_calls": 0.5,
        "task/failed_calls_share": 0.5,
    }


def test_without_a_call_there_is_no_share_of_failures() -> None:
    assert task_metrics([{"calls": 0, "failed_calls": 0}] * 4) == {
        "task/calls": 0.0,
        "task/failed_calls": 0.0,
    }


@pytest.mark.parametrize("facts", [(), [{}, {}, {}, {}]])
def test_a_task_without_facts_has_no_such_metric(facts: Sequence[Mapping[str, float]]) -> None:
    assert task_metrics(facts) == {}


def test_a_fact_of_some_dialogues_is_averaged_over_these() -> None:
    assert task_metrics([{"hints": 1}, {}, {"hints": 2}, {}]) == {"task/hints": 1.5}


def noted(recorder: MetricsRecorder, step: int, returns: Sequence[float], loss: float) -> None:
    """A batch of one prompt, and the step that learns from it."""
    array = np.array(returns)
    facts = [{"calls": each, "failed_calls": 0.0} for each in returns]
    recorder.note_batch(Batch(array, array - array.mean(), len(returns), facts))
    logs = {"grad_norm": 2 * loss, "kl": loss / 10, "learning_rate": 1 / step, "entropy": loss}
    recorder.note_step(step, loss, logs, kl_in_loss=0.0)


def after_two_batches() -> MetricsRecorder:
    recorder = MetricsRecorder(is_dr_grpo=True, extra={})
    noted(recorder, 1, [0.0, 4.0], 5.0)
    noted(recorder, 2, [1.0, 1.0], 1.0)
    return recorder


ACCUMULATED = {
    "rollouts/returns_mean": 1.5,
    "rollouts/kl_mean": 0.3,
    "rollouts/advantages_mean": 0.0,
    "rollouts/advantages_std": 2**0.5,
    "dr_grpo/advantages_variance": 2.0,
    "dr_grpo/advantages_skewness": 0.0,
    "task/calls": 1.5,
    "training_epoch/loss_mean": 3.0,
    "training_epoch/loss_std": 2.0,
    "training_epoch/kl_mean": 0.3,
    "training_epoch/kl_std": 0.2,
    "training_epoch/grad_norm_mean": 6.0,
    "training_epoch/grad_norm_max": 10.0,
}
NEWEST = {
    "batch_returns/mean": 1.0,
    "batch_returns/groups_alike": 1.0,
    "training_step/loss": 1.0,
    "training_step/kl": 0.1,
    "training_step/grad_norm": 2.0,
    "training_step/learning_rate": 0.5,
    "trl/entropy": 1.0,
}


def test_a_row_is_about_all_batches_since_the_last_one() -> None:
    told: Any = after_two_batches().collect()

    assert {name: told[name] for name in ACCUMULATED} == pytest.approx(ACCUMULATED)
    assert {name: told[name] for name in NEWEST} == pytest.approx(NEWEST)


def test_what_a_row_has_told_is_not_told_again() -> None:
    recorder = after_two_batches()
    recorder.collect()
    noted(recorder, 3, [3.0, 3.0], 1.0)
    told: Any = recorder.collect()

    assert told["training_epoch/grad_norm_max"] == 2.0
    assert (told["rollouts/advantages_std"], told["task/calls"]) == (0.0, 3.0)


def test_a_run_that_goes_on_between_two_rows_tells_the_same_row() -> None:
    whole = after_two_batches()
    state = whole.capture()
    resumed = MetricsRecorder(is_dr_grpo=True, extra={})
    resumed.restore(state)
    for recorder in (whole, resumed):
        noted(recorder, 3, [0.0, 2.0], 2.0)

    assert resumed.collect() == whole.collect()
    assert MetricsRecorder(is_dr_grpo=True, extra={}).capture() != state


@pytest.mark.parametrize(
    ("logs", "kl_in_loss", "parts"),
    [
        ({}, 0.0, {"policy": -0.5}),
        ({"kl": 1.0}, 0.25, {"policy": -0.75, "kl": 0.25}),
        ({"policy_loss": 0.5}, 0.0, {"policy": 0.5, "entropy": -1.0}),
        ({"policy_loss": 0.5, "kl": 1.0}, 0.25, {"policy": 0.25, "kl": 0.25, "entropy": -1.0}),
    ],
)
def test_the_parts_of_dr_grpo_s_loss_add_up_to_it(
    logs: dict[str, float], kl_in_loss: float, parts: dict[str, float]
) -> None:
    recorder = MetricsRecorder(is_dr_grpo=True, extra={})
    recorder.note_batch(Batch(np.zeros(2), np.zeros(2), 2))
    recorder.note_step(1, -0.5, logs, kl_in_loss)
    prefix = "training_step/dr_component_"
    told: dict[str, Any] = {
        name.removeprefix(prefix): value
        for name, value in recorder.collect().items()
        if name.startswith(prefix)
    }

    assert told == parts
    assert sum(told.values()) == -0.5
