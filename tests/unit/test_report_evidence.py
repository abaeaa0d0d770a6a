"""What the report tells beside the verdict: looks, curves, failures, runs not analysed."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest

from src.experiments.analysis import aggregate, compare
from src.experiments.analysis.curve_band import CurveBand
from src.experiments.analysis.curve_evidence import compared, curve_evidence, shared_table
from src.experiments.analysis.curve_words import (
    band_sentence,
    crossover_sentence,
    median_text,
    ratio_text,
)
from src.experiments.analysis.curves import RunCurve, Source
from src.experiments.analysis.difference_panel import difference_traces
from src.experiments.analysis.early_abort import AbortLook, AbortRule
from src.experiments.analysis.key_figures import key_figures
from src.experiments.analysis.looks import plan_looks
from src.experiments.analysis.looks_chart import look_points, looks_interactive
from src.experiments.analysis.looks_table import COLUMNS, looks_rows
from src.experiments.analysis.measures import MEASURES
from src.experiments.analysis.outcomes import outcomes
from src.experiments.analysis.page import render_markdown, render_page
from src.experiments.analysis.palette import arm_colour
from src.experiments.domain.paths import ExperimentPaths
from src.experiments.domain.records import ResourceSample, RunKey, RunStatus
from src.experiments.domain.verdicts import DecisionRule, Verdict
from tests.unit.reported import FEW_FIGURES, FIVE, SINGLE, content, result, stopped_early


@pytest.fixture(scope="module")
def stopped():
    return stopped_early()


@pytest.fixture
def told(tmp_path):
    """The page's words and the Markdown of some content, without figures."""

    def rendered(report):
        paths = ExperimentPaths.under(tmp_path, "learning_rate")
        page = re.sub(r"<[^>]*>", " ", render_page(report, (), paths))
        return re.sub(r"\s+", " ", page), render_markdown(report, (), paths)

    return rendered


# --- looks -------------------------------------------------------------------------------------


def test_every_planned_look_has_a_row_taken_or_not(stopped):
    rows = looks_rows(stopped.plan, stopped.comparison.looks)

    assert [row[0] for row in rows] == ["4", "6", "8", "10"]
    assert [row[1] for row in rows] == [
        "continued",
        "rejected: stopped",
        "not needed",
        "not needed",
    ]
    # at 6 of 10 seeds alpha 0.05 · 0.6² = 0.018 may be spent: |z| 2.366
    assert [row[3] for row in rows[:2]] == ["futility only", "±2.37"]
    assert all(len(row) == len(COLUMNS) for row in rows)
    assert rows[2][2] == rows[2][4] == ""


def test_looks_of_an_experiment_that_goes_on_are_still_to_come(stopped):
    first = stopped.comparison.looks[:1]

    assert [row[1] for row in looks_rows(stopped.plan, first)][1:] == ["still to come"] * 3


def test_the_chart_shows_looks_taken_and_to_come_against_the_boundaries(stopped):
    points = look_points(stopped.plan, stopped.comparison.looks)
    figure = looks_interactive(points, minimize=False)

    upper, lower, taken, to_come = (figure["data"][place] for place in (1, 3, 4, 5))
    critical = [look.critical_value for look in stopped.plan.looks]
    assert (upper["y"], lower["y"]) == (critical, [-value for value in critical])
    assert (taken["x"], taken["y"]) == (
        [4, 6],
        [look["statistic"] for look in stopped.comparison.looks],
    )
    assert taken["marker"]["symbol"] == ["diamond", "circle"]
    assert (to_come["x"], to_come["marker"]["symbol"]) == ([8, 10], ["circle-open"] * 2)


def test_where_less_is_better_the_variant_is_better_below(stopped):
    points = look_points(stopped.plan, stopped.comparison.looks)

    words = [
        each["text"] for each in looks_interactive(points, minimize=True)["layout"]["annotations"]
    ]
    assert words == ["variant worse", "variant better"]


def test_a_plan_of_which_no_look_was_taken_has_a_chart_of_its_boundaries():
    points = look_points(plan_looks(6, 3, 15), ())

    assert [point.statistic for point in points] == [None] * 4
    figure = looks_interactive(points, minimize=False)
    assert json.loads(json.dumps(figure)) == figure


def test_the_interval_of_a_look_is_told_with_its_own_level(stopped, told):
    page, markdown = told(stopped)

    level = f"{100 * stopped.comparison.looks[-1]['level']:.4g} %"
    assert level != "95 %"
    assert f"{level} repeated interval" in page
    assert f"{level} repeated interval (Welch)" in page
    assert f"{level} repeated interval" in markdown


