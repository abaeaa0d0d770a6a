from __future__ import annotations

import pytest

from src.experiments.domain.records import RunEstimate, RunKey
from src.experiments.orchestration.estimates import longest_first

BATCH = [RunKey(arm, seed) for seed in range(3) for arm in ("baseline", "variant")]


def estimate(arm: str, seconds: float) -> RunEstimate:
    return RunEstimate(RunKey(arm, 0), 100.0, seconds, 200.0, 1.0, 1000, 10)


def estimates(baseline: float, variant: float) -> list[RunEstimate]:
    return [estimate("baseline", baseline), estimate("variant", variant)]


def makespan(order: list[RunKey], seconds: dict[str, float], slots: int) -> float:
    free = [0.0] * slots
    for run in order:
        first = free.index(min(free))
        free[first] += seconds[run.arm]
    return max(free)


def test_the_arm_that_takes_longer_begins_and_its_seeds_keep_their_order() -> None:
    order = longest_first(BATCH, estimates(1.0, 3.0))

    assert [run.name for run in order] == [
        "variant_seed0",
        "variant_seed1",
        "variant_seed2",
        "baseline_seed0",
        "baseline_seed1",
        "baseline_seed2",
    ]


@pytest.mark.parametrize(("baseline", "variant"), [(1.0, 3.0), (5.0, 1.0), (2.0, 1.0)])
@pytest.mark.parametrize("slots", [2, 3, 4])
def test_no_plan_takes_longer_than_seed_by_seed(
    baseline: float, variant: float, slots: int
) -> None:
    seconds = {"baseline": baseline, "variant": variant}
    order = longest_first(BATCH, estimates(baseline, variant))

    assert makespan(order, seconds, slots) <= makespan(BATCH, seconds, slots)


def test_the_last_runs_do_not_wait_for_one_that_is_long() -> None:
    seconds = {"baseline": 1.0, "variant": 3.0}
    order = longest_first(BATCH, estimates(1.0, 3.0))

    assert makespan(order, seconds, 2) == 6.0 < makespan(BATCH, seconds, 2)


@pytest.mark.parametrize("known", [[], [estimate("variant", 3.0)], estimates(1.0, 1.05)])
def test_what_is_unknown_or_nearly_equal_stays_as_it_was(known: list[RunEstimate]) -> None:
    assert longest_first(BATCH, known) == BATCH
