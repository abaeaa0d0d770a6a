"""Curves and samples out of journals of any length, in bounded memory."""

from __future__ import annotations

from itertools import pairwise

import pytest

from src.experiments.analysis import curves, streams
from src.experiments.analysis.curves import MAX_POINTS, Source, run_curves
from src.experiments.analysis.step_values import StepValues
from src.experiments.analysis.streams import StreamFacts
from src.experiments.domain.records import RunKey

RUN = RunKey("variant", 3)


def lists(values):
    return [each.tolist() for each in values.arrays()]


def test_values_come_out_by_step_and_the_later_of_two_counts():
    values = StepValues()
    for step, value in ((10, 1.0), (30, 3.0), (20, 2.0), (30, 4.0)):
        values.add(step, value)

    assert lists(values) == [[10, 20, 30], [1, 2, 4]]


def test_without_values_there_are_empty_arrays():
    assert lists(StepValues(4)) == [[], []]


@pytest.mark.parametrize("count", [1, 7, 8, 9, 64, 65, 1_000])
def test_of_very_many_values_evenly_many_stay_with_the_first_and_the_last(count):
    values = StepValues(8)
    for step in range(count):
        values.add(step, step / 2)
    steps, halves = lists(values)

    assert (steps[0], steps[-1]) == (0, count - 1)
    assert len(steps) <= 9
    assert halves == [step / 2 for step in steps]
    assert len({b - a for a, b in pairwise(steps[:-1])}) <= 1


def test_a_curve_of_more_points_than_are_held_keeps_its_ends_and_its_shape(monkeypatch):
    monkeypatch.setattr(curves, "MOST_HELD", 1_000)
    records = (
        {"kind": "metrics", "step": step, "metrics": {"rollouts/returns_mean": step / 10}}
        for step in range(123_457)
    )
    curve = run_curves(RUN, records)[Source.TRAINING]

    assert len(curve.steps) == MAX_POINTS
    assert (curve.steps[0], curve.steps[-1]) == (0, 123_456)
    assert curve.returns.tolist() == (curve.steps / 10).tolist()


def test_of_more_samples_than_are_held_the_peak_stays(monkeypatch):
    monkeypatch.setattr(streams, "MOST_HELD", 1_000)
    events = (
        {
            "kind": "resources",
            "step": second,
            "time": float(second),
            "cpu_percent": 1.0,
            "memory_mb": 100.0 + (second == 54_321) * 900,
        }
        for second in range(80_003)
    )
    facts = StreamFacts([RUN])
    facts.add(RUN, [], events)

    told = facts.resources[RUN]
    assert len(told) == MAX_POINTS
    assert [each.time for each in told if each.memory_mb == 1_000] == [54_321.0]
    assert [each.time for each in told] == sorted(each.time for each in told)