def test_looks_in_mid_training_are_told_with_what_followed(told):
    went_on = AbortLook(AbortRule.WELCH, 0.5, 5, 5, -12.0, 0.04, abort=False)
    ended = AbortLook(AbortRule.WELCH, 0.75, 5, 5, -90.0, 0.002, abort=True)
    page, markdown = told(replace(content(FIVE), abort_looks=(went_on, ended)))

    assert "75 % the variant was stopped 5 −90.00 0.002 &lt; 0.01" in page
    assert "50 % | continued | 5 | −12.00 | 0.04" in markdown


def test_without_looks_in_mid_training_there_is_no_section_of_them(told):
    assert "mid-training" not in told(content(FIVE))[0]


# --- runs that were not analysed ---------------------------------------------------------------


def test_runs_beyond_the_look_are_told_and_nowhere_counted(stopped, told):
    page, markdown = told(stopped)

    assert "2 runs (1 completed and 1 cancelled), 14,336 steps in total" in page
    assert "baseline, seed 6: completed, 120.0" in page
    assert "variant, seed 6: cancelled, after 4,096 steps" in page
    assert "2 runs (1 completed and 1 cancelled)" in markdown
    assert "6 of 6 scored" in page
    assert all(len(values) == 6 for values in stopped.scores.values())
    drawn = {
        run.run
        for curves in stopped.curve_evidence
        for arm in curves.arms.values()
        for run in arm.finished
    }
    assert drawn.isdisjoint(stopped.unused)


def test_of_many_unused_runs_some_are_listed(told):
    many = {RunKey("baseline", seed): result("baseline", seed, 1.0) for seed in range(100, 130)}
    page, markdown = told(stopped_early(unused=many))

    assert "30 runs (30 completed)" in page
    assert page.count("completed, 1.00") == 10
    assert "and 20 more" in page
    assert "and 20 more" in markdown


# --- figures under the verdict -----------------------------------------------------------------


def test_the_key_figures_are_effect_probability_p_and_error_rate():
    effect, share, p, alpha = key_figures(content(FIVE))

    # variances 2.5 and 3.05: an error of √1.11, and t(0.975; 7.9) = 2.31
    assert (effect.value, effect.note) == ("+10.10", "95 % interval 7.67 to 12.53")
    # every variant run is above every baseline run: Newcombe's interval ends at 1
    assert (share.value, share.share[1:]) == ("1.00", (1.0, 1.0))
    assert p.value == "0.0079"
    assert (alpha.value, alpha.note) == ("5 %", "two-sided, fixed before the first run")


def test_one_run_per_arm_has_no_interval_and_no_probability():
    effect, alpha = key_figures(content(SINGLE))

    assert effect.note == "one run per arm has no interval"
    assert alpha.name == "Error rate α"


def test_other_metrics_stand_apart_with_a_corrected_p(told):
    page, markdown = told(content(FIVE, **FEW_FIGURES))

    # both are the same numbers as the primary one: twice its p of 2/252
    assert "average evaluation return +10.10 7.67 to 12.53 0.016" in page
    assert "| average evaluation return | +10.10 | 7.67 to 12.53 | 0.016 |" in markdown


# --- curves ------------------------------------------------------------------------------------


def curve(arm, seed, *values):
    steps = 1000.0 * np.arange(1, len(values) + 1)
    return RunCurve(RunKey(arm, seed), steps, np.array(values, float))


def evidence(baseline, variant, *, unfinished=(), lost=(), **rule):
    runs = [
        curve(arm, seed, *values)
        for arm, each in (("baseline", baseline), ("variant", variant))
        for seed, values in enumerate(each)
    ]
    found = curve_evidence(Source.EVALUATION, runs, unfinished)
    return compared(found, DecisionRule(**rule), lost)


LOW = [(10, 20, 30 + shift, 40 + shift) for shift in range(5)]
HIGH = [(10, 20, 60 + shift, 90 + shift) for shift in range(5)]


def test_the_sentence_names_the_steps_at_which_the_curves_differ():
    found = evidence(LOW, HIGH)

    assert band_sentence(found, DecisionRule()) == (
        "Over all steps together p = 0.0079: the variant's curve is higher at steps 3,000 to 4,000."
    )


