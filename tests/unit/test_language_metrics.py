"""What metrics make of the facts that a task tells of its dialogues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from src.experiments.training.trl.recorder import Batch, MetricsRecorder


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
