"""What a report keeps of the runs' streams."""

from __future__ import annotations

from src.experiments.analysis.curves import MAX_LINES, MAX_POINTS, Source
from src.experiments.analysis.streams import StreamFacts, thinned
from src.experiments.domain.records import ResourceSample, RunKey

RUN = RunKey("baseline", 1)


def sample(second, memory_mb=100.0):
    return ResourceSample(time=float(second), cpu_percent=50.0, memory_mb=memory_mb)


def resources(second):
    return {
        "kind": "resources",
        "step": 1,
        "time": float(second),
        "cpu_percent": 50.0,
        "memory_mb": 100.0,
        "later_field": 1,
    }


def ended(remedy):
    return {"kind": "attempt_ended", "step": 5, "attempt": 1, "remedy": remedy}


def test_curves_samples_and_the_last_remedy_are_kept():
    journal = [
        {"kind": "metrics", "step": 10, "metrics": {"rollouts/returns_mean": 3.0, "other": 1.0}},
        {"kind": "evaluation", "step": 20, "metrics": {"eval/return_mean": 4.0}},
    ]
    facts = StreamFacts([RUN])
    facts.add(RUN, journal, [resources(1), ended("try less"), ended(None), ended("try more")])

    (evaluated,), (trained,) = facts.curves[Source.EVALUATION], facts.curves[Source.TRAINING]
    assert (evaluated.steps.tolist(), evaluated.returns.tolist()) == ([20], [4])
    assert (trained.steps.tolist(), trained.returns.tolist()) == ([10], [3])
    assert facts.resources == {RUN: [sample(1)]}
    assert facts.remedies == {RUN: "try more"}


def test_a_sample_without_what_every_sample_has_is_passed_over():
    facts = StreamFacts([RUN])
    odd = {**resources(2), "gpu_percent": "busy", "pss_mb": None}
    facts.add(RUN, [], [resources(1), {**resources(1), "memory_mb": None}, odd])

    assert facts.resources == {RUN: [sample(1), sample(2)]}


def test_a_run_that_never_began_leaves_nothing():
    facts = StreamFacts([RUN])
    facts.add(RUN, [], [])

    assert facts.curves == {Source.EVALUATION: [], Source.TRAINING: []}
    assert facts.resources == {RUN: []}


def test_of_many_runs_the_samples_of_those_that_are_drawn_are_kept():
    runs = [RunKey(arm, seed) for arm in ("baseline", "variant") for seed in range(200)]
    facts = StreamFacts(runs)
    for run in runs:
        facts.add(run, [], [resources(1)])

    assert len(facts.resources) == 2 * MAX_LINES
    assert {runs[0], runs[199], runs[200], runs[399]} <= facts.resources.keys()


def test_few_samples_stay_as_they_are():
    samples = [sample(second) for second in range(MAX_POINTS)]

    assert thinned(samples) == samples


def test_thinning_keeps_the_first_sample_and_every_peak():
    samples = [sample(second, 100.0 + (second == 4321) * 900) for second in range(10_000)]

    kept = thinned(samples)
    assert len(kept) == MAX_POINTS
    assert kept[0] == samples[0]
    assert samples[4321] in kept
    assert [each.time for each in kept] == sorted(each.time for each in kept)