def test_where_the_band_leaves_zero_it_has_the_colour_of_the_higher_arm_from_edge_to_edge():
    steps = np.array([0.0, 10.0, 20.0, 30.0])
    low, high = np.array([-2.0, 1.0, -1.0, -9.0]), np.array([2.0, 3.0, 2.0, -1.0])
    band = CurveBand(steps, (low + high) / 2, low, high, 0.95, 0.01, 252, is_exact=True)

    _, variant, baseline, _ = difference_traces(band, None, ("baseline", "variant"))

    # the lower edge is zero at 20/3 and 15, the upper one at 80/3
    assert variant["x"][:3] == pytest.approx([20 / 3, 10, 15])
    assert baseline["x"][:2] == pytest.approx([80 / 3, 30])
    assert variant["fillcolor"].startswith(arm_colour(1))
    assert baseline["fillcolor"].startswith(arm_colour(0))


def test_arms_that_are_swapped_have_the_mirrored_band():
    one, other = evidence(LOW, HIGH).band, evidence(HIGH, LOW).band

    assert other.low == pytest.approx(-one.high)
    assert other.p_value == one.p_value


def test_curves_without_a_difference_are_said_to_show_none():
    assert "not shown to differ at any step" in band_sentence(evidence(LOW, LOW), DecisionRule())


def test_too_few_seeds_say_how_many_a_band_takes():
    sentence = band_sentence(evidence(LOW[:3], HIGH[:3]), DecisionRule())

    assert "takes at least 4 complete runs per arm" in sentence


def test_the_crossover_is_told_with_its_doubt():
    behind = [(5, 15, 60 + shift, 90 + shift) for shift in range(5)]

    assert crossover_sentence(evidence(LOW, behind)).startswith(
        # 5 behind at 2,000 and 30 ahead at 3,000: zero after a seventh of the way
        "The variant's mean curve overtakes the baseline's for good at step 2,143 "
    )


def test_curves_that_end_level_have_no_leader():
    behind = [(5, 15, 60 + shift, 90 + shift) for shift in range(5)]

    assert "neither arm is ahead" in crossover_sentence(evidence(HIGH, behind))


def test_an_arm_ahead_from_the_start_has_not_crossed():
    above = [tuple(value + 1 for value in run) for run in HIGH]

    assert crossover_sentence(evidence(LOW, above)) == (
        "No crossover: the variant's mean curve is ahead of the baseline's from the first common "
        "step to the last. In all 1,000 resamples of the seeds the variant is ahead at the end."
    )


def untrained(arm, seed, *values):
    """A curve that begins before the first step."""
    trained = curve(arm, seed, *values)
    return replace(trained, steps=trained.steps - 1000)


def begun_together(**rule):
    runs = [
        untrained(arm, seed, 30 + seed, *(each + seed for each in values))
        for arm, values in (("baseline", (40, 50)), ("variant", (60, 80)))
        for seed in range(5)
    ]
    return compared(curve_evidence(Source.EVALUATION, runs), DecisionRule(**rule))


def test_arms_that_begin_with_one_model_are_compared_from_the_first_evaluation_after_it():
    found = begun_together()

    assert found.arms["variant"].steps[0] == 0
    assert found.band.steps.tolist() == [1000, 2000]
    assert "is ahead of the baseline's from the first common step" in crossover_sentence(found)


def test_the_way_to_a_return_leads_from_the_evaluation_before_the_first_step():
    found = begun_together(floors={"baseline": 0.0, "variant": 0.0})

    # from 32, and not from the floor, to 82
    assert [each.threshold for each in found.milestones][:2] == [44.5, 57]
    assert found.milestones[0].arms["variant"].median == 1000


def test_a_single_run_an_arm_is_not_compared():
    found = evidence(LOW[:1], HIGH[:1])

    assert (found.band, found.overtaking) == (None, None)
    assert crossover_sentence(found) is band_sentence(found, DecisionRule()) is None


def test_runs_are_compared_on_the_steps_that_all_of_them_share():
    found = curve_evidence(
        Source.EVALUATION,
        [
            curve("baseline", 1, 1, 2, 3),
            RunCurve(RunKey("variant", 1), np.array([1500.0, 2500.0]), np.array([0.0, 10.0])),
        ],
    )
    steps, baseline, variant = shared_table(*found.arms.values())

    assert steps.tolist() == [1500, 2000, 2500]
    assert baseline.tolist() == [[1.5, 2, 2.5]]
    assert variant.tolist() == [[0, 5, 10]]


def test_a_step_at_which_a_value_is_missing_is_left_out():
    holed = [(10, 20, math.nan, 40 + shift) for shift in range(5)]

    assert evidence(holed, HIGH).band.steps.tolist() == [1000, 2000, 4000]


# --- sample efficiency -------------------------------------------------------------------------


