"""Learning curves from journals."""

from __future__ import annotations

import numpy as np

from src.experiments.analysis.curves import (
    MAX_LINES,
    MAX_POINTS,
    Source,
    arm_curves,
    evenly,
    run_curves,
)
from src.experiments.domain.records import RunKey

RUN = RunKey("baseline", 1)


def evaluation(step, value, *, final=False):
    metrics = {"eval/return_mean": value}
    return {"kind": "evaluation", "step": step, "final": final, "metrics": metrics}


def curves(journals, source):
    return [run_curves(run, records)[source] for run, records in journals.items()]


def training(step, value):
    return {"kind": "metrics", "step": step, "metrics": {"rollouts/returns_mean": value}}


def test_a_run_has_a_curve_of_evaluations_and_one_of_training_episodes():
    journal = [
        {"kind": "started", "step": 0},
        training(50, 3.0),
        {"kind": "metrics", "step": 75, "metrics": {"training_step/loss": 0.1}},
        evaluation(100, 10.0),
        training(100, 5.0),
        evaluation(200, 20.0, final=True),
    ]

    evaluated = run_curves(RUN, journal)[Source.EVALUATION]
    assert (evaluated.steps.tolist(), evaluated.returns.tolist()) == ([100, 200], [10, 20])
    trained = run_curves(RUN, journal)[Source.TRAINING]
    assert (trained.steps.tolist(), trained.returns.tolist()) == ([50, 100], [3, 5])


def test_the_last_evaluation_at_a_step_counts():
    journal = [evaluation(100, 10.0), evaluation(100, 12.0, final=True)]

    assert run_curves(RUN, journal)[Source.EVALUATION].returns.tolist() == [12.0]


def test_a_long_curve_is_thinned_and_keeps_its_ends():
    journal = [training(step, float(step)) for step in range(1, 5001)]

    curve = run_curves(RUN, journal)[Source.TRAINING]
    assert len(curve.steps) == MAX_POINTS
    assert (curve.steps[0], curve.steps[-1]) == (1, 5000)
    assert np.array_equal(curve.steps, curve.returns)


def test_a_single_run_has_no_range():
    curve = arm_curves(curves({RUN: [evaluation(1, 1.0), evaluation(2, 2.0)]}, Source.EVALUATION))

    assert curve["baseline"].lowest is None
    assert curve["baseline"].highest is None
    assert curve["baseline"].mean.tolist() == [1.0, 2.0]
    assert curve["baseline"].label == "baseline, seed 1"


def test_several_runs_have_a_mean_and_a_range_on_the_steps_they_share():
    journals = {
        RunKey("baseline", 1): [evaluation(0, 0.0), evaluation(100, 10.0), evaluation(200, 20.0)],
        RunKey("baseline", 2): [evaluation(50, 15.0), evaluation(150, 25.0)],
    }

    curve = arm_curves(curves(journals, Source.EVALUATION))["baseline"]
    assert curve.steps.tolist() == [50, 100, 150]
    assert curve.mean.tolist() == [10, 15, 20]
    assert curve.lowest.tolist() == [5, 10, 15]
    assert curve.highest.tolist() == [15, 20, 25]
    assert curve.label == "baseline, mean of 2 seeds"


def test_an_unfinished_run_is_drawn_and_is_no_part_of_the_mean():
    failed = RunKey("variant", 2)
    journals = {
        RunKey("variant", 1): [evaluation(100, 10.0), evaluation(200, 20.0)],
        failed: [evaluation(100, -500.0)],
    }

    curve = arm_curves(curves(journals, Source.EVALUATION), {failed})["variant"]
    assert curve.mean.tolist() == [10.0, 20.0]
    assert [run.run for run in curve.unfinished] == [failed]


def test_an_arm_with_only_unfinished_runs_has_no_mean():
    curve = arm_curves(curves({RUN: [evaluation(100, 1.0)]}, Source.EVALUATION), {RUN})["baseline"]

    assert len(curve.mean) == 0
    assert curve.label == "baseline, seed 1"


def test_arms_keep_their_order_and_arms_without_points_are_absent():
    journals = {
        RunKey("variant", 1): [evaluation(1, 1.0)],
        RunKey("baseline", 1): [evaluation(1, 1.0)],
        RunKey("other", 1): [],
    }

    assert list(arm_curves(curves(journals, Source.EVALUATION))) == ["variant", "baseline"]
    assert arm_curves(curves(journals, Source.TRAINING)) == {}


def test_runs_without_a_common_step_have_an_empty_mean():
    journals = {
        RunKey("a", 1): [evaluation(1, 1.0), evaluation(2, 1.0)],
        RunKey("a", 2): [evaluation(3, 1.0), evaluation(4, 1.0)],
    }

    assert len(arm_curves(curves(journals, Source.EVALUATION))["a"].mean) == 0


def test_of_many_runs_some_are_drawn_and_all_count():
    journals = {
        RunKey("baseline", seed): [evaluation(100, float(seed)), evaluation(200, float(seed))]
        for seed in range(100)
    }

    curve = arm_curves(curves(journals, Source.EVALUATION))["baseline"]
    assert len(curve.thin) == MAX_LINES
    assert [run.run.seed for run in (curve.thin[0], curve.thin[-1])] == [0, 99]
    assert (curve.mean.tolist(), curve.highest.tolist()) == ([49.5, 49.5], [99.0, 99.0])
    assert curve.label == "baseline, mean of 100 seeds"


def test_of_many_unfinished_runs_some_are_drawn():
    journals = {RunKey("baseline", seed): [evaluation(100, 1.0)] for seed in range(100)}

    curve = arm_curves(curves(journals, Source.EVALUATION), set(journals))["baseline"]
    assert len(curve.dotted) == MAX_LINES
    assert curve.thin == ()


def test_items_are_chosen_evenly():
    assert evenly([1, 2, 3], 3) == [1, 2, 3]
    assert evenly(list(range(11)), 3) == [0, 5, 10]