def test_thresholds_lead_from_the_lower_start_to_the_better_arms_end():
    found = evidence(LOW, HIGH)

    # from 10 to the mean of 90 … 94: 25, 50, 75 and 90 % of 82
    assert [each.threshold for each in found.milestones] == pytest.approx([30.5, 51, 71.5, 83.8])
    at_half = found.milestones[1].arms
    assert (at_half["baseline"].reached, at_half["variant"].median) == (0, 3000)
    assert median_text(at_half["baseline"]) == "never"
    assert ratio_text(found.milestones[1]) == "–"


def test_the_way_begins_at_the_random_policys_return_where_that_is_known():
    found = evidence(LOW, HIGH, floors={"baseline": -8.0, "variant": -8.0})

    assert found.milestones[1].threshold == pytest.approx(42.0)


def test_failed_runs_count_as_runs_that_never_got_there():
    lost = {RunKey("variant", 4), RunKey("variant", 9)}  # the second has no curve at all
    found = evidence(LOW, [*HIGH[:4], (10, 20)], unfinished=lost, lost=lost)

    at_half = found.milestones[1].arms["variant"]
    assert (at_half.reached, at_half.runs) == (4, 6)
    assert found.arms["variant"].mean[-1] == 91.5


def test_arms_that_learn_nothing_have_no_milestones():
    flat = [(10, 10, 10, 10)] * 4

    assert evidence(flat, flat).milestones == ()


# --- failures ----------------------------------------------------------------------------------


def test_outcomes_are_counted_by_arm():
    runs = [
        replace(result("variant", 1, 1.0), attempts=2, resumed_from_steps=(4096,)),
        replace(result("variant", 2, 1.0, error="boom"), attempts=3, deviations=("batch halved",)),
        replace(result("variant", 3, 1.0), success=False, status=RunStatus.QUEUED),
    ]
    found = outcomes(runs)

    assert (found.planned, found.completed) == (3, 1)
    assert (found.by_status[RunStatus.FAILED], found.by_status[RunStatus.QUEUED]) == (1, 1)
    assert (found.attempts, found.retried, found.resumed, found.deviated) == (5, 2, 1, 1)


def test_a_run_that_failed_through_its_own_fault_is_shown_with_the_floor_it_counts_with(told):
    runs = {
        arm: [result(arm, seed, value) for seed, value in enumerate(values)]
        for arm, values in FIVE.items()
    }
    failed = result("variant", 4, 0.0, error="non-finite loss")
    runs["variant"][4] = replace(failed, fault="run")
    rule = DecisionRule(floors={"baseline": 0.5, "variant": 0.5})
    report = content(
        FIVE,
        rule,
        comparison=compare(runs, rule),
        arms={arm: aggregate(arm, each) for arm, each in runs.items()},
        **FEW_FIGURES,
    )
    page, markdown = told(report)

    assert report.imputed == {RunKey("variant", 4)}
    assert report.scores["variant"][4] == 0.5
    assert "0.500 floor" in page
    assert "0.500 (floor)" in markdown
    assert "1 of 5 variant runs failed (Fisher&#39;s exact test p = 1)" in page
    assert "floor: 1 of 5 variant runs" in page
    assert "on what a failed run is worth" in page

    stopped = replace(report.comparison, verdict=Verdict.STOPPED_FOR_FUTILITY, sentence="Ended.")
    for text in told(replace(report, comparison=stopped)):
        assert "1 of 5 variant runs failed" in text
        assert "on what a failed run is worth" not in text


# --- resources ---------------------------------------------------------------------------------


def test_only_what_was_sampled_is_drawn():
    samples = {
        RunKey("baseline", 1): [ResourceSample(100.0 + s, 50.0, 300.0) for s in range(3)],
        RunKey("variant", 1): [
            ResourceSample(100.0, 50.0, 300.0, gpu_percent=10.0),
            ResourceSample(101.0, 50.0, 300.0, gpu_percent=20.0),
            ResourceSample(102.0, 50.0, 0.0, gpu_percent=0.0),
        ],
    }
    found = {measure.name: measure.measured(samples) for measure in MEASURES}

    assert len(found["cpu"]) == len(found["memory"]) == 2
    assert list(found["gpu"]) == [RunKey("variant", 1)]
    assert found["gpu_memory"] == {}
    gpu = next(measure for measure in MEASURES if measure.name == "gpu")
    # without memory there was no process any more
    assert gpu.over_time(samples[RunKey("variant", 1)]) == ([0.0, 1.0], [10.0, 20.0])
